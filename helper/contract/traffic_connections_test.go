package contract

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// connections are those of a real server, as read tells them.
type connections struct{ active, inactive, persistent uint32 }

func (d *director) connectionsOf(t *testing.T, key wire.Key, host string) connections {
	t.Helper()
	for _, found := range keyed(t, d.read(t), key).RealServers {
		if found.Address == host {
			return connections{found.ActiveConnections, found.InactiveConnections, found.PersistentConnections}
		}
	}
	t.Fatalf("%v has no real server %s", key, host)
	return connections{}
}

// ipvsadmConnections are the same as ipvsadm(8) tells them: "-> host:port Masq 1 active inactive", and with --persistent-conn
// "-> host:port 1 persistent active inactive".
func (d *director) ipvsadmConnections(t *testing.T, key wire.Key, host string) connections {
	t.Helper()
	var plain, bound connections
	line := func(option, layout string, values ...any) {
		t.Helper()
		ours := false
		for text := range strings.Lines(command(t, "ipvsadm", "-Ln", option)) {
			words := strings.Fields(text)
			switch {
			case len(words) > 1 && words[0] == key.Protocol:
				ours = words[1] == endpointOf(key)
			case ours && len(words) > 2 && words[0] == "->" && strings.HasPrefix(words[1], host+":"):
				if _, err := fmt.Sscanf(strings.Join(words[2:], " "), layout, values...); err != nil {
					t.Fatalf("ipvsadm -Ln %s: %q: %v", option, text, err)
				}
				return
			}
		}
		t.Fatalf("ipvsadm -Ln %s does not tell of %s in %v", option, host, key)
	}
	var method string
	var weight int
	line("--sort", "%s %d %d %d", &method, &weight, &plain.active, &plain.inactive)
	line("--persistent-conn", "%d %d %d %d", &weight, &bound.persistent, &bound.active, &bound.inactive)
	if plain.active != bound.active || plain.inactive != bound.inactive {
		t.Logf("a connection has changed meanwhile: ipvsadm -Ln tells of %+v, with --persistent-conn of %+v", plain, bound)
	}
	return bound
}

// countsAgree waits until read and ipvsadm tell of the same connections, of one at least.
func (d *director) countsAgree(t *testing.T, key wire.Key, host string) {
	t.Helper()
	var read, listed connections
	for deadline := time.Now().Add(patient); ; time.Sleep(50 * time.Millisecond) {
		if read, listed = d.connectionsOf(t, key, host), d.ipvsadmConnections(t, key, host); read == listed && read != (connections{}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for read and ipvsadm to tell of the same connections of %s: %+v and %+v", patient, host, read, listed)
		}
	}
}

// Connections that are open, that have been closed, and clients that persistence binds: read tells of each kind what ipvsadm does.
func TestKernelConnectionCounts(t *testing.T) {
	kernelOnly(t)
	s := trafficSite(t)
	s.client.do(func() {
		for _, address := range []string{"198.51.100.3/24", "198.51.100.4/24"} {
			command(t, "ip", "addr", "add", address, "dev", "uplink")
		}
	})
	s.greet(t, "0.0.0.0:80")
	web := virtualServer("203.0.113.10", 80, "192.0.2.21")
	web.Persistence, web.RealServers[0].ForwardingMethod = &wire.Persistence{TimeoutSeconds: 600, PrefixLength: 32}, "Masquerading"
	if answer := s.all(t, web); len(answer.Errors) > 0 {
		t.Fatalf("errors %+v", answer.Errors)
	}
	var open []net.Conn
	for _, client := range []string{"198.51.100.2", "198.51.100.2", "198.51.100.2", "198.51.100.3", "198.51.100.3", "198.51.100.4"} {
		connection, _ := s.hold(t, client, "203.0.113.10:80")
		t.Cleanup(func() { _ = connection.Close() })
		open = append(open, connection)
	}
	for _, want := range []connections{{active: 6, persistent: 3}, {active: 4, inactive: 2, persistent: 3}} {
		until(t, fmt.Sprintf("read and ipvsadm to tell of %+v", want), func() bool {
			return s.connectionsOf(t, web.Key, "192.0.2.21") == want && s.ipvsadmConnections(t, web.Key, "192.0.2.21") == want
		})
		_, _ = open[0].Close(), open[1].Close()
	}
}

// A drain ends when its last connection has ended, long before its time is over. The client keeps its half: after the real server's FIN the
// kernel forgets the connection when the time is over that is set here, after both in two minutes (TIME_WAIT), which nobody can set.
func TestKernelDrainEndsWithItsConnection(t *testing.T) {
	kernelOnly(t)
	s := trafficSite(t)
	command(t, "ipvsadm", "--set", "900", "1", "120")
	d := &draining{director: s.director, now: drainStart}
	d.restart()
	leave := map[string]chan struct{}{"192.0.2.21": make(chan struct{}), "192.0.2.22": make(chan struct{})}
	s.answers(t, tcpListener("tcp4", "0.0.0.0:80"), func(connection net.Conn) {
		host := netip.MustParseAddrPort(connection.LocalAddr().String()).Addr().String()
		fmt.Fprintln(connection, host)
		select {
		case <-leave[host]:
		case <-t.Context().Done():
		}
	})
	web := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22")
	web.DrainSeconds, web.RealServers[0].ForwardingMethod, web.RealServers[1].ForwardingMethod = 3600, "Masquerading", "Masquerading"
	d.listed(t, list(web))
	for range 2 { // one on each
		connection, host := s.hold(t, "198.51.100.2", "203.0.113.10:80")
		t.Cleanup(func() { _ = connection.Close() })
		if counted := d.connectionsOf(t, web.Key, host); counted.active != 1 {
			t.Fatalf("connected to %s: %+v", host, counted)
		}
	}
	left := web
	left.RealServers = web.RealServers[:1]
	d.listed(t, list(left))
	d.pass(drain.MinimumStay)
	if next := d.settle(t); next == 0 {
		t.Error("it does not wait for the connection")
	}
	d.countsAgree(t, web.Key, "192.0.2.22")
	stays := []string{"-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -m -w 1"}
	d.ipvsadmShows(t, append([]string{"-a -t 203.0.113.10:80 -r 192.0.2.22:80 -m -w 0"}, stays...)...)
	close(leave["192.0.2.22"])
	until(t, "the drain to end with its connection", func() bool { return d.settle(t) == 0 })
	d.ipvsadmShows(t, stays...)
	d.countsAgree(t, web.Key, "192.0.2.21")
}

// So does one that waits for a client whom persistence has bound, when the kernel forgets him.
func TestKernelDrainEndsWithItsLastClient(t *testing.T) {
	kernelOnly(t)
	w := realWorld(t)
	command(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "eth0")
	command(t, "ip", "neigh", "add", "192.0.2.21", "lladdr", "02:00:00:00:00:21", "dev", "eth0")
	command(t, "ipvsadm", "--set", "0", "0", "1")
	d := &draining{director: newDirector(t, w), now: drainStart}
	d.restart()
	dns := virtualServer("203.0.113.10", 53, "192.0.2.21")
	dns.Protocol, dns.DrainSeconds, dns.Persistence = "UDP", 3600, &wire.Persistence{TimeoutSeconds: 10, PrefixLength: 32}
	d.listed(t, list(dns))
	sendDatagram(t, netip.AddrPortFrom(drainedVIP.Address, 53))
	left := dns
	left.RealServers = nil
	d.listed(t, list(left))
	d.pass(drain.MinimumStay)
	if next := d.settle(t); next == 0 {
		t.Error("it does not wait for the client")
	}
	if counted := d.connectionsOf(t, dns.Key, "192.0.2.21"); counted.persistent != 1 {
		t.Errorf("while the client is bound: %+v", counted)
	}
	d.ipvsadmShows(t, "-A -u 203.0.113.10:53 -s wrr -p 10", "-a -u 203.0.113.10:53 -r 192.0.2.21:53 -g -w 0")
	until(t, "the drain to end with its last client", func() bool { return d.settle(t) == 0 })
	d.ipvsadmShows(t, "-A -u 203.0.113.10:53 -s wrr -p 10")
	key := service("203.0.113.10", 53)
	key.Protocol = ipvs.UDP
	if destinations, err := w.ipvs.Destinations(key.ServiceKey); err != nil || len(destinations) != 0 {
		t.Errorf("at the end %v, %v", destinations, err)
	}
}
