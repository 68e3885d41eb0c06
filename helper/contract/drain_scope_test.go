package contract

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// A virtual server that goes closes at once and takes its real servers along, draining or not.
func TestNoDrainForADeletedVirtualServer(t *testing.T) {
	for name, remove := range map[string]func(*testing.T, *draining) wire.ApplyResult{
		"listed as absent":        func(t *testing.T, d *draining) wire.ApplyResult { return d.listed(t, nil, web().Key) },
		"not listed, scope all":   func(t *testing.T, d *draining) wire.ApplyResult { return d.all(t) },
		"in a session of its own": func(t *testing.T, d *draining) wire.ApplyResult { d.restart(); return d.all(t) },
	} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDraining(t, w)
				answer := remove(t, d)
				clean(t, answer, "delete address 203.0.113.10 from interface lo", "delete virtual server TCP 203.0.113.10:80")
				if answer.Counts.Draining != 0 {
					t.Errorf("%+v", answer.Counts)
				}
				w.ipvsadmShows(t)
				if next := d.settle(t); next != 0 {
					t.Errorf("looks again after %s", next)
				}
				// Made anew it begins anew.
				d.listed(t, list(web("192.0.2.21", "192.0.2.22")))
				d.pass(time.Hour)
				d.settle(t)
				d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 1")
			})
		})
	}
}

func TestDrainMeetsOtherHands(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		raised := destination("192.0.2.22", 80)
		w.must(t, ipvs.Operation{Kind: ipvs.SetDestination, Service: drainedVIP, Destination: raised})
		d.pass(3 * time.Second)
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
		w.must(t, ipvs.Operation{Kind: ipvs.DeleteDestination, Service: drainedVIP, Destination: raised})
		d.settle(t)
		if next := d.settle(t); next != 0 {
			t.Errorf("after somebody deleted it: looks again after %s", next)
		}
		w.must(t, ipvs.Operation{Kind: ipvs.DeleteService, Service: drainedVIP})
		clean(t, d.listed(t, list(web("192.0.2.21"))), "add virtual server TCP 203.0.113.10:80 with scheduler mh (mh-fallback,mh-port)",
			"add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.10:80")
	})
}

func TestDrainDryRun(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := &draining{director: newDirector(t, w), now: drainStart}
		d.restart()
		d.listed(t, list(web("192.0.2.21", "192.0.2.22")))
		request := wire.Apply{Fence: d.fence, DryRun: true, Scope: wire.ScopeListed, Interface: "lo", VirtualServers: list(web("192.0.2.21"))}
		wantChanges(t, d.apply(t, d.engine, request), drainSentence)
		if next := d.settle(t); next != 0 {
			t.Errorf("looks again after %s", next)
		}
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 1")
	})
}

// The policy's limit counts a drain when it begins, not when it ends.
func TestDrainsCountAsDeletions(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := &draining{director: newDirector(t, w), now: drainStart}
		d.policy = strings.Replace(defaultPolicy, `"interfaces":["lo","eth0","missing0"]`, `"interfaces":["lo","eth0"],"maxDeletionsPerRequest":1`, 1)
		d.restart()
		d.listed(t, list(web("192.0.2.21", "192.0.2.22", "192.0.2.23")))
		refused(t, d.listed(t, list(web("192.0.2.21"))), wire.ClassPolicy, "TCP 203.0.113.10:80", "maxDeletionsPerRequest (1) forbids the 2 deletions", web().Key)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 1", "192.0.2.23 weight 1")
		clean(t, d.listed(t, list(web("192.0.2.21", "192.0.2.22"))), strings.ReplaceAll(drainSentence, "2.22", "2.23"))
		d.pass(drain.MinimumStay)
		clean(t, d.listed(t, list(web("192.0.2.21"))), strings.ReplaceAll(drainSentence, "00:30Z", "00:32Z"))
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:32Z")
	})
}

// What the policy no longer grants is not touched any more.
func TestDrainOutsideTheRanges(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		granted := d.policy
		d.policy = strings.Replace(defaultPolicy, "203.0.113.0/24", "203.0.113.128/25", 1)
		d.pass(time.Hour)
		d.settle(t)
		d.policy = granted
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1")
	})
}

// Many are looked at in turns, so that no request waits for all of them; none is forgotten.
func TestManyDrains(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := &draining{director: newDirector(t, w), now: drainStart}
		d.restart()
		var full, half []wire.VirtualServer
		for port := range int64(600) {
			all := virtualServer("203.0.113.10", 1+port, "192.0.2.21", "192.0.2.22")
			all.DrainSeconds = 30
			some := all
			some.RealServers = all.RealServers[:1]
			full, half = append(full, all), append(half, some)
		}
		d.all(t, full...)
		if answer := d.all(t, half...); answer.Counts.Draining != 600 || answer.Writes != 600 {
			t.Fatalf("%d draining after %d writes", answer.Counts.Draining, answer.Writes)
		}
		d.pass(drain.MinimumStay)
		var left []int
		for next := apply.SettlePause; next == apply.SettlePause; {
			next = d.settle(t)
			left = append(left, d.read(t).Counts.Draining)
		}
		if !slices.Equal(left, []int{344, 88, 0}) {
			t.Errorf("left after each look: %v", left)
		}
	})
}

func TestDrainsDoNotWaitForTheLock(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		release, err := d.engine.Lock.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		d.pass(time.Hour)
		if next := d.settle(t); next != time.Second {
			t.Errorf("looks again after %s", next)
		}
		release()
		if next := d.settle(t); next != 0 {
			t.Errorf("looks again after %s", next)
		}
	})
}
