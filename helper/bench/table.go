package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// hosts are the VIPs and the real servers that a /24 for documentation has room for; each VIP carries as many ports as the
// table needs.
const (
	hosts             = 250
	maxVirtualServers = hosts * 1000
	interfaceName     = "lo"
)

// testTable is one table in the languages of all competitors: wrr, direct routing, weight 1, in the order in which the operator sends it.
type testTable struct {
	virtualServers []wire.VirtualServer
	operations     []ipvs.Operation
	addresses      []address.Assigned
	// rules is what ipvsadm -R reads, and -Sn prints in some order.
	rules string
}

func makeTable(size, realServers int) testTable {
	var made testTable
	var rules strings.Builder
	for host := range min(size, hosts) {
		vip := fmt.Sprintf("203.0.113.%d", host+1)
		made.addresses = append(made.addresses, address.Assigned{Interface: interfaceName, Address: netip.MustParseAddr(vip)})
		for number := host; number < size; number += hosts {
			made.add(&rules, vip, number/hosts+1, realServersOf(number, realServers))
		}
	}
	made.rules = rules.String()
	return made
}

// realServersOf are hosts in order.
func realServersOf(number, count int) []int {
	servers := make([]int, count)
	for index := range servers {
		servers[index] = (number*count+index)%hosts + 1
	}
	slices.Sort(servers)
	return servers
}

func (t *testTable) add(rules *strings.Builder, vip string, port int, realServers []int) {
	service := ipvs.Service{Scheduler: "wrr", PrefixLength: 32,
		ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv4, Protocol: ipvs.TCP, Address: netip.MustParseAddr(vip), Port: uint16(port)}}
	server := wire.VirtualServer{Key: wire.Key{Address: vip, Port: int64(port), Protocol: "TCP"}, Scheduler: "wrr", SchedulerFlags: []string{}}
	t.operations = append(t.operations, ipvs.Operation{Kind: ipvs.NewService, Service: service})
	fmt.Fprintf(rules, "-A -t %s:%d -s wrr\n", vip, port)
	for _, realServer := range realServers {
		host := fmt.Sprintf("192.0.2.%d", realServer)
		server.RealServers = append(server.RealServers, wire.RealServer{Address: host, Port: int64(port), Weight: 1, ForwardingMethod: "DirectRouting"})
		t.operations = append(t.operations, ipvs.Operation{Kind: ipvs.NewDestination, Service: service, Destination: ipvs.Destination{
			DestinationKey: ipvs.DestinationKey{Address: netip.MustParseAddr(host), Port: uint16(port)}, ForwardingMethod: ipvs.DirectRouting, Weight: 1}})
		fmt.Fprintf(rules, "-a -t %s:%d -r %s:%d -g -w 1\n", vip, port, host, port)
	}
	t.virtualServers = append(t.virtualServers, server)
}

// request is an apply as the operator would send it.
func request(scope wire.Scope, virtualServers []wire.VirtualServer) ([]byte, error) {
	return json.Marshal(map[string]any{"id": 1, "op": "apply", "epoch": 1, "generation": 1, "dryRun": false, "scope": scope,
		"interface": interfaceName, "virtualServers": virtualServers, "absent": []wire.Key{}})
}

// sameRules compares two lists of ipvsadm's lines in any order.
func sameRules(a, b string) bool {
	sorted := func(text string) []string {
		var lines []string
		for line := range strings.Lines(text) {
			lines = append(lines, strings.TrimSpace(line))
		}
		slices.Sort(lines)
		return lines
	}
	return slices.Equal(sorted(a), sorted(b))
}
