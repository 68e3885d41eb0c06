package contract

import (
	"fmt"
	"net/netip"
	"testing"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/wire"
)

// asked counts what is asked of the kernel, in netlink messages: the measure of cost that does not depend on the machine. A dump of
// real servers is one request and some 400 bytes for each of them; a dump of virtual servers, the only message whose answer grows
// with the table, is counted apart.
type asked struct {
	wholeTable, virtualServers, realServerDumps, realServers, writes int
	addresses, addressWrites, packetReads, packetWrites              int
}

// askedIPVS, askedAddresses and askedPackets count in one asked.
type askedIPVS struct {
	ipvs.Kernel
	count *asked
}

func (a askedIPVS) Services() ([]ipvs.Service, error) {
	a.count.wholeTable++
	return a.Kernel.Services()
}

func (a askedIPVS) Service(key ipvs.ServiceKey) (ipvs.Service, error) {
	a.count.virtualServers++
	return a.Kernel.Service(key)
}

func (a askedIPVS) Destinations(key ipvs.ServiceKey) ([]ipvs.Destination, error) {
	destinations, err := a.Kernel.Destinations(key)
	a.count.realServerDumps++
	a.count.realServers += len(destinations)
	return destinations, err
}

func (a askedIPVS) Execute(operations []ipvs.Operation) []error {
	a.count.writes += len(operations)
	return a.Kernel.Execute(operations)
}

type askedAddresses struct {
	address.Kernel
	count *asked
}

func (a askedAddresses) Held(interfaceName string, addresses []netip.Addr) (map[netip.Addr]bool, error) {
	a.count.addresses += len(addresses)
	return a.Kernel.Held(interfaceName, addresses)
}

func (a askedAddresses) Add(assigned ...address.Assigned) []error {
	a.count.addressWrites += len(assigned)
	return a.Kernel.Add(assigned...)
}

func (a askedAddresses) Delete(assigned ...address.Assigned) []error {
	a.count.addressWrites += len(assigned)
	return a.Kernel.Delete(assigned...)
}

type askedPackets struct {
	packets.Kernel
	count *asked
}

func (a askedPackets) Read() (packets.State, error) {
	a.count.packetReads++
	return a.Kernel.Read()
}

func (a askedPackets) Write(before, after packets.State) error {
	a.count.packetWrites++
	return a.Kernel.Write(before, after)
}

func manyVirtualServers(count int) []wire.VirtualServer {
	var result []wire.VirtualServer
	for number := range count {
		result = append(result, virtualServer(fmt.Sprintf("203.0.113.%d", number%200+1), int64(number/200+1), "192.0.2.21", "192.0.2.22"))
	}
	return result
}

// Each is one change of TCP 203.0.113.5:1 with real servers 192.0.2.21 and .22, in a table of any size, by a session that knows it.
// What is asked: once before and, when something was written, once after; no more than a virtual server and its real servers, its
// VIP, and the packet rules.
var listedChanges = []struct {
	name   string
	change func(*wire.VirtualServer)
	want   asked
	writes int
}{
	{"nothing", func(*wire.VirtualServer) {}, asked{virtualServers: 1, realServerDumps: 1, realServers: 2, addresses: 1}, 0},
	{"a real server less", func(v *wire.VirtualServer) { v.RealServers = v.RealServers[:1] }, asked{virtualServers: 2, realServerDumps: 2, realServers: 3, writes: 1, addresses: 1}, 1},
	{"a real server more", func(v *wire.VirtualServer) {
		v.RealServers = append(v.RealServers, virtualServer("203.0.113.5", 1, "192.0.2.23").RealServers...)
	}, asked{virtualServers: 2, realServerDumps: 2, realServers: 5, writes: 1, addresses: 1}, 1},
	{"a weight", func(v *wire.VirtualServer) { v.RealServers[0].Weight = 7 }, oneEdit, 1},
	{"a forwarding method", func(v *wire.VirtualServer) { v.RealServers[0].ForwardingMethod = "Masquerading" }, oneEdit, 1},
	{"thresholds", func(v *wire.VirtualServer) { v.RealServers[0].UpperThreshold = 9 }, oneEdit, 1},
	{"a tunnel", func(v *wire.VirtualServer) {
		v.RealServers[0].ForwardingMethod, v.RealServers[0].Tunnel = "Tunneling", wire.Tunnel{Type: "ipip"}
	}, oneEdit, 1},
	{"scheduler", func(v *wire.VirtualServer) { v.Scheduler = "rr" }, oneEdit, 1},
	{"scheduler flags", func(v *wire.VirtualServer) { v.SchedulerFlags = []string{"flag-1"} }, oneEdit, 1},
	{"persistence", func(v *wire.VirtualServer) { v.Persistence = &wire.Persistence{TimeoutSeconds: 60, PrefixLength: 32} }, oneEdit, 1},
	{"a drain", func(v *wire.VirtualServer) { v.DrainSeconds, v.RealServers = 30, v.RealServers[:1] }, oneEdit, 1},
	{"source ranges", func(v *wire.VirtualServer) { v.SourceRanges = []string{"198.51.100.0/24"} },
		asked{virtualServers: 1, realServerDumps: 1, realServers: 2, addresses: 1, packetWrites: 1}, 1},
	{"another VIP", func(v *wire.VirtualServer) { v.Address = "203.0.113.250" },
		asked{virtualServers: 2, realServerDumps: 1, realServers: 2, writes: 3, addresses: 2, addressWrites: 1}, 4},
}

// oneEdit is one write in place.
var oneEdit = asked{virtualServers: 2, realServerDumps: 2, realServers: 4, writes: 1, addresses: 1}

// With scope listed, one change costs the same however large the table is: the messages are those of the row, each and no other.
func TestListedCostsWhatIsListed(t *testing.T) {
	for _, size := range []int{10, 100, 1000} {
		t.Run(fmt.Sprintf("%d virtual servers", size), func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				d.all(t, manyVirtualServers(size)...)
				engine := *d.engine
				for _, row := range listedChanges {
					var counted asked
					d.engine.IPVS, d.engine.Addresses, d.engine.Packets = askedIPVS{engine.IPVS, &counted}, askedAddresses{engine.Addresses, &counted}, askedPackets{engine.Packets, &counted}
					changed := virtualServer("203.0.113.5", 1, "192.0.2.21", "192.0.2.22")
					row.change(&changed)
					answer := d.listed(t, list(changed))
					if len(answer.Errors) > 0 || answer.Writes != row.writes {
						t.Errorf("%s: answer %+v, wanted %d writes", row.name, answer, row.writes)
					}
					if counted.packetReads == 0 || counted.packetReads > 5 { // each one small request while nobody has changed a rule
						t.Errorf("%s: packet rules were read %d times", row.name, counted.packetReads)
					}
					counted.packetReads = 0
					if counted != row.want {
						t.Errorf("%s: asked %+v, wanted %+v", row.name, counted, row.want)
					}
					d.engine.IPVS, d.engine.Addresses, d.engine.Packets = engine.IPVS, engine.Addresses, engine.Packets
					d.listed(t, list(virtualServer("203.0.113.5", 1, "192.0.2.21", "192.0.2.22")), wire.Key{Address: "203.0.113.250", Port: 1, Protocol: "TCP"})
				}
			})
		})
	}
}
