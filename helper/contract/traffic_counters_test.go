package contract

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// What read tells of traffic is what ipvsadm tells, also beyond 32 bits: four gigabytes in datagrams of the greatest size, to a real
// server that is a device without an end. The kernel adds its processors' counters up every two seconds.
func TestKernelCountersHave64Bits(t *testing.T) {
	kernelOnly(t)
	d := newDirector(t, realWorld(t))
	for _, words := range []string{
		"link add sink0 mtu 65535 type dummy", "link set sink0 up", "addr add 192.0.2.1/24 dev sink0", "neigh add 192.0.2.21 lladdr 02:00:00:00:00:21 dev sink0",
	} {
		command(t, "ip", strings.Fields(words)...)
	}
	logs := virtualServer("203.0.113.10", 514, "192.0.2.21")
	logs.Protocol = "UDP"
	clean(t, d.all(t, logs), "add virtual server UDP 203.0.113.10:514 with scheduler wrr", "add real server 192.0.2.21:514 weight 1 to UDP 203.0.113.10:514", "add address 203.0.113.10 to interface lo")
	const packet, headers = math.MaxUint16, 28 // IPv4 and UDP
	datagrams := uint64(math.MaxUint32/packet + 2)
	flood(t, "203.0.113.10:514", packet-headers, datagrams)
	want := wire.Stats{Connections: 1, InPackets: datagrams, InBytes: datagrams * packet}
	until(t, fmt.Sprintf("read and ipvsadm to tell of %+v", want), func() bool {
		answer, refusal := d.engine.Read(wire.WhatCounters)
		if refusal != nil {
			t.Fatalf("read refused: %s", refusal.Message)
		}
		found := keyed(t, answer, logs.Key)
		return withoutRates(found.Stats) == want && withoutRates(found.RealServers[0].Stats) == want &&
			d.ipvsadmCounts(t, "UDP  203.0.113.10:514", want) && d.ipvsadmCounts(t, "  -> 192.0.2.21:514", want)
	})
}

// Both directions, through a virtual server by masquerading: each of the five counters has a value of its own. The real server answers a datagram
// with two.
func TestKernelCountersOfBothDirections(t *testing.T) {
	kernelOnly(t)
	s := trafficSite(t)
	const clients, datagrams, size, answers, answered, headers = 3, 7, 100, 2, 9, 28 // IPv4 and UDP
	s.server.answerUDP(t, "192.0.2.21:53", answers, make([]byte, answered))
	dns := virtualServer("203.0.113.10", 53, "192.0.2.21")
	dns.Protocol, dns.RealServers[0].ForwardingMethod = "UDP", "Masquerading"
	if answer := s.all(t, dns); len(answer.Errors) > 0 {
		t.Fatalf("errors %+v", answer.Errors)
	}
	for range clients { // their sockets stay open: a port that is closed would answer with an error, which is counted, too
		var socket net.Conn
		var err error
		s.client.do(func() { socket, err = net.Dial("udp", "203.0.113.10:53") })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = socket.Close() })
		for range datagrams {
			if _, err := socket.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := wire.Stats{Connections: clients, InPackets: clients * datagrams, InBytes: clients * datagrams * (size + headers),
		OutPackets: clients * datagrams * answers, OutBytes: clients * datagrams * answers * (answered + headers)}
	until(t, fmt.Sprintf("read and ipvsadm to tell of %+v", want), func() bool {
		answer, refusal := s.engine.Read(wire.WhatCounters)
		if refusal != nil {
			t.Fatalf("read refused: %s", refusal.Message)
		}
		found := keyed(t, answer, dns.Key)
		return withoutRates(found.Stats) == want && withoutRates(found.RealServers[0].Stats) == want &&
			s.ipvsadmCounts(t, "UDP  203.0.113.10:53", want) && s.ipvsadmCounts(t, "  -> 192.0.2.21:53", want)
	})
}

// flood sends datagrams of that size from one socket.
func flood(t *testing.T, address string, size int, datagrams uint64) {
	t.Helper()
	socket, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	datagram := make([]byte, size)
	for range datagrams {
		if _, err := socket.Write(datagram); err != nil {
			t.Fatal(err)
		}
	}
}

// ipvsadmCounts tells whether ipvsadm(8) has these counters behind that name.
func (w *world) ipvsadmCounts(t *testing.T, name string, want wire.Stats) bool {
	t.Helper()
	return w.ipvsadmPrints(t, "--stats", name, want.Connections, want.InPackets, want.OutPackets, want.InBytes, want.OutBytes)
}

// ipvsadmRates tells the same of rates.
func (w *world) ipvsadmRates(t *testing.T, name string, want wire.Stats) bool {
	t.Helper()
	return w.ipvsadmPrints(t, "--rate", name, want.ConnectionsPerSecond, want.InPacketsPerSecond, want.OutPacketsPerSecond, want.InBytesPerSecond, want.OutBytesPerSecond)
}

func (w *world) ipvsadmPrints(t *testing.T, option, name string, numbers ...uint64) bool {
	t.Helper()
	for line := range strings.Lines(command(t, "ipvsadm", "-Ln", option, "--exact")) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			return "["+strings.Join(strings.Fields(rest), " ")+"]" == fmt.Sprint(numbers)
		}
	}
	return false
}

func withoutRates(stats *wire.Stats) wire.Stats {
	return wire.Stats{Connections: stats.Connections, InPackets: stats.InPackets, OutPackets: stats.OutPackets, InBytes: stats.InBytes, OutBytes: stats.OutBytes}
}

// The rates that read tells are those of ipvsadm, none of them zero: connections one after the other to a real server that answers by the
// director. The kernel makes its estimate anew every two seconds.
func TestKernelRates(t *testing.T) {
	kernelOnly(t)
	s := newSite(t, realWorld(t))
	s.serve(t, "192.0.2.21:80")
	web := masquerading("203.0.113.10", 80, "192.0.2.21")
	s.apply(t, s.engine, wire.Apply{Fence: s.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(web), Host: conntracking()})
	until(t, "read and ipvsadm to tell of the same rates", func() bool {
		for range 5 {
			if answer, _ := s.ask("203.0.113.10:80", patient); answer == "" {
				t.Fatal("the real server did not answer")
			}
		}
		answer, refusal := s.engine.Read(wire.WhatCounters)
		if refusal != nil {
			t.Fatalf("read refused: %s", refusal.Message)
		}
		found := keyed(t, answer, web.Key)
		virtual, real := *found.Stats, *found.RealServers[0].Stats
		for _, rate := range []uint64{virtual.ConnectionsPerSecond, virtual.InPacketsPerSecond, virtual.OutPacketsPerSecond, virtual.InBytesPerSecond, virtual.OutBytesPerSecond} {
			if rate == 0 {
				return false
			}
		}
		return s.ipvsadmRates(t, "TCP  203.0.113.10:80", virtual) && s.ipvsadmRates(t, "  -> 192.0.2.21:80", real)
	})
}

// Each number is told under its own name.
func TestCountersAndRatesAreTold(t *testing.T) {
	w := fakeWorld(memoryDir(t))
	d := newDirector(t, w)
	web := virtualServer("203.0.113.10", 80, "192.0.2.21")
	d.all(t, web)
	server := ipvs.DestinationKey{Address: netip.MustParseAddr("192.0.2.21"), Port: 80}
	w.ipvs.(*ipvs.Fake).Count(service("203.0.113.10", 80).ServiceKey, server, ipvs.Connections{}, ipvs.Stats{
		Connections: 1, InPackets: 2, OutPackets: 3, InBytes: 4, OutBytes: 5,
		ConnectionsPerSecond: 6, InPacketsPerSecond: 7, OutPacketsPerSecond: 8, InBytesPerSecond: 9, OutBytesPerSecond: math.MaxUint64,
	})
	answer, refusal := d.engine.Read(wire.WhatCounters)
	if refusal != nil {
		t.Fatalf("read refused: %s", refusal.Message)
	}
	want := wire.Stats{Connections: 1, InPackets: 2, OutPackets: 3, InBytes: 4, OutBytes: 5,
		ConnectionsPerSecond: 6, InPacketsPerSecond: 7, OutPacketsPerSecond: 8, InBytesPerSecond: 9, OutBytesPerSecond: math.MaxUint64}
	if got := keyed(t, answer, web.Key); *got.RealServers[0].Stats != want || *got.Stats != (wire.Stats{}) {
		t.Errorf("told %+v and %+v, wanted %+v and none", *got.RealServers[0].Stats, *got.Stats, want)
	}
}
