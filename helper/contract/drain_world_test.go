package contract

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/wire"
)

// draining is a director whose time the test makes pass, with TCP 203.0.113.10:80 on two real servers, of which 192.0.2.22
// has been taken off the list with 30 s to drain.
type draining struct {
	*director
	now drain.Moment
}

var (
	drainStart    = drain.Moment{SinceBoot: 100 * time.Second, Wall: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	leavingServer = destination("192.0.2.22", 80).DestinationKey
	drainedVIP    = service("203.0.113.10", 80)
)

const drainSentence = "drain real server 192.0.2.22:80 of TCP 203.0.113.10:80: weight 1 to 0, delete it when nothing is left on it, at the latest at 2026-01-01T12:00:30Z"

func newDraining(t *testing.T, w *world) *draining {
	t.Helper()
	d := &draining{director: newDirector(t, w), now: drainStart}
	d.restart()
	d.listed(t, list(web("192.0.2.21", "192.0.2.22")))
	clean(t, d.listed(t, list(web("192.0.2.21"))), drainSentence)
	return d
}

// web drains for 30 s.
func web(hosts ...string) wire.VirtualServer {
	result := virtualServer("203.0.113.10", 80, hosts...)
	result.Scheduler, result.SchedulerFlags, result.DrainSeconds = "mh", []string{"mh-fallback", "mh-port"}, 30
	return result
}

// restart ends the session; the next one knows nothing but what is on the host.
func (d *draining) restart() { d.clocked(d.newEngine("prod")) }

func (d *draining) clocked(engine *apply.Engine) {
	engine.Now = func() drain.Moment { return d.now }
	d.engine = engine
}

func (d *draining) pass(elapsed time.Duration) {
	d.now.SinceBoot += elapsed
	d.now.Wall = d.now.Wall.Add(elapsed)
}

func (d *draining) settle(t *testing.T) time.Duration {
	t.Helper()
	next, refusal := d.engine.SettleDrains()
	if refusal != nil {
		t.Fatalf("drains cannot go on: %s: %s", refusal.Class, refusal.Message)
	}
	return next
}

// holds asks the kernel for the weights of the real servers, and what read says of the drain.
func (d *draining) holds(t *testing.T, realServers ...string) {
	t.Helper()
	var got []string
	for _, realServer := range keyed(t, d.read(t), wire.Key{Address: "203.0.113.10", Port: 80, Protocol: "TCP"}).RealServers {
		text := realServer.Address + " weight " + string(rune('0'+realServer.Weight))
		if realServer.Draining {
			text += " until " + realServer.DrainDeadline
		}
		got = append(got, text)
	}
	if !slices.Equal(got, realServers) {
		t.Errorf("the table has %v, wanted %v", got, realServers)
	}
	lines := []string{"-A -t 203.0.113.10:80 -s mh -b mh-fallback,mh-port"}
	for _, realServer := range realServers {
		words := strings.Fields(realServer)
		lines = append(lines, "-a -t 203.0.113.10:80 -r "+words[0]+":80 -g -w "+words[2])
	}
	d.ipvsadmShows(t, lines...)
}
