package contract

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

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
			d.countsAgree(t, dns.Key, "192.0.2.21")
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
