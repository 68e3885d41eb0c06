package contract

import (
	"fmt"
	"math/rand/v2"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// The universe is small, so that random tables overlap in every way: three VIPs of one family, two of the other, three
// ports, all protocols.
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
		{"rr", [][]string{{}, {"flag-1"}}}, {"wrr", [][]string{{}}}, {"wlc", [][]string{{}, {"flag-3"}}},
		{"sh", [][]string{{}, {"sh-port"}, {"sh-fallback", "sh-port"}, {"flag-2"}}},
		{"mh", [][]string{{}, {"mh-fallback"}, {"mh-port", "mh-fallback"}, {"flag-1"}}},
	}
)

func pick[T any](random *rand.Rand, choices []T) T { return choices[random.IntN(len(choices))] }

// randomTable is any table that prod may ask for, in any order.
func randomTable(random *rand.Rand) []wire.VirtualServer {
	byKey := map[wire.Key]wire.VirtualServer{}
	for range random.IntN(8) {
		virtualServer := randomVirtualServer(random)
		byKey[virtualServer.Key] = virtualServer
	}
	var result []wire.VirtualServer
	for _, virtualServer := range byKey {
		result = append(result, virtualServer)
	}
	return result
}

func randomVirtualServer(random *rand.Rand) wire.VirtualServer {
	vip := pick(random, vips)
	v6 := len(vip) > 0 && vip[4] == ':'
	chosen := pick(random, scheduling)
	result := wire.VirtualServer{Key: wire.Key{Address: vip, Port: pick(random, ports), Protocol: pick(random, protocols)},
		Scheduler: chosen.name, SchedulerFlags: pick(random, chosen.flags)}
	result.OnePacket = result.Protocol == "UDP" && random.IntN(3) == 0
	if random.IntN(3) == 0 {
		result.Persistence = &wire.Persistence{TimeoutSeconds: pick(random, []int64{60, 10800}), PrefixLength: pick(random, []int64{24, 32})}
	}
	for _, index := range random.Perm(len(hosts[v6]))[:random.IntN(len(hosts[v6])+1)] {
		result.RealServers = append(result.RealServers, randomRealServer(random, hosts[v6][index], result.Port))
	}
	return result
}

func randomRealServer(random *rand.Rand, host string, port int64) wire.RealServer {
	result := wire.RealServer{Address: host, Port: port, Weight: random.Int64N(4), ForwardingMethod: "DirectRouting"}
	if random.IntN(3) == 0 {
		result.ForwardingMethod, result.Port = "Masquerading", pick(random, []int64{port, 30080})
	}
	if random.IntN(4) == 0 {
		result.UpperThreshold, result.LowerThreshold = 10, random.Int64N(11)
	}
	return result
}

// randomForeign is what others have on the host: outside our ranges, and by firewall mark.
func randomForeign(random *rand.Rand) []ipvs.Operation {
	var operations []ipvs.Operation
	for number := range random.IntN(4) {
		foreign := service(fmt.Sprintf("198.51.100.%d", number+1), 25)
		if random.IntN(3) == 0 {
			foreign = ipvs.Service{ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv4, FirewallMark: uint32(number + 1)}, Scheduler: "rr", PrefixLength: 32}
		}
		operations = append(operations, ipvs.Operation{Kind: ipvs.NewService, Service: foreign},
			ipvs.Operation{Kind: ipvs.NewDestination, Service: foreign, Destination: destination("192.0.2.21", 25)})
	}
	return operations
}
