package contract

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
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

func TestDrain(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
		again := d.listed(t, list(web("192.0.2.21")))
		clean(t, again)
		if again.Writes != 0 || again.TotalWrites != 5 || again.Counts.RealServers != 1 || again.Counts.Draining != 1 {
			t.Errorf("the same again: %+v", again)
		}
		d.pass(drain.MinimumStay - time.Millisecond)
		if next := d.settle(t); next != time.Second {
			t.Errorf("looks again after %s", next)
		}
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
		d.pass(time.Millisecond)
		if next := d.settle(t); next != 0 {
			t.Errorf("looks again after %s although nothing drains", next)
		}
		d.holds(t, "192.0.2.21 weight 1")
		if after := d.listed(t, list(web("192.0.2.21"))); after.TotalWrites != 6 || after.Counts.Draining != 0 || after.TableHash != again.TableHash {
			t.Errorf("afterwards: %+v, hash was %s", after, again.TableHash)
		}
	})
}

// A director where the server drains and one that never had it have the same table, as far as hashes tell.
func TestDrainingServersAreNotInTheHash(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d, fresh := newDraining(t, w), newDirector(t, fakeWorld(memoryDir(t)))
		want := fresh.all(t, web("192.0.2.21")).TableHash
		if got := d.read(t).TableHash; got != want {
			t.Errorf("read says %s, wanted %s", got, want)
		}
		d.restart()
		if got := d.listed(t, nil).TableHash; got != want {
			t.Errorf("a new session says %s, wanted %s", got, want)
		}
		if back := d.all(t, web("192.0.2.21", "192.0.2.22")); back.TableHash != fresh.all(t, web("192.0.2.21", "192.0.2.22")).TableHash {
			t.Errorf("taken back: %s", back.TableHash)
		}
	})
}

func TestDrainWaitsForConnections(t *testing.T) {
	for name, connections := range map[string]ipvs.Connections{"active": {Active: 1}, "inactive": {Inactive: 1}, "persistent": {Persistent: 1}} {
		t.Run(name, func(t *testing.T) {
			w := fakeWorld(memoryDir(t))
			d := newDraining(t, w)
			fake := w.ipvs.(*ipvs.Fake)
			fake.Count(drainedVIP.ServiceKey, leavingServer, connections, ipvs.Stats{})
			d.pass(29 * time.Second)
			d.settle(t)
			clean(t, d.listed(t, list(web("192.0.2.21"))))
			d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
			fake.Count(drainedVIP.ServiceKey, leavingServer, ipvs.Connections{}, ipvs.Stats{})
			d.settle(t)
			d.holds(t, "192.0.2.21 weight 1")
		})
	}
}

// What a datagram leaves behind in the kernel counts, and so does the client that persistence has bound.
func TestKernelDrainWaitsForConnections(t *testing.T) {
	kernelOnly(t) // the fake has no traffic; TestDrainWaitsForConnections counts for it
	w := realWorld(t)
	command(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "eth0")
	command(t, "ip", "neigh", "add", "192.0.2.21", "lladdr", "02:00:00:00:00:21", "dev", "eth0")
	command(t, "ipvsadm", "--set", "0", "0", "2")
	d := &draining{director: newDirector(t, w), now: drainStart}
	d.restart()
	for name, persistence := range map[string]*wire.Persistence{"inactive": nil, "persistent": {TimeoutSeconds: 600, PrefixLength: 32}} {
		// Of one port, the kernel would take the real server back from its trash, with the counts that it had.
		port := uint16(len(name))
		dns := virtualServer("203.0.113.10", int64(port), "192.0.2.21")
		dns.Protocol, dns.DrainSeconds, dns.Persistence = "UDP", 30, persistence
		d.listed(t, list(dns))
		sendDatagram(t, netip.AddrPortFrom(drainedVIP.Address, port))
		key := service("203.0.113.10", port)
		key.Protocol = ipvs.UDP
		counts := func() ipvs.Connections {
			destinations, err := w.ipvs.Destinations(key.ServiceKey)
			if err != nil || len(destinations) != 1 {
				t.Fatalf("%s: destinations %v, %v", name, destinations, err)
			}
			return destinations[0].Connections
		}
		until(t, "the kernel to count the datagram", func() bool { return counts() != ipvs.Connections{} })
		gone := dns
		gone.RealServers = nil
		d.listed(t, list(gone))
		d.pass(29 * time.Second)
		if d.settle(t); counts().Inactive+counts().Active != 1 {
			t.Errorf("%s: while it is counted: %+v", name, counts())
		}
		until(t, "the kernel to forget the datagram", func() bool { return counts().Inactive+counts().Active == 0 })
		if persistence != nil {
			if d.settle(t); counts().Persistent != 1 {
				t.Errorf("%s: while a client is bound: %+v", name, counts())
			}
			d.pass(time.Second)
		}
		if next := d.settle(t); next != 0 {
			t.Errorf("%s: looks again after %s", name, next)
		}
		if destinations, err := w.ipvs.Destinations(key.ServiceKey); err != nil || len(destinations) != 0 {
			t.Errorf("%s: at the end %v, %v", name, destinations, err)
		}
		d.listed(t, nil, dns.Key)
	}
}

func sendDatagram(t *testing.T, to netip.AddrPort) {
	t.Helper()
	connection, err := net.Dial("udp", to.String())
	if err == nil {
		_, err = connection.Write([]byte("hello"))
		_ = connection.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, seen func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !seen(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s in vain for %s", what)
		}
	}
}

// The deadline is fixed when the drain begins, whatever the wall clock does meanwhile; a request can only shorten it.
func TestDrainDeadline(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		busy := &counting{Kernel: w.ipvs, key: leavingServer}
		d.engine.IPVS = busy
		d.pass(20 * time.Second)
		longer := web("192.0.2.21")
		longer.DrainSeconds = 86400
		clean(t, d.listed(t, list(longer)))
		d.now.Wall = d.now.Wall.Add(-time.Hour)
		d.pass(9 * time.Second)
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T11:00:30Z")
		shorter := web("192.0.2.21")
		shorter.DrainSeconds = 29
		clean(t, d.listed(t, list(shorter)))
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T11:00:29Z")
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1")
		if next := d.settle(t); next != 0 {
			t.Errorf("looks again after %s", next)
		}
	})
}

// counting puts a connection on a real server that nobody ends.
type counting struct {
	ipvs.Kernel
	key ipvs.DestinationKey
}

func (c *counting) Destinations(key ipvs.ServiceKey) ([]ipvs.Destination, error) {
	destinations, err := c.Kernel.Destinations(key)
	for index := range destinations {
		if destinations[index].DestinationKey == c.key {
			destinations[index].Connections.Active = 1
		}
	}
	return destinations, err
}

func TestDrainWithoutTimeIsADeletion(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		now := web("192.0.2.21")
		now.DrainSeconds = 0
		clean(t, d.listed(t, list(now)), "delete real server 192.0.2.22:80 from TCP 203.0.113.10:80")
		d.holds(t, "192.0.2.21 weight 1")
		if next := d.settle(t); next != 0 {
			t.Errorf("looks again after %s", next)
		}
	})
}

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
	w := fakeWorld(memoryDir(t))
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
}

func TestDrainsDoNotWaitForTheLock(t *testing.T) {
	d := newDraining(t, fakeWorld(memoryDir(t)))
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
}
