package contract

import (
	"fmt"
	"strings"

	"ipvs-operator.io/helper/wire"
)

// The two tables between which the helper is interrupted. What both have is unrelated to the change and must never be absent.

// interruptionPolicy is the default one with the director's own settings granted.
var interruptionPolicy = strings.Replace(defaultPolicy, `"prod":{`, `"prod":{"host":{"sysctls":["*"],"timeouts":true},`, 1)

func numbered(number int, hosts ...string) wire.VirtualServer {
	server := virtualServer(fmt.Sprintf("203.0.113.%d", number), 80, hosts...)
	server.DrainSeconds = 3600
	return server
}

// unrelated are virtual servers of prod that stay as they are, among them one with packet rules and one of IPv6.
func unrelated() []wire.VirtualServer {
	servers := []wire.VirtualServer{numbered(101, "192.0.2.21", "192.0.2.22"), numbered(102, "192.0.2.21"), numbered(103, "192.0.2.22"),
		virtualServer("2001:db8::101", 80, "2001:db8:1::21", "2001:db8:1::22")}
	servers[1].SourceRanges = []string{"198.51.100.0/24"}
	return servers
}

// tableBefore is the first of the two tables; some of its real servers drain when those of drainingBefore stood before it.
func tableBefore() []wire.VirtualServer {
	servers := append(unrelated(), numbered(60, "192.0.2.21"), numbered(61, "192.0.2.21"))
	for number := 20; number < 24; number++ {
		servers = append(servers, numbered(number, "192.0.2.21"))
	}
	servers[6].SourceRanges = []string{"198.51.100.0/25"}
	for number := 30; number < 34; number++ {
		servers = append(servers, numbered(number, "192.0.2.21", "192.0.2.22"))
	}
	for number := 40; number < 43; number++ {
		servers = append(servers, numbered(number, "192.0.2.21", "192.0.2.22", "192.0.2.23"))
	}
	for number := 50; number < 53; number++ {
		servers = append(servers, numbered(number, "192.0.2.21", "192.0.2.22", "192.0.2.23"))
	}
	return servers
}

func drainingBefore() []wire.VirtualServer {
	return []wire.VirtualServer{numbered(60, "192.0.2.21", "192.0.2.24"), numbered(61, "192.0.2.21", "192.0.2.24")}
}

// tableAfter is the second one: virtual servers come and go, are edited, their real servers come, go at once, drain and return.
func tableAfter() []wire.VirtualServer {
	servers := append(unrelated(), drainingBefore()...)
	for number := 10; number < 13; number++ {
		servers = append(servers, numbered(number, "192.0.2.21", "192.0.2.22"))
	}
	six := virtualServer("2001:db8::10", 80, "2001:db8:1::21", "2001:db8:1::22")
	six.SourceRanges = []string{"2001:db8:9::/48"}
	servers = append(servers, six)
	for number := 30; number < 34; number++ {
		edited := numbered(number, "192.0.2.21", "192.0.2.22", "192.0.2.23")
		edited.Scheduler, edited.Persistence = "rr", &wire.Persistence{TimeoutSeconds: 60, PrefixLength: 24}
		edited.RealServers[0].Weight, edited.RealServers[1].ForwardingMethod = 5, "Masquerading"
		edited.SourceRanges = []string{"198.51.100.0/26"}
		servers = append(servers, edited)
	}
	for number := 40; number < 43; number++ {
		servers = append(servers, numbered(number, "192.0.2.21"))
	}
	for number := 50; number < 53; number++ {
		server := numbered(number, "192.0.2.21")
		server.DrainSeconds = 0
		servers = append(servers, server)
	}
	return servers
}

func hostBefore() *wire.Host {
	return &wire.Host{Sysctls: map[string]string{"net.ipv4.vs.sloppy_tcp": "0", "net.ipv4.vs.conntrack": "0"}, Timeouts: &wire.Timeouts{TCPSeconds: 900, TCPFinSeconds: 120, UDPSeconds: 300}}
}

func hostAfter() *wire.Host {
	return &wire.Host{Sysctls: map[string]string{"net.ipv4.vs.sloppy_tcp": "1", "net.ipv4.vs.conntrack": "1"}, Timeouts: &wire.Timeouts{TCPSeconds: 1800, TCPFinSeconds: 60, UDPSeconds: 30}}
}
