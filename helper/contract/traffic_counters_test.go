package contract

import (
	"fmt"
	"math"
	"net"
	"strings"
	"testing"

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
		return *found.Stats == want && *found.RealServers[0].Stats == want &&
			d.ipvsadmCounts(t, "UDP  203.0.113.10:514", want) && d.ipvsadmCounts(t, "  -> 192.0.2.21:514", want)
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
	counters := fmt.Sprint(want.Connections, want.InPackets, want.OutPackets, want.InBytes, want.OutBytes)
	for line := range strings.Lines(command(t, "ipvsadm", "-Ln", "--stats", "--exact")) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			return strings.Join(strings.Fields(rest), " ") == counters
		}
	}
	return false
}
