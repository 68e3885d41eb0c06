package contract

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

const goneSentence = "delete real server 192.0.2.22:80 from TCP 203.0.113.10:80 at once: it is gone"

// webWithout is web, with real servers that are gone.
func webWithout(gone []string, hosts ...string) wire.VirtualServer {
	result := web(hosts...)
	for _, host := range gone {
		result.Gone = append(result.Gone, wire.Endpoint{Address: host, Port: 80})
	}
	return result
}

// What is gone is deleted without a drain, whatever is counted on it; what leaves beside it drains.
func TestGone(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := &draining{director: newDirector(t, w), now: drainStart}
		d.restart()
		d.listed(t, list(web("192.0.2.21", "192.0.2.22", "192.0.2.23")))
		d.engine.IPVS = &counting{Kernel: w.ipvs, key: leavingServer}
		left := d.listed(t, list(webWithout([]string{"192.0.2.22"}, "192.0.2.21")))
		clean(t, left, strings.ReplaceAll(drainSentence, "2.22", "2.23"), goneSentence)
		if kind := left.Changes[1].Kind; kind != "deleteRealServer" || left.Writes != 2 || left.Counts.Draining != 1 {
			t.Errorf("%+v", left)
		}
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.23 weight 0 until 2026-01-01T12:00:30Z")
		again := d.listed(t, list(webWithout([]string{"192.0.2.22"}, "192.0.2.21")))
		if clean(t, again); again.Writes != 0 {
			t.Errorf("the same again: %+v", again)
		}
		d.pass(drain.MinimumStay)
		d.settle(t)
		d.holds(t, "192.0.2.21 weight 1")
	})
}

func TestGoneWhileItDrains(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		d.engine.IPVS = &counting{Kernel: w.ipvs, key: leavingServer}
		d.pass(10 * time.Second)
		clean(t, d.all(t, webWithout([]string{"192.0.2.22"}, "192.0.2.21")), goneSentence)
		d.holds(t, "192.0.2.21 weight 1")
		if next := d.settle(t); next != 0 {
			t.Errorf("looks again after %s", next)
		}
		// Back again, it is a new one.
		clean(t, d.listed(t, list(web("192.0.2.21", "192.0.2.22"))), "add real server 192.0.2.22:80 weight 1 to TCP 203.0.113.10:80")
	})
}

// One that somebody gave weight again is not drained anew first.
func TestGoneWithWeightWhileItDrains(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		w.must(t, ipvs.Operation{Kind: ipvs.SetDestination, Service: drainedVIP, Destination: destination("192.0.2.22", 80)})
		clean(t, d.listed(t, list(webWithout([]string{"192.0.2.22"}, "192.0.2.21"))), goneSentence)
		d.holds(t, "192.0.2.21 weight 1")
	})
}

func TestGoneDryRun(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		request := wire.Apply{Fence: d.fence, DryRun: true, Scope: wire.ScopeListed, Interface: "lo", VirtualServers: list(webWithout([]string{"192.0.2.22"}, "192.0.2.21"))}
		wantChanges(t, d.apply(t, d.engine, request), goneSentence)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
	})
}

// It is news, not state: the journal is the same with it and without, and a director that boots knows nothing of it.
func TestGoneIsNotRemembered(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := &draining{director: newDirector(t, w), now: drainStart}
		d.restart()
		d.listed(t, list(web("192.0.2.21")))
		before := journalOf(t, d.director)
		hash := d.listed(t, list(webWithout([]string{"192.0.2.22"}, "192.0.2.21"))).TableHash
		if after := journalOf(t, d.director); after != before {
			t.Errorf("the journal was\n%s\nand is\n%s", before, after)
		}
		if plain := d.listed(t, list(web("192.0.2.21"))).TableHash; plain != hash {
			t.Errorf("table hash %s without, %s with", plain, hash)
		}
	})
}

// journalOf is what a reboot would bring back, as the files say it.
func journalOf(t *testing.T, d *director) string {
	t.Helper()
	files, err := os.ReadDir(d.journalDir)
	if err != nil || len(files) == 0 {
		t.Fatalf("journal files %v, %v", files, err)
	}
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(d.journalDir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

func TestGoneThatMakesNoSense(t *testing.T) {
	rows := map[string]func(*wire.VirtualServer){
		"gone real server 192.0.2.21:80: it is listed among realServers, too":        func(v *wire.VirtualServer) { v.Gone[0].Address = "192.0.2.21" },
		"gone real server 192.0.2.22:65536: port 65536 is outside 0 … 65535":         func(v *wire.VirtualServer) { v.Gone[0].Port = 65536 },
		"gone real server node-1:80: \"node-1\" is not an IPv4 or IPv6 address":      func(v *wire.VirtualServer) { v.Gone[0].Address = "node-1" },
		"gone real server [2001:DB8::1]:80: address 2001:DB8::1 is not in canonical": func(v *wire.VirtualServer) { v.Gone[0].Address = "2001:DB8::1" },
	}
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDraining(t, w)
		for words, edit := range rows {
			nonsense := webWithout([]string{"192.0.2.22"}, "192.0.2.21")
			edit(&nonsense)
			refused(t, d.listed(t, list(nonsense)), wire.ClassObject, "TCP 203.0.113.10:80", words, web().Key)
		}
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 0 until 2026-01-01T12:00:30Z")
	})
}

// The policy's limit counts a real server that is gone, unless its drain was counted.
func TestGoneCountsAsDeletion(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := &draining{director: newDirector(t, w), now: drainStart}
		d.policy = strings.Replace(defaultPolicy, `"interfaces":["lo","eth0","missing0"]`, `"interfaces":["lo","eth0"],"maxDeletionsPerRequest":1`, 1)
		d.restart()
		d.listed(t, list(web("192.0.2.21", "192.0.2.22", "192.0.2.23")))
		both := []string{"192.0.2.22", "192.0.2.23"}
		refused(t, d.listed(t, list(webWithout(both, "192.0.2.21"))), wire.ClassPolicy, "TCP 203.0.113.10:80", "maxDeletionsPerRequest (1) forbids the 2 deletions", web().Key)
		d.holds(t, "192.0.2.21 weight 1", "192.0.2.22 weight 1", "192.0.2.23 weight 1")
		clean(t, d.listed(t, list(web("192.0.2.21", "192.0.2.23"))), drainSentence)
		clean(t, d.listed(t, list(webWithout(both, "192.0.2.21"))), goneSentence, strings.ReplaceAll(goneSentence, "2.22", "2.23"))
		d.holds(t, "192.0.2.21 weight 1")
	})
}

// Clients that persistence binds, and connections that are open: with what is gone they are free at once, with what drains they stay.
func TestKernelGoneFreesItsClients(t *testing.T) {
	kernelOnly(t)
	s := newSite(t, realWorld(t))
	s.server.do(func() {
		for _, host := range []string{"192.0.2.22/24", "192.0.2.23/24"} {
			command(t, "ip", "addr", "add", host, "dev", "uplink")
		}
	})
	s.client.do(func() { command(t, "ip", "addr", "add", "198.51.100.3/24", "dev", "uplink") })
	s.greet(t, "0.0.0.0:80")
	bound := masquerading("203.0.113.10", 80, "192.0.2.21", "192.0.2.22")
	bound.Scheduler, bound.DrainSeconds, bound.Persistence = "rr", 600, &wire.Persistence{TimeoutSeconds: 600, PrefixLength: 32}
	put := func(virtualServer wire.VirtualServer) wire.ApplyResult {
		t.Helper()
		answer := s.apply(t, s.engine, wire.Apply{Fence: s.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(virtualServer),
			Host: &wire.Host{Sysctls: map[string]string{"net.ipv4.vs.conntrack": "1", "net.ipv4.vs.expire_quiescent_template": "0"}}})
		if len(answer.Errors) > 0 {
			t.Fatalf("errors %+v", answer.Errors)
		}
		return answer
	}
	put(bound)
	clientOf := map[string]string{}
	for _, client := range []string{"198.51.100.2", "198.51.100.3"} {
		connection, server := s.hold(t, client, "203.0.113.10:80")
		t.Cleanup(func() { _ = connection.Close() })
		clientOf[server] = client
	}
	if len(clientOf) != 2 {
		t.Fatalf("rr sent two clients to %v", clientOf)
	}
	s.ipvsadmLists(t, "--persistent-conn", "-> 192.0.2.21:80 1 1 1 0")
	left := masquerading("203.0.113.10", 80, "192.0.2.23")
	left.Scheduler, left.DrainSeconds, left.Persistence = bound.Scheduler, bound.DrainSeconds, bound.Persistence
	left.Gone = []wire.Endpoint{{Address: "192.0.2.21", Port: 80}}
	put(left)
	s.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s rr -p 600", "-a -t 203.0.113.10:80 -r 192.0.2.22:80 -m -w 0", "-a -t 203.0.113.10:80 -r 192.0.2.23:80 -m -w 1")
	for was, is := range map[string]string{"192.0.2.21": "192.0.2.23", "192.0.2.22": "192.0.2.22"} {
		connection, server := s.hold(t, clientOf[was], "203.0.113.10:80")
		_ = connection.Close()
		if server != is {
			t.Errorf("the client of %s is sent to %s, wanted %s", was, server, is)
		}
	}
}

// greet says on which of its addresses the real server was reached, and keeps the connection open.
func (s *site) greet(t *testing.T, address string) {
	t.Helper()
	s.answers(t, tcpListener("tcp4", address), func(connection net.Conn) {
		fmt.Fprintf(connection, "%s\n", netip.MustParseAddrPort(connection.LocalAddr().String()).Addr())
		_, _ = io.Copy(io.Discard, connection)
	})
}

// hold connects from one of the client's addresses, and answers the open connection and the real server's address.
func (s *site) hold(t *testing.T, from, to string) (connection net.Conn, server string) {
	t.Helper()
	var err error
	s.client.do(func() {
		dialer := net.Dialer{Timeout: patient, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		if connection, err = dialer.Dial("tcp4", to); err == nil {
			_ = connection.SetReadDeadline(time.Now().Add(patient))
			_, err = fmt.Fscanln(connection, &server)
		}
	})
	if err != nil {
		t.Fatalf("from %s to %s: %v", from, to, err)
	}
	return connection, server
}
