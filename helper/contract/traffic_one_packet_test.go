package contract

import (
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/wire"
)

const onePacketDatagrams = 6

// Without one-packet scheduling the datagrams of a socket are one connection, of one real server; with it each is scheduled by itself and
// leaves no entry. To translate the answer of a real server by masquerading the director needs that entry: without it the client hears
// the real server's own address, and behind masquerading rules as well nothing at all.
var onePacketCases = []struct {
	name, method          string
	onePacket, masquerade bool
	// servers is how many of the two answer one socket; own, that they do so as themselves and not as the VIP.
	servers int
	own     bool
}{
	{name: "direct routing by connection", method: "DirectRouting", servers: 1},
	{name: "direct routing by packet", method: "DirectRouting", onePacket: true, servers: 2},
	{name: "masquerading by connection", method: "Masquerading", servers: 1},
	{name: "masquerading by packet", method: "Masquerading", onePacket: true, servers: 2, own: true},
	{name: "masquerading with rules by connection", method: "Masquerading", masquerade: true, servers: 1},
	{name: "masquerading with rules by packet", method: "Masquerading", masquerade: true, onePacket: true, servers: 0},
}

func TestKernelOnePacketTraffic(t *testing.T) {
	kernelOnly(t)
	for family, row := range map[string]struct{ vip, first, second string }{
		"IPv4": {"203.0.113.10", "192.0.2.21", "192.0.2.150"},
		"IPv6": {"2001:db8::10", "2001:db8:1::21", "2001:db8:1:0:8000::150"},
	} {
		t.Run(family, func(t *testing.T) {
			s := trafficSite(t)
			s.policy = strings.Replace(s.policy, `"prod":{`, `"prod":{"host":{"sysctls":["*"]},`, 1)
			vip, first, second := endpoint(row.vip, "5353"), endpoint(row.first, "5353"), endpoint(row.second, "5353")
			other := s.secondServer(t)
			for _, address := range []string{vip, first} {
				s.server.serveUDP(t, address, first)
			}
			for _, address := range []string{vip, second} {
				other.serveUDP(t, address, second)
			}
			for _, each := range onePacketCases {
				dns := virtualServer(row.vip, 5353, row.first, row.second)
				dns.Protocol, dns.Scheduler, dns.OnePacket, dns.Masquerade = "UDP", "rr", each.onePacket, each.masquerade
				for index := range dns.RealServers {
					dns.RealServers[index].ForwardingMethod = each.method
				}
				s.apply(t, s.engine, wire.Apply{Fence: s.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(dns), Host: conntracking()})
				port, answers := s.answersTo(t, vip, each.servers > 0)
				want := map[string]string{first: vip, second: vip}
				if each.own {
					want = map[string]string{first: first, second: second}
				}
				if len(answers) != each.servers {
					t.Fatalf("%s: %v answer, wanted %d real servers", each.name, answers, each.servers)
				}
				for server, datagrams := range answers {
					if from := want[server]; !maps.Equal(datagrams, map[string]int{from: onePacketDatagrams / each.servers}) {
						t.Errorf("%s: real server %s has answered %v, wanted %d times from %s", each.name, server, datagrams, onePacketDatagrams/each.servers, from)
					}
				}
				flags := strings.TrimSuffix("UDP "+vip+" rr "+map[bool]string{true: "ops"}[each.onePacket], " ")
				s.ipvsadmLists(t, "--sort", flags)
				if kept := strings.Contains(command(t, "ipvsadm", "-Lnc"), ":"+strconv.Itoa(port)+" "); kept == each.onePacket {
					t.Errorf("%s: an entry is left of the client's port %d: %t", each.name, port, kept)
				}
			}
		})
	}
}

func conntracking() *wire.Host {
	return &wire.Host{Sysctls: map[string]string{"net.ipv4.vs.conntrack": "1"}}
}

// answersTo sends datagrams from one socket of the client, and returns its port, and how often which real server has answered from which
// address. Unless they shall be answered, a few of them and a short wait will do.
func (s *site) answersTo(t *testing.T, address string, answered bool) (port int, answers map[string]map[string]int) {
	t.Helper()
	var socket net.PacketConn
	var err error
	s.client.do(func() { socket, err = net.ListenPacket("udp", ":0") })
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	to, buffer := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)), make([]byte, 100)
	answers = map[string]map[string]int{}
	patience, datagrams := patient, onePacketDatagrams
	if !answered {
		patience, datagrams = impatient, 2
	}
	for range datagrams {
		if _, err := socket.WriteTo([]byte("question"), to); err != nil {
			t.Fatal(err)
		}
		_ = socket.SetReadDeadline(time.Now().Add(patience))
		count, from, err := socket.ReadFrom(buffer)
		if err != nil && !answered {
			continue
		}
		if err != nil {
			t.Fatalf("%s does not answer: %v\n%s", address, err, command(t, "ipvsadm", "-Lnc"))
		}
		server := string(buffer[:count])
		if answers[server] == nil {
			answers[server] = map[string]int{}
		}
		answers[server][from.String()]++
	}
	return socket.LocalAddr().(*net.UDPAddr).Port, answers
}
