package contract

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	facts "ipvs-operator.io/helper/host"
	"ipvs-operator.io/helper/wire"
)

// The same interruptions as in TestKilledAfterEveryWrite, of the program that directors run, serving a session as in production: another
// process follows its system calls and kills it after each of its writes, to the kernel (in whole batches, as it makes them) and to its files.
// Nothing drains here: a session ends drains by itself when their time has come. In an emulated machine a death takes a quarter of a minute, so
// that only each twelfth write has one; with IPVS_CONTRACT_DEATH_STEP=1 each has.
func TestKernelShippedHelperKilledAfterWrites(t *testing.T) {
	kernelOnly(t)
	s := newShipped(t)
	stop := s.startReader(t)
	s.reset(t)
	whole, answer := s.serve(t, unharmed)
	if len(answer.Changes) < 60 || answer.Writes != len(answer.Changes) || whole.Killed {
		t.Fatalf("the plan has %d changes and %d writes", len(answer.Changes), answer.Writes)
	}
	want, witnesses := s.witnessed(t), s.witnesses(t)
	step := int(setting(t, "IPVS_CONTRACT_DEATH_STEP", 12))
	deaths := 0
	for death := step / 2; death <= whole.Writes && !t.Failed(); death += step {
		deaths++
		s.reset(t)
		first, _ := s.serve(t, death)
		s.knownAsOurs(t, death)
		second, answer := s.serve(t, unharmed)
		both := append(first.ToKernel, second.ToKernel...)
		slices.Sort(both)
		if !first.Killed || first.Writes != death || len(answer.Errors)+len(answer.Failed) > 0 || !slices.Equal(both, whole.ToKernel) {
			t.Errorf("killed after write %d (%t, after %d): errors %v, both have written\n  %s\ninstead of\n  %s", death, first.Killed, first.Writes, answer.Errors,
				strings.Join(both, "\n  "), strings.Join(whole.ToKernel, "\n  "))
		}
		if got := s.witnessed(t); got != want {
			t.Errorf("killed after write %d: the host is\n%s\ninstead of\n%s", death, got, want)
		}
		if deaths%5 == 1 { // programs cost much in an emulated machine
			if got := s.witnesses(t); got != witnesses {
				t.Errorf("killed after write %d: the host is\n%s\ninstead of\n%s", death, got, witnesses)
			}
		}
		s.heard()
		if again := s.again(t); again.Writes != 0 || len(s.heard()) != 0 {
			t.Errorf("killed after write %d: when all is done %d writes more", death, again.Writes)
		}
	}
	t.Logf("%d changes in %d messages to the kernel; killed after %d of %d writes", len(answer.Changes), len(whole.ToKernel), deaths, whole.Writes)
	stop(2 * deaths)
}

// shipped is an interrupted director with the program in place of the engine.
type shipped struct {
	*interruption
	program, policyFile string
	watched             bool
}

func newShipped(t *testing.T) *shipped {
	t.Helper()
	return shippedOn(t, interrupted(t, shippedDirector(t), true))
}

// shippedDirector is a director whose netns and boot are called as the program finds them.
func shippedDirector(t *testing.T) *director {
	t.Helper()
	d, found := newDirector(t, realWorld(t)), facts.Root("/").Discover()
	d.netns, d.boot = found.Netns, found.BootID
	d.engine = d.newEngine("prod")
	return d
}

func shippedOn(t *testing.T, i *interruption) *shipped {
	t.Helper()
	s := &shipped{interruption: i, program: os.Getenv("IPVS_CONTRACT_HELPER"), policyFile: filepath.Join(i.stateDir, "policy.json")}
	if s.program == "" {
		t.Fatal("IPVS_CONTRACT_HELPER does not say where the helper's program is (make dist/ipvs-helper)")
	}
	if err := os.WriteFile(s.policyFile, []byte(s.policy), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// unharmed is the number of writes after which a helper is not killed.
const unharmed = -1

// serve asks the program for the second table, and has it killed after so many writes. The messages are sorted.
func (s *shipped) serve(t *testing.T, after int) (tracerReport, wire.ApplyResult) {
	t.Helper()
	task := tracerTask{Program: s.program, Arguments: s.arguments("serve"), Request: sent(t, s.request()), Journal: s.journalDir, Death: after, Watched: !s.watched, Polls: s.polls}
	s.watched = true // closely once; the others stop between the same writes
	process, output, input, err := startProcess("tracer", task)
	if err != nil {
		t.Fatal(err)
	}
	_ = input.Close()
	var report tracerReport
	if err := errors.Join(process.Wait(), json.Unmarshal([]byte(output.String()), &report)); err != nil {
		t.Fatalf("tracer: %v: %s", err, output)
	}
	slices.Sort(report.ToKernel)
	if after >= 0 {
		return report, wire.ApplyResult{}
	}
	var answer struct {
		OK     bool
		Result wire.ApplyResult
	}
	if err := json.Unmarshal(report.Answer, &answer); err != nil || !answer.OK {
		t.Fatalf("the helper answers %q: %v", report.Answer, err)
	}
	return report, answer.Result
}

// sent is a request as the operator sends it.
func sent(t *testing.T, request wire.Apply) json.RawMessage {
	t.Helper()
	for index := range request.VirtualServers {
		server := &request.VirtualServers[index]
		server.SchedulerFlags = append([]string{}, server.SchedulerFlags...)
		server.RealServers = append([]wire.RealServer{}, server.RealServers...)
	}
	body, err := json.Marshal(map[string]any{"id": 1, "op": "apply", "epoch": request.Fence.Epoch, "generation": request.Fence.Generation, "dryRun": false,
		"scope": request.Scope, "interface": request.Interface, "virtualServers": request.VirtualServers, "absent": []wire.Key{}, "host": request.Host})
	if err != nil {
		t.Fatal(err)
	}
	return body
}
