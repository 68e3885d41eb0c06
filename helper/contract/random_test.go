package contract

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// The universe is small, so that random tables overlap in every way: three VIPs of one family, two of the other, three firewall
// marks, three ports, all protocols.
var (
	vips      = []string{"203.0.113.10", "203.0.113.11", "203.0.113.12", "2001:db8::10", "2001:db8::11"}
	hosts     = map[bool][]string{false: {"192.0.2.21", "192.0.2.22", "192.0.2.23", "192.0.2.24"}, true: {"2001:db8:1::21", "2001:db8:1::22", "2001:db8:1::23"}}
	ports     = []int64{53, 80, 443}
	protocols = []string{"TCP", "UDP", "SCTP"}
	// The schedulers that every kernel of the contract has, with flags that go with each.
	scheduling = []struct {
		name  string
		flags [][]string
	}{
		{"rr", [][]string{{}, {"flag-1"}}}, {"wrr", [][]string{{}}}, {"lc", [][]string{{}}}, {"wlc", [][]string{{}, {"flag-3"}}}, {"lblc", [][]string{{}}},
		{"lblcr", [][]string{{}, {"flag-1", "flag-2"}}}, {"dh", [][]string{{}}}, {"sed", [][]string{{}}}, {"nq", [][]string{{}}}, {"fo", [][]string{{}}}, {"ovf", [][]string{{}}},
		{"sh", [][]string{{}, {"sh-port"}, {"sh-fallback", "sh-port"}, {"flag-2"}}},
		{"mh", [][]string{{}, {"mh-fallback"}, {"mh-port", "mh-fallback"}, {"flag-1"}}},
	}
	clientRanges = []string{"198.51.100.0/24", "198.51.100.0/25", "198.51.100.7/32", "0.0.0.0/0", "2001:db8:9::/48", "2001:db8:9:1::/64", "::/0"}
)

// ownMarks are the firewall marks 1 … 3 of random tables.
const ownMarks = 3

func pick[T any](random *rand.Rand, choices []T) T { return choices[random.IntN(len(choices))] }

// oneIn is true once in so many times.
func oneIn(random *rand.Rand, times int) bool { return random.IntN(times) == 0 }

// randomTable is any table that prod may ask for, in any order.
func randomTable(random *rand.Rand) []wire.VirtualServer {
	var result []wire.VirtualServer
	for range random.IntN(8) {
		made := randomVirtualServer(random)
		if !slices.ContainsFunc(result, func(other wire.VirtualServer) bool { return other.Key == made.Key }) {
			result = append(result, made)
		}
	}
	return result
}

func randomVirtualServer(random *rand.Rand) wire.VirtualServer {
	chosen := pick(random, scheduling)
	flags := slices.Clone(pick(random, chosen.flags)) // laws run in parallel, and change what they have made
	result := wire.VirtualServer{Scheduler: chosen.name, SchedulerFlags: flags, DrainSeconds: pick(random, []int64{0, 0, 30, 3600})}
	v6 := oneIn(random, 3)
	if oneIn(random, 6) {
		result.Key = wire.Key{FirewallMark: random.Int64N(ownMarks) + 1, Family: map[bool]string{false: "IPv4", true: "IPv6"}[v6]}
	} else {
		vip := pick(random, vips)
		v6 = vip[4] == ':'
		result.Key = wire.Key{Address: vip, Port: pick(random, ports), Protocol: pick(random, protocols)}
		result.PacketRules = randomPacketRules(random, result.Protocol)
	}
	result.OnePacket = (result.Protocol == "UDP" || result.FirewallMark != 0) && oneIn(random, 3)
	if oneIn(random, 3) {
		result.Persistence = &wire.Persistence{TimeoutSeconds: pick(random, []int64{60, 10800}), PrefixLength: pick(random, []int64{24, 32})}
		if result.Protocol == "UDP" && oneIn(random, 3) {
			result.Persistence.Engine = "sip"
		}
	}
	for _, index := range random.Perm(len(hosts[v6]))[:random.IntN(len(hosts[v6])+1)] {
		result.RealServers = append(result.RealServers, randomRealServer(random, hosts[v6][index], result))
	}
	if !result.Masquerade && oneIn(random, 6) { // a real server of the other family
		other := wire.RealServer{Address: hosts[!v6][0], Port: result.Port, Weight: random.Int64N(4), ForwardingMethod: "Tunneling", Tunnel: randomTunnel(random)}
		result.RealServers = append(result.RealServers, other)
	}
	return result
}

func randomPacketRules(random *rand.Rand, protocol string) wire.PacketRules {
	var rules wire.PacketRules
	if !oneIn(random, 3) {
		return rules
	}
	rules.Masquerade = oneIn(random, 2)
	if protocol == "TCP" && oneIn(random, 2) {
		rules.MSSClamp = pick(random, []int64{1200, 1400})
	}
	for range random.IntN(4) {
		rules.SourceRanges = append(rules.SourceRanges, pick(random, clientRanges))
	}
	return rules
}

func randomRealServer(random *rand.Rand, host string, of wire.VirtualServer) wire.RealServer {
	result := wire.RealServer{Address: host, Port: of.Port, Weight: random.Int64N(4), ForwardingMethod: pick(random, []string{"DirectRouting", "Masquerading", "Tunneling", "Local"})}
	if of.Masquerade {
		result.ForwardingMethod = "Masquerading"
	}
	switch result.ForwardingMethod {
	case "Masquerading":
		result.Port = pick(random, []int64{of.Port, 30080})
	case "Tunneling":
		result.Tunnel = randomTunnel(random)
	}
	if oneIn(random, 4) {
		result.UpperThreshold, result.LowerThreshold = 10, random.Int64N(11)
	}
	return result
}

func randomTunnel(random *rand.Rand) wire.Tunnel {
	return pick(random, []wire.Tunnel{{Type: "ipip"}, {Type: "gue", Port: 6080}, {Type: "gue", Port: 6081, Checksum: true}, {Type: "gue", Port: 6081, RemoteChecksum: true},
		{Type: "gre"}, {Type: "gre", Checksum: true}})
}

// randomForeign is what others have on the host: outside our ranges, and by firewall mark.
func randomForeign(random *rand.Rand) []ipvs.Operation {
	var operations []ipvs.Operation
	for number := range random.IntN(4) {
		foreign := service(fmt.Sprintf("198.51.100.%d", number+1), 25)
		if oneIn(random, 3) {
			foreign = ipvs.Service{ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv4, FirewallMark: uint32(number + 100)}, Scheduler: "rr", PrefixLength: 32}
		}
		operations = append(operations, ipvs.Operation{Kind: ipvs.NewService, Service: foreign},
			ipvs.Operation{Kind: ipvs.NewDestination, Service: foreign, Destination: destination("192.0.2.21", 25)})
	}
	return operations
}
