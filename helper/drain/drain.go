// Package drain is about real servers on their way out: at weight 0, so that nothing new reaches them, until nothing is left
// on them or their time is up. Pure but for SystemClock.
package drain

import (
	"cmp"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
)

// MinimumStay at weight 0, also when no connection is counted: packets of the last ones may be on their way, and with two
// directors behind a router that spreads, connections of the other one may move here.
const MinimumStay = 2 * time.Second

// Key names a real server of a virtual server.
type Key struct {
	VirtualServer ipvs.ServiceKey
	RealServer    ipvs.DestinationKey
}

// Compare orders by virtual server, then real server.
func (k Key) Compare(other Key) int {
	return cmp.Or(k.VirtualServer.Compare(other.VirtualServer), k.RealServer.Compare(other.RealServer))
}

// Term is when a drain began and when it ends at the latest, both since the host's boot: steps of the wall clock do not
// matter, and both end with the kernel's table.
type Term struct {
	Since    time.Duration
	Deadline time.Duration
}

// Begin is the term of a drain that begins now and lasts so long at most.
func Begin(now, longest time.Duration) Term { return Term{Since: now, Deadline: now + longest} }

// AtMost is the term shortened to so long after its begin; it is never extended.
func (t Term) AtMost(longest time.Duration) Term {
	return Term{Since: t.Since, Deadline: min(t.Deadline, t.Since+longest)}
}

// Over reports whether a real server with these connections has stayed long enough. Persistent ones are the clients that
// persistence still binds to it.
func (t Term) Over(left ipvs.Connections, now time.Duration) bool {
	return now >= t.Deadline || left == (ipvs.Connections{}) && now >= t.Since+MinimumStay
}

// Moment is one instant on both clocks.
type Moment struct {
	SinceBoot time.Duration
	Wall      time.Time
}

// WallTime is the wall-clock time of another instant since boot, in whole seconds, as far as the wall clock can be trusted.
func (m Moment) WallTime(sinceBoot time.Duration) string {
	return m.Wall.Add(sinceBoot - m.SinceBoot).UTC().Truncate(time.Second).Format(time.RFC3339)
}

// SystemClock is CLOCK_BOOTTIME, which also goes on while the host sleeps, and the wall clock.
func SystemClock() Moment {
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		panic("clock_gettime(CLOCK_BOOTTIME), which every kernel since 2.6.39 has: " + err.Error())
	}
	return Moment{SinceBoot: time.Duration(boot.Nano()), Wall: time.Now()}
}
