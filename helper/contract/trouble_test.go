package contract

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// Transient refusals are repeated inside, within bounds.
func TestTransientErrorsAreRepeated(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOBUFS, unix.EBUSY, unix.EINTR} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				refusals := 2
				d.engine.IPVS = &meddler{Kernel: d.ipvs, answer: func(ipvs.Operation) error {
					if refusals == 0 {
						return nil
					}
					refusals--
					return errno
				}}
				answer := d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21"))
				if len(answer.Errors) > 0 || answer.Writes != 3 || answer.Counts.RealServers != 1 {
					t.Errorf("answer %+v", answer)
				}
			})
		})
	}
}

func TestLastingTransientErrorIsReported(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.engine.IPVS = &meddler{Kernel: d.ipvs, answer: func(operation ipvs.Operation) error {
			if operation.Kind == ipvs.NewDestination {
				return unix.EBUSY
			}
			return nil
		}}
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		answer := d.all(t, web)
		refused(t, answer, wire.ClassRetry, "TCP 203.0.113.10:80", "EBUSY", web.Key)
	})
}

// Lost acknowledgements: what was done is found by reading, counted once, and not done twice.
func TestLostAcknowledgementsAreFoundByReading(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		var hosts []string
		for number := range 40 {
			hosts = append(hosts, fmt.Sprintf("192.0.2.%d", number+1))
		}
		d.engine.IPVS = w.lossy()
		web := virtualServer("203.0.113.10", 80, hosts...)
		answer := d.all(t, web)
		if len(answer.Errors) > 0 || len(answer.Failed) > 0 || answer.Writes != 42 || answer.Counts.RealServers != 40 {
			t.Errorf("errors %v, failed %v, writes %d, counts %+v", answer.Errors, answer.Failed, answer.Writes, answer.Counts)
		}
	})
}

// One object that the kernel refuses stops no other.
func TestOneRefusalStopsNoOther(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.engine.IPVS = &meddler{Kernel: d.ipvs, answer: func(operation ipvs.Operation) error {
			if operation.Kind == ipvs.NewDestination && operation.Destination.Address.String() == "192.0.2.22" {
				return unix.EINVAL
			}
			return nil
		}}
		bad := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22", "192.0.2.23")
		answer := d.all(t, bad, virtualServer("203.0.113.11", 80, "192.0.2.21"))
		refused(t, answer, wire.ClassObject, "TCP 203.0.113.10:80", "192.0.2.22:80", bad.Key)
		if answer.Errors[0].Errno != "EINVAL" || answer.Counts.RealServers != 3 {
			t.Errorf("answer %+v", answer)
		}
	})
}

// A kernel that says yes and keeps something else (tunnel types on old ones) is found by reading back.
func TestAcknowledgedButNotKept(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.engine.IPVS = &forgettingWeight{d.ipvs}
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		web.RealServers[0].Weight = 5
		answer := d.all(t, web)
		refused(t, answer, wire.ClassRetry, "TCP 203.0.113.10:80", "read back from the kernel other than it was written", web.Key)
	})
}

type forgettingWeight struct{ ipvs.Kernel }

func (f *forgettingWeight) Execute(operations []ipvs.Operation) []error {
	for index := range operations {
		operations[index].Destination.Weight = 1
	}
	return f.Kernel.Execute(operations)
}

// What the kernel would take without complaint although it cannot work, and plain nonsense: refused before it is sent.
func TestNonsenseIsRefused(t *testing.T) {
	rows := map[string]struct {
		edit  func(*wire.VirtualServer)
		words string
	}{
		"port 0":                {func(v *wire.VirtualServer) { v.Port = 0 }, "port 0 is outside 1 … 65535"},
		"port 65536":            {func(v *wire.VirtualServer) { v.Port = 65536 }, "port 65536 is outside 1 … 65535"},
		"protocol":              {func(v *wire.VirtualServer) { v.Protocol = "ICMP" }, `protocol "ICMP" is unknown`},
		"address":               {func(v *wire.VirtualServer) { v.Address = "203.0.113.300" }, "is not an IPv4 or IPv6 address"},
		"not canonical":         {func(v *wire.VirtualServer) { v.Address = "2001:DB8::10" }, "write 2001:db8::10"},
		"zone":                  {func(v *wire.VirtualServer) { v.Address = "fe80::1%lo" }, "is not an IPv4 or IPv6 address"},
		"mapped":                {func(v *wire.VirtualServer) { v.Address = "::ffff:203.0.113.10" }, "is not an IPv4 or IPv6 address"},
		"multicast VIP":         {func(v *wire.VirtualServer) { v.Address = "224.0.0.1" }, "cannot be a VIP"},
		"scheduler":             {func(v *wire.VirtualServer) { v.Scheduler = "fastest" }, `scheduler "fastest" is unknown`},
		"unknown flag":          {func(v *wire.VirtualServer) { v.SchedulerFlags = []string{"mh-sticky"} }, `scheduler flag "mh-sticky" is unknown`},
		"flag of another":       {func(v *wire.VirtualServer) { v.SchedulerFlags = []string{"mh-port"} }, "scheduler flag mh-port belongs to scheduler mh"},
		"one packet of TCP":     {func(v *wire.VirtualServer) { v.OnePacket = true }, "one-packet scheduling works with UDP only"},
		"persistence timeout":   {func(v *wire.VirtualServer) { v.Persistence = &wire.Persistence{TimeoutSeconds: 0, PrefixLength: 32} }, "persistence timeout 0"},
		"persistence prefix":    {func(v *wire.VirtualServer) { v.Persistence = &wire.Persistence{TimeoutSeconds: 1, PrefixLength: 33} }, "persistence prefix length 33"},
		"real server port":      {func(v *wire.VirtualServer) { v.RealServers[0].Port = 81 }, "DirectRouting cannot translate"},
		"real server family":    {func(v *wire.VirtualServer) { v.RealServers[0].Address = "2001:db8:1::21" }, "its address family differs"},
		"real server multicast": {func(v *wire.VirtualServer) { v.RealServers[0].Address = "224.0.0.1" }, "cannot be a real server"},
		"weight":                {func(v *wire.VirtualServer) { v.RealServers[0].Weight = 1 << 31 }, "weight 2147483648 is outside"},
		"negative weight":       {func(v *wire.VirtualServer) { v.RealServers[0].Weight = -1 }, "weight -1 is outside"},
		"thresholds":            {func(v *wire.VirtualServer) { v.RealServers[0].LowerThreshold = 1 }, "lower threshold 1"},
		"method":                {func(v *wire.VirtualServer) { v.RealServers[0].ForwardingMethod = "Teleporting" }, `forwarding method "Teleporting" is unknown`},
		"real server twice":     {func(v *wire.VirtualServer) { v.RealServers = append(v.RealServers, v.RealServers[0]) }, "is listed twice"},
	}
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		before := virtualServer("203.0.113.10", 80, "192.0.2.21")
		d.all(t, before)
		for name, row := range rows {
			bad := virtualServer("203.0.113.10", 80, "192.0.2.21")
			row.edit(&bad)
			answer := d.listed(t, list(bad))
			if len(answer.Errors) != 1 || answer.Errors[0].Class != wire.ClassObject || !strings.Contains(answer.Errors[0].Message, row.words) || answer.Writes != 0 {
				t.Errorf("%s: answer %+v, wanted %q", name, answer, row.words)
			}
			if len(answer.Failed) != 1 || answer.Failed[0] != bad.Key {
				t.Errorf("%s: failed %v", name, answer.Failed)
			}
			if kept := d.read(t); len(*kept.VirtualServers) != 1 || keyed(t, kept, before.Key).RealServers[0].RealServer != before.RealServers[0] {
				t.Fatalf("%s: what stood was changed: %+v", name, kept)
			}
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
	})
}

func TestKeyListedTwice(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		refused(t, d.listed(t, list(web, web)), wire.ClassObject, "TCP 203.0.113.10:80", "listed more than once", web.Key)
		refused(t, d.listed(t, list(web), web.Key), wire.ClassObject, "TCP 203.0.113.10:80", "listed more than once", web.Key)
		w.ipvsadmShows(t)
	})
}

// Callers at once, each with a session of its own: the lock makes them take turns, and nothing is lost. (On a kernel processes do so:
// TestKernelTwoShippedHelpersAtOnce. Threads of this one would have to be in the test's network namespace.)
func TestCallersAtOnce(t *testing.T) {
	d := newDirector(t, fakeWorld(t.TempDir()))
	var group sync.WaitGroup
	const callers, requests = 4, 20
	for caller := range callers {
		engine := d.newEngine("prod")
		group.Go(func() {
			for number := range requests {
				web := virtualServer(fmt.Sprintf("203.0.113.%d", caller*requests+number+1), 80, "192.0.2.21")
				if answer, refusal := engine.Apply(wire.Apply{Fence: d.fence, Scope: wire.ScopeListed, Interface: "lo", VirtualServers: list(web)}); refusal != nil || len(answer.Errors) > 0 {
					t.Errorf("refusal %v, answer %+v", refusal, answer)
				}
			}
		})
	}
	group.Wait()
	if read := d.read(t); read.Counts.VirtualServers != callers*requests || read.TotalWrites != 3*callers*requests || len(read.Addresses) != callers*requests {
		t.Errorf("read %+v", read.Counts)
	}
}

func TestKernelThatCannotBeUsed(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.engine = &apply.Engine{IPVS: w.unprivileged(t), Addresses: d.addresses, Ledger: d.engine.Ledger, Lock: d.engine.Lock, Policy: d.engine.Policy}
		_, refusal := d.engine.Apply(wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo"})
		if refusal == nil || refusal.Class != wire.ClassPermanent || refusal.Errno != "EPERM" || !strings.Contains(refusal.Message, "setcap") {
			t.Errorf("refusal %+v", refusal)
		}
		if _, refusal := d.engine.Read(wire.WhatKeys); refusal == nil || refusal.Class != wire.ClassPermanent {
			t.Errorf("read: %+v", refusal)
		}
	})
}
