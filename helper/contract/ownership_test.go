package contract

import (
	"slices"
	"strings"
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// What is outside our ranges, and firewall marks, nobody touches, whatever is asked.
func TestForeignStays(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		foreign := service("198.51.100.1", 25)
		mark := ipvs.Service{ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv4, FirewallMark: 7}, Scheduler: "wlc", PrefixLength: 32}
		w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: foreign}, ipvs.Operation{Kind: ipvs.NewDestination, Service: foreign, Destination: destination("198.51.100.2", 25)},
			ipvs.Operation{Kind: ipvs.NewService, Service: mark})
		lines := []string{"-A -t 198.51.100.1:25 -s rr", "-a -t 198.51.100.1:25 -r 198.51.100.2:25 -g -w 1", "-A -f 7 -s wlc"}
		if answer := d.all(t); answer.Writes != 0 || answer.Counts.Foreign != 2 || answer.Counts.VirtualServers != 0 {
			t.Errorf("an empty table: %+v", answer)
		}
		wanted := virtualServer("198.51.100.1", 25, "192.0.2.21")
		refused(t, d.all(t, wanted), wire.ClassPolicy, "TCP 198.51.100.1:25", "owners.prod.virtualServers", wanted.Key)
		refused(t, d.listed(t, nil, wanted.Key), wire.ClassPolicy, "TCP 198.51.100.1:25", "owners.prod.virtualServers", wanted.Key)
		read := d.read(t)
		if !slices.Equal(read.Foreign, []wire.Key{wanted.Key}) || !slices.Equal(read.ForeignFirewallMarks, []uint32{7}) || read.Counts.Foreign != 2 {
			t.Errorf("read %+v", read)
		}
		w.ipvsadmShows(t, lines...)
	})
}

func orphan(t *testing.T, w *world) wire.VirtualServer {
	t.Helper()
	left := service("203.0.113.10", 80)
	left.Scheduler = "wrr"
	w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: left}, ipvs.Operation{Kind: ipvs.NewDestination, Service: left, Destination: destination("192.0.2.21", 80)})
	return virtualServer("203.0.113.10", 80, "192.0.2.21")
}

func TestOrphanThatIsAsWantedIsAdopted(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		wanted := orphan(t, w)
		addLo(t, d, "203.0.113.10")
		answer := d.all(t, wanted)
		clean(t, answer)
		if answer.Writes != 0 || answer.Counts.VirtualServers != 1 || answer.Counts.Orphans != 0 {
			t.Errorf("adopted: %+v", answer)
		}
		clean(t, d.all(t), "delete virtual server TCP 203.0.113.10:80") // ours now
		w.ipShows(t, "lo", "203.0.113.10/32")                           // but the address never was
	})
}

func TestOrphanInTheWayIsACollision(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		wanted := orphan(t, w)
		wanted.Scheduler = "wlc"
		other := virtualServer("203.0.113.11", 80, "192.0.2.21")
		answer := d.all(t, wanted, other)
		refused(t, answer, wire.ClassCollision, "TCP 203.0.113.10:80", "not made by owner prod", wanted.Key)
		if answer.Writes != 3 || answer.Counts.Orphans != 1 || answer.Counts.VirtualServers != 1 {
			t.Errorf("the other one: %+v", answer)
		}
		refused(t, d.listed(t, nil, wanted.Key), wire.ClassCollision, "TCP 203.0.113.10:80", "left alone", wanted.Key)
		if answer := d.all(t, other); answer.Writes != 0 || answer.Counts.Orphans != 1 {
			t.Errorf("all without it: %+v", answer)
		}
		if read := d.read(t); !slices.Equal(read.Orphans, []wire.Key{wanted.Key}) {
			t.Errorf("orphans %v", read.Orphans)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1",
			"-A -t 203.0.113.11:80 -s wrr", "-a -t 203.0.113.11:80 -r 192.0.2.21:80 -g -w 1")
	})
}

// Somebody makes the same virtual server between our reading and our writing: it is theirs.
func TestCollisionAtTheMomentOfWriting(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		wanted := virtualServer("203.0.113.10", 80, "192.0.2.21")
		wanted.Scheduler = "wlc"
		d.engine.IPVS = &meddler{Kernel: d.ipvs, before: func() { orphan(t, w) }}
		answer := d.all(t, wanted)
		refused(t, answer, wire.ClassCollision, "TCP 203.0.113.10:80", "not made by owner prod", wanted.Key)
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
		w.ipShows(t, "lo")
		if got := d.drift(t); len(got) > 0 {
			t.Errorf("the journal has what is someone else's: %q", got)
		}
	})
}

// Somebody removes what we were about to change: it is made again, in the same request.
func TestVanishingAtTheMomentOfWriting(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		wanted := virtualServer("203.0.113.10", 80, "192.0.2.21")
		d.all(t, wanted)
		wanted.RealServers[0].Weight = 3
		d.engine.IPVS = &meddler{Kernel: d.ipvs, before: func() { w.must(t, ipvs.Operation{Kind: ipvs.DeleteService, Service: service("203.0.113.10", 80)}) }}
		clean(t, d.listed(t, list(wanted)), "add virtual server TCP 203.0.113.10:80 with scheduler wrr", "add real server 192.0.2.21:80 weight 3 to TCP 203.0.113.10:80")
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 3")
	})
}

// Two owners share a host: each sees the other's as foreign.
func TestOwnersLeaveEachOtherAlone(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		other := d.newEngine("test")
		d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21"))
		theirs := virtualServer("198.51.100.10", 80, "192.0.2.21")
		answer := d.apply(t, other, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(theirs)})
		if len(answer.Errors) > 0 || answer.TotalWrites != 3 || answer.Counts.Foreign != 1 || answer.Counts.VirtualServers != 1 {
			t.Errorf("the other owner: %+v", answer)
		}
		d.all(t)
		w.ipvsadmShows(t, "-A -t 198.51.100.10:80 -s wrr", "-a -t 198.51.100.10:80 -r 192.0.2.21:80 -g -w 1")
		w.ipShows(t, "lo", "198.51.100.10/32")
	})
}

// A new session knows what earlier ones made; after a boot, and without a journal, nothing is ours.
func TestLedgerOutlivesSessionsButNotBoots(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		first := d.all(t, web)
		d.engine = d.newEngine("prod")
		answer := d.listed(t, list(web))
		clean(t, answer)
		if answer.TotalWrites != 3 || answer.TableHash != first.TableHash || answer.Counts != first.Counts {
			t.Errorf("new session: %+v, the first said %+v", answer, first)
		}
		d.boot = "another boot"
		d.newDisk(t)
		d.engine = d.newEngine("prod")
		if read := d.read(t); read.TotalWrites != 0 || read.Counts.Orphans != 1 || read.Counts.VirtualServers != 0 {
			t.Errorf("another boot: %+v", read)
		}
		if fence, err := d.engine.Fence(); err != nil || fence != (wire.Fence{}) {
			t.Errorf("another boot: fence %v, %v", fence, err)
		}
	})
}

// Two sessions of one owner take turns: neither trusts what it remembers of the table.
func TestSessionsTakeTurns(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		other := d.newEngine("prod")
		first, second, third := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.11", 80), virtualServer("203.0.113.12", 80)
		d.listed(t, list(first))
		d.apply(t, other, wire.Apply{Fence: d.fence, Scope: wire.ScopeListed, Interface: "lo", VirtualServers: list(second)})
		answer := d.listed(t, list(third))
		if whole := d.read(t); answer.TableHash != whole.TableHash || answer.Counts != whole.Counts || whole.Counts.VirtualServers != 3 {
			t.Errorf("listed says %s %+v, the whole is %s %+v", answer.TableHash, answer.Counts, whole.TableHash, whole.Counts)
		}
		answer = d.apply(t, other, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo"})
		if answer.Counts.VirtualServers != 0 || answer.TotalWrites != 3+2+2+6 {
			t.Errorf("all gone: %+v", answer)
		}
	})
}

func TestFencing(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		apply := func(epoch, generation uint64, dryRun bool) *wire.Error {
			_, refusal := d.engine.Apply(wire.Apply{Fence: wire.Fence{Epoch: epoch, Generation: generation}, DryRun: dryRun, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(web)})
			return refusal
		}
		for _, row := range []struct {
			epoch, generation uint64
			dryRun, fenced    bool
		}{
			{3, 17, false, false}, {3, 17, false, false}, {3, 16, false, true}, {2, 99, false, true}, {2, 99, true, false},
			{3, 18, false, false}, {3, 17, false, true}, {4, 1, false, false}, {3, 99, false, true},
		} {
			refusal := apply(row.epoch, row.generation, row.dryRun)
			if (refusal != nil) != row.fenced || refusal != nil && (refusal.Class != wire.ClassFenced || refusal.Highest == nil) {
				t.Errorf("epoch %d generation %d: %+v", row.epoch, row.generation, refusal)
			}
		}
		d.engine = d.newEngine("prod")
		if refusal := apply(3, 99, false); refusal == nil || *refusal.Highest != (wire.Fence{Epoch: 4, Generation: 1}) || !strings.Contains(refusal.Message, "epoch 4 generation 1") {
			t.Errorf("a new session remembers: %+v", refusal)
		}
	})
}
