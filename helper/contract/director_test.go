package contract

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/journal"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/policy"
	"ipvs-operator.io/helper/wire"
)

// director is a world with an engine of owner prod on it, as serve puts it together.
type director struct {
	*world
	engine     *apply.Engine
	stateDir   string
	journalDir string
	netns      string
	boot       string
	policy     string
	fence      wire.Fence
}

const defaultPolicy = `{"owners":{
	"prod":{"virtualServers":["203.0.113.0/24","2001:db8::/64"],"realServers":["192.0.2.0/24","2001:db8:1::/64"],"interfaces":["lo","eth0","missing0"]},
	"test":{"virtualServers":["198.51.100.0/24"],"realServers":["192.0.2.0/24"],"interfaces":["lo"]}}}`

var boots atomic.Int64

func newDirector(t *testing.T, w *world) *director {
	t.Helper()
	// Every director has booted just now: what others have left in the same state directory is of an earlier boot.
	d := &director{world: w, stateDir: w.stateDir, netns: "netns", boot: fmt.Sprint("boot ", boots.Add(1)), policy: defaultPolicy, fence: wire.Fence{Epoch: 1, Generation: 1}}
	d.newDisk(t)
	d.engine = d.newEngine("prod")
	return d
}

// newDisk gives the director an empty directory for journals.
func (d *director) newDisk(t *testing.T) {
	t.Helper()
	var err error
	if d.journalDir, err = os.MkdirTemp(d.stateDir, "journal-"); err != nil {
		t.Fatal(err)
	}
}

// newEngine is a new session of an owner on the same host.
func (d *director) newEngine(owner string) *apply.Engine {
	return &apply.Engine{
		IPVS: d.ipvs, Addresses: d.addresses, Host: d.settings, Packets: d.packets(owner),
		Ledger: ledger.Open(d.stateDir, owner, d.netns, d.boot), Lock: ledger.NewLock(d.stateDir, d.netns),
		Journal: journal.Open(d.journalDir, owner),
		Policy:  func() (policy.Grant, error) { return policy.Parse([]byte(d.policy), owner) },
	}
}

// listed applies with scope listed; nothing may be refused as a whole.
func (d *director) listed(t *testing.T, virtualServers []wire.VirtualServer, absent ...wire.Key) wire.ApplyResult {
	t.Helper()
	return d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeListed, Interface: "lo", VirtualServers: virtualServers, Absent: absent})
}

// all applies with scope all.
func (d *director) all(t *testing.T, virtualServers ...wire.VirtualServer) wire.ApplyResult {
	t.Helper()
	return d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: virtualServers})
}

func (d *director) apply(t *testing.T, engine *apply.Engine, request wire.Apply) wire.ApplyResult {
	t.Helper()
	answer, refusal := engine.Apply(request)
	if refusal != nil {
		t.Fatalf("apply refused: %s: %s", refusal.Class, refusal.Message)
	}
	return answer
}

func (d *director) read(t *testing.T) wire.ReadResult {
	t.Helper()
	answer, refusal := d.engine.Read(wire.WhatFull)
	if refusal != nil {
		t.Fatalf("read refused: %s: %s", refusal.Class, refusal.Message)
	}
	return answer
}

// virtualServer is a valid one: TCP, wrr, direct routing, weight 1 for each host.
func virtualServer(vip string, port int64, hosts ...string) wire.VirtualServer {
	result := wire.VirtualServer{Key: wire.Key{Address: vip, Port: port, Protocol: "TCP"}, Scheduler: "wrr"}
	for _, host := range hosts {
		result.RealServers = append(result.RealServers, wire.RealServer{Address: host, Port: port, Weight: 1, ForwardingMethod: "DirectRouting"})
	}
	return result
}

func list(virtualServers ...wire.VirtualServer) []wire.VirtualServer { return virtualServers }

// clean wants an answer without errors, and exactly these changes in this order.
func clean(t *testing.T, answer wire.ApplyResult, changes ...string) {
	t.Helper()
	if len(answer.Errors) > 0 || len(answer.Failed) > 0 {
		t.Errorf("errors %+v, failed %v; wanted none", answer.Errors, answer.Failed)
	}
	wantChanges(t, answer, changes...)
}

func wantChanges(t *testing.T, answer wire.ApplyResult, changes ...string) {
	t.Helper()
	var sentences []string
	for _, change := range answer.Changes {
		sentences = append(sentences, change.Sentence)
	}
	if !slices.Equal(sentences, changes) {
		t.Errorf("changes\n  %s\nwanted\n  %s", strings.Join(sentences, "\n  "), strings.Join(changes, "\n  "))
	}
}

// refused wants exactly one error, of this class, about this object, with these words in it; and these keys failed.
func refused(t *testing.T, answer wire.ApplyResult, class wire.Class, object, words string, failed ...wire.Key) {
	t.Helper()
	if len(answer.Errors) != 1 || answer.Errors[0].Class != class || answer.Errors[0].Object != object || !strings.Contains(answer.Errors[0].Message, words) {
		t.Errorf("errors %+v; wanted one of class %s about %s with %q", answer.Errors, class, object, words)
	}
	if !slices.Equal(answer.Failed, failed) {
		t.Errorf("failed %v, wanted %v", answer.Failed, failed)
	}
}

// meddler lets something happen at the moment of writing, and can answer in the kernel's place.
type meddler struct {
	ipvs.Kernel
	before func()
	answer func(ipvs.Operation) error
	writes int
}

func (m *meddler) Execute(operations []ipvs.Operation) []error {
	if m.before != nil {
		before := m.before
		m.before = nil
		before()
	}
	results := make([]error, len(operations))
	for index, operation := range operations {
		if m.answer != nil {
			results[index] = m.answer(operation)
		}
		if results[index] == nil {
			m.writes++
			results[index] = m.Kernel.Execute([]ipvs.Operation{operation})[0]
		}
	}
	return results
}

// keyed finds a read virtual server.
func keyed(t *testing.T, answer wire.ReadResult, key wire.Key) wire.ObservedVirtualServer {
	t.Helper()
	for _, found := range *answer.VirtualServers {
		if found.Key == key {
			return found
		}
	}
	t.Fatalf("%v was not read; read %v", key, *answer.VirtualServers)
	return wire.ObservedVirtualServer{}
}

// The kernel's words for what some cases provoke.
const (
	errNoScheduler = unix.ENOENT
	errNoService   = unix.ESRCH
	errNoAddress   = unix.EADDRNOTAVAIL
)

func onLo(vip string) address.Assigned {
	return address.Assigned{Interface: "lo", Address: netip.MustParseAddr(vip)}
}

func addLo(t *testing.T, d *director, vip string) {
	t.Helper()
	if err := d.addresses.Add(onLo(vip))[0]; err != nil {
		t.Fatal(err)
	}
}

func endpoint(vip, port string) string { return net.JoinHostPort(vip, port) }
