package contract

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

func TestDrainReturnsInPlace(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		d.pass(time.Second)
		heavier := web("192.0.2.21", "192.0.2.22")
		heavier.RealServers[1].Weight = 3
		back := d.listed(t, list(heavier))
		clean(t, back, "take real server 192.0.2.22:80 of TCP 203.0.113.10:80 back: weight 0 to 3")
		if back.Changes[0].Kind != "undrainRealServer" || back.Writes != 1 || back.Counts.Draining != 0 || back.Counts.RealServers != 2 {
			t.Errorf("%+v", back)
		}
		d.pass(time.Hour)
		if next := d.settle(t); next != 0 {
			t.Errorf("looks again after %s", next)
		}
		clean(t, d.listed(t, list(heavier)))
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 3")
	})
}

// Wanted at weight 0 it stays at weight 0, for good; and one that leaves from weight 0 needs no write to begin.
func TestDrainFromAndToWeightZero(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		quiet := web("192.0.2.21", "192.0.2.22")
		quiet.RealServers[1].Weight = 0
		clean(t, d.listed(t, list(quiet)))
		d.pass(time.Hour)
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0")
		left := d.listed(t, list(web("192.0.2.21")))
		clean(t, left)
		if left.Writes != 0 || left.Counts.Draining != 1 {
			t.Errorf("%+v", left)
		}
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T13:00:30Z")
		d.pass(drain.MinimumStay)
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1")
	})
}

func TestDrainOutlivesTheSession(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		d.engine.IPVS = nil // whoever used it now would be found out
		d.restart()
		d.engine.IPVS = &counting{Kernel: w.ipvs, key: leavingServer}
		d.pass(29 * time.Second)
		clean(t, d.all(t, web("192.0.2.21")))
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
		d.pass(time.Hour) // nobody there
		clean(t, d.all(t, web("192.0.2.21")))
		d.restart()
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1")
	})
}

// Cut off after the record and before the write, the next session finishes what was begun; the clock of the stay starts then.
func TestDrainInterruptedBeforeTheWrite(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := &draining{director: newDirector(t, w), now: drainStart}
		d.restart()
		d.listed(t, list(web("192.0.2.21", "192.0.2.22")))
		d.engine.IPVS = &meddler{Kernel: w.ipvs, before: func() { panic("killed") }}
		func() {
			defer func() { _ = recover() }()
			d.listed(t, list(web("192.0.2.21")))
		}()
		d.restart()
		d.pass(10 * time.Second)
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
		d.pass(drain.MinimumStay)
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1")
	})
}

func TestDrainWriteRefused(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := &draining{director: newDirector(t, w), now: drainStart}
		d.restart()
		d.listed(t, list(web("192.0.2.21", "192.0.2.22")))
		d.engine.IPVS = &meddler{Kernel: w.ipvs, answer: func(ipvs.Operation) error { return unix.EINVAL }}
		answer := d.listed(t, list(web("192.0.2.21")))
		refused(t, answer, wire.ClassObject, "TCP 203.0.113.10:80", "drain real server 192.0.2.22:80", web().Key)
		d.restart()
		clean(t, d.listed(t, list(web("192.0.2.21"))), drainSentence)
	})
}
