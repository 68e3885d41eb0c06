package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/wire"
)

// A plan of more than sixty changes is interrupted after each of its writes: on a kernel a process is killed, on the fakes the engine is
// abandoned. The next request converges, what the two have written together is what one would have written, each thing once,
// and what is unrelated was there at every look.
func TestKilledAfterEveryWrite(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		i := newInterruption(t, w)
		stop := i.startReader(t)
		i.reset(t)
		answer := i.carryOut(t, -1)
		whole, want := i.written(t), i.witnessed(t)
		witnesses := i.witnesses(t)
		if len(answer.Changes) < 60 || answer.Writes != len(answer.Changes) || len(whole) < 50 {
			t.Fatalf("the plan has %d changes, %d writes in %d messages", len(answer.Changes), answer.Writes, len(whole))
		}
		for death := 0; death <= len(whole) && !t.Failed(); death++ {
			i.reset(t)
			i.carryOut(t, death)
			first := i.written(t)
			recorded := i.knownAsOurs(t, death)
			answer := i.again(t)
			both := append(first, i.written(t)...)
			slices.Sort(both)
			if len(first) != death || len(answer.Errors)+len(answer.Failed) > 0 || !slices.Equal(both, whole) {
				t.Errorf("killed after write %d: errors %v, both have written\n  %s\ninstead of\n  %s", death, answer.Errors, strings.Join(both, "\n  "), strings.Join(whole, "\n  "))
			}
			if got := i.witnessed(t); got != want {
				t.Errorf("killed after write %d: the host is\n%s\ninstead of\n%s", death, got, want)
			}
			if death%10 == 0 { // programs cost much in an emulated machine
				if got := i.witnesses(t); got != witnesses {
					t.Errorf("killed after write %d: the host is\n%s\ninstead of\n%s", death, got, witnesses)
				}
			}
			i.keepsDeadlines(t, death, recorded)
			i.announcedAll(t, death)
			if again := i.again(t); again.Writes != 0 || len(i.written(t)) != 0 {
				t.Errorf("killed after write %d: when all is done %d writes more", death, again.Writes)
			}
		}
		stop(2 * len(whole))
	})
}

// interruption is a director whose requests are carried out by processes that die.
type interruption struct {
	*director
	log, polls string
	heard      func() []string
	announced  int // by the fake, up to the last reset
	// withoutDrains lets real servers go at once.
	withoutDrains bool
	// pause is the reader's between two looks.
	pause time.Duration
}

func (i *interruption) table(servers []wire.VirtualServer) []wire.VirtualServer {
	for index := range servers {
		if i.withoutDrains {
			servers[index].DrainSeconds = 0
		}
	}
	return servers
}

func newInterruption(t *testing.T, w *world) *interruption {
	t.Helper()
	return interrupted(t, newDirector(t, w), false)
}

func interrupted(t *testing.T, d *director, withoutDrains bool) *interruption {
	t.Helper()
	w := d.world
	i := &interruption{director: d, withoutDrains: withoutDrains, pause: 20 * time.Millisecond, log: filepath.Join(w.stateDir, "written"), polls: filepath.Join(w.stateDir, "polls"), heard: func() []string { return nil }}
	i.policy = interruptionPolicy
	i.apply(t, i.newEngine("test"), wire.Apply{Fence: i.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(virtualServer("198.51.100.1", 80, "192.0.2.21"))})
	foreign := service("192.0.2.200", 80)
	w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: foreign}, ipvs.Operation{Kind: ipvs.NewDestination, Service: foreign, Destination: destination("192.0.2.21", 80)})
	i.all(t, i.table(tableAfter())...)
	if w.real {
		i.heard = hearAddresses(t)
	}
	return i
}

func (i *interruption) reset(t *testing.T) {
	t.Helper()
	answer := i.apply(t, i.newEngine("prod"), wire.Apply{Fence: i.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: i.table(tableBefore()), Host: hostBefore()})
	if len(answer.Errors)+len(answer.Failed) > 0 {
		t.Fatalf("back to the first table: %+v", answer.Errors)
	}
	i.heard()
	if fake, isFake := i.addresses.(*address.Fake); isFake {
		i.announced = len(fake.Announced())
	}
}

// startReader starts the process that looks all the time. What it returns ends it, and wants so many polls and nothing absent.
func (i *interruption) startReader(t *testing.T) func(polls int) {
	t.Helper()
	if !i.real {
		return func(int) {}
	}
	task := readerTask{VirtualServers: map[string]int{"TCP 198.51.100.1:80": 1, "TCP 192.0.2.200:80": 1}, Polls: i.polls, Pause: i.pause}
	task.Addresses = append(task.Addresses, netip.MustParseAddr("198.51.100.1"))
	for _, server := range unrelated() {
		task.VirtualServers["TCP "+endpoint(server.Address, "80")] = len(server.RealServers)
		task.Addresses = append(task.Addresses, netip.MustParseAddr(server.Address))
	}
	process, output, input, err := startProcess("reader", task)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Process.Kill() })
	return func(polls int) {
		_ = input.Close()
		var report readerReport
		if err := errors.Join(process.Wait(), json.Unmarshal([]byte(output.String()), &report)); err != nil || report.Failure != "" {
			t.Fatalf("reader: %v %s", err, report.Failure)
		}
		if len(report.Absent) > 0 || report.Polls < uint64(polls) {
			t.Errorf("%d polls, wanted at least %d; absent: %v", report.Polls, polls, report.Absent)
		}
		t.Logf("%d polls of %d virtual servers and %d addresses", report.Polls, len(task.VirtualServers), len(task.Addresses))
	}
}

// carryOut asks for the second table, in a process that kills itself after so many writes (negative: never).
func (i *interruption) carryOut(t *testing.T, after int) wire.ApplyResult {
	t.Helper()
	task := helperTask{StateDir: i.stateDir, Boot: i.boot, Policy: i.policy, Death: after, Written: i.log, JournalDir: i.journalDir, Polls: i.polls, Request: i.request()}
	if !i.real {
		return i.abandon(t, task)
	}
	process, output, input, err := startProcess("helper", task)
	if err != nil {
		t.Fatal(err)
	}
	_ = input.Close()
	err = process.Wait()
	var exit *exec.ExitError
	if after >= 0 {
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("to be killed after write %d, the helper ended with %v: %s", after, err, output)
		}
		return wire.ApplyResult{}
	}
	var answer wire.ApplyResult
	if err := errors.Join(err, json.Unmarshal([]byte(output.String()), &answer)); err != nil {
		t.Fatalf("helper: %v: %s", err, output)
	}
	return answer
}

// abandon ends the engine's goroutine instead of a process: the fake kernel lives in ours.
func (i *interruption) abandon(t *testing.T, task helperTask) wire.ApplyResult {
	t.Helper()
	end := &death{left: task.Death, written: task.Written, pause: func() {}, kill: runtime.Goexit}
	answers := make(chan wire.ApplyResult, 1)
	go func() {
		defer close(answers)
		answer, _ := end.engine(i.director).Apply(task.Request)
		answers <- answer
	}()
	answer, ended := <-answers
	if ended == (task.Death >= 0) {
		t.Fatalf("to be abandoned after write %d, the engine has answered: %t", task.Death, ended)
	}
	return answer
}

// again is the next request, in another session.
func (i *interruption) again(t *testing.T) wire.ApplyResult {
	t.Helper()
	end := &death{left: -1, written: i.log, pause: func() {}}
	return i.apply(t, end.engine(i.director), i.request())
}

func (i *interruption) request() wire.Apply {
	return wire.Apply{Fence: i.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: i.table(tableAfter()), Host: hostAfter()}
}

// written is what was written since the last call, sorted: what the helper has noted, and what the kernel has told of addresses.
func (i *interruption) written(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(i.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	_ = os.Remove(i.log)
	lines := strings.Fields(strings.ReplaceAll(string(content), " ", "_"))
	slices.Sort(lines)
	var told []string
	for _, line := range lines {
		if strings.Contains(line, "_address_") {
			told = append(told, line)
		}
	}
	if heard := i.heard(); i.real && !slices.Equal(heard, told) {
		t.Errorf("the kernel tells of %v, the helper has written %v", heard, told)
	}
	return lines
}

// knownAsOurs wants everything that exists after an interruption to be in the ledger, and returns the drains there.
func (i *interruption) knownAsOurs(t *testing.T, death int) map[drain.Key]drain.Term {
	t.Helper()
	read, refusal := i.newEngine("prod").Read(wire.WhatKeys)
	if refusal != nil || len(read.Orphans) > 0 || len(read.Foreign) != 2 {
		t.Errorf("killed after write %d: refusal %v, orphans %v, foreign %v", death, refusal, read.Orphans, read.Foreign)
	}
	record, err := ledger.Open(i.stateDir, "prod", i.netns, i.boot).Read()
	if err != nil {
		t.Fatal(err)
	}
	var vips []netip.Addr
	for _, server := range append(tableBefore(), tableAfter()...) {
		vips = append(vips, netip.MustParseAddr(server.Address))
	}
	held, err := i.addresses.Held("lo", vips)
	for vip := range held {
		if !record.Addresses[onLo(vip.String())] {
			t.Errorf("killed after write %d: %s is on lo, and the ledger does not know it (%v)", death, vip, err)
		}
	}
	return maps.Clone(record.Drains)
}

// keepsDeadlines wants drains that had begun before the interruption to end as they would have.
func (i *interruption) keepsDeadlines(t *testing.T, death int, recorded map[drain.Key]drain.Term) {
	t.Helper()
	record, err := ledger.Open(i.stateDir, "prod", i.netns, i.boot).Read()
	if err != nil || len(record.Drains) != 6 {
		t.Errorf("killed after write %d: %d drains, %v", death, len(record.Drains), err)
	}
	for key, term := range record.Drains {
		if before, known := recorded[key]; known && before.Deadline != term.Deadline {
			t.Errorf("killed after write %d: the drain of %v was to end at %v and now ends at %v", death, key, before.Deadline, term.Deadline)
		}
	}
}

// announcedAll wants the neighbours to have been told of every VIP that has gone up, also when the helper was killed before it could.
// (lo, which a kernel's VIPs are on here, has none; what neighbours hear is in announce_test.go.)
func (i *interruption) announcedAll(t *testing.T, death int) {
	t.Helper()
	fake, isFake := i.addresses.(*address.Fake)
	if !isFake {
		return
	}
	since := fake.Announced()[i.announced:]
	for _, vip := range []string{"203.0.113.10", "203.0.113.11", "203.0.113.12", "2001:db8::10"} {
		if !slices.Contains(since, onLo(vip)) {
			t.Errorf("killed after write %d: %s was never announced, only %v", death, vip, since)
		}
	}
}

// witnessed is the host as the engine reads it.
func (i *interruption) witnessed(t *testing.T) string {
	t.Helper()
	read, refusal := i.newEngine("prod").Read(wire.WhatFull)
	if refusal != nil {
		t.Fatalf("read: %+v", refusal)
	}
	host, _ := json.Marshal(read.Host)
	return fmt.Sprintf("%s\n%+v\n%s\n", read.TableHash, read.Counts, host)
}

// witnesses is a kernel's host as ipvsadm, ip and nft see it, whatever the order.
func (i *interruption) witnesses(t *testing.T) string {
	t.Helper()
	if !i.real {
		return ""
	}
	var seen []string
	for _, ask := range [][]string{{"ipvsadm", "-Sn"}, {"ip", "-o", "addr", "show", "dev", "lo"}, {"nft", "-s", "list", "ruleset"}} {
		parts := strings.FieldsFunc(command(t, ask[0], ask[1:]...), func(r rune) bool { return r == '\n' || r == ',' })
		for index := range parts {
			parts[index] = strings.Join(strings.Fields(parts[index]), " ")
		}
		slices.Sort(parts)
		seen = append(seen, parts...)
	}
	return strings.Join(seen, "\n")
}
