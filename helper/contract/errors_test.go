package contract

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
)

// Every refusal of the kernel that our operations can meet (dataplane 1.2), and what it accepts although it is nonsense.
// Before each: TCP 203.0.113.10:80 with real server 192.0.2.21:80, and TCP [2001:db8::10]:80.
var answers = []struct {
	name   string
	kind   ipvs.OperationKind
	change func(service *ipvs.Service, destination *ipvs.Destination)
	want   error
}{
	{"new service that exists", ipvs.NewService, nil, unix.EEXIST},
	{"new destination that exists", ipvs.NewDestination, nil, unix.EEXIST},
	{"new destination that exists with another method", ipvs.NewDestination, method(ipvs.Masquerading), unix.EEXIST},
	{"set service that is missing", ipvs.SetService, port(81), unix.ESRCH},
	{"delete service that is missing", ipvs.DeleteService, port(81), unix.ESRCH},
	{"new destination of a missing service", ipvs.NewDestination, port(81), unix.ESRCH},
	{"set destination of a missing service", ipvs.SetDestination, port(81), unix.ESRCH},
	{"delete destination of a missing service", ipvs.DeleteDestination, port(81), unix.ESRCH},
	{"set destination that is missing", ipvs.SetDestination, host("192.0.2.99"), unix.ENOENT},
	{"delete destination that is missing", ipvs.DeleteDestination, host("192.0.2.99"), unix.ENOENT},
	{"new service with an unknown scheduler", ipvs.NewService, both(port(81), scheduler("nonsense")), unix.ENOENT},
	{"set service to an unknown scheduler", ipvs.SetService, scheduler("nonsense"), unix.ENOENT},
	{"new service with an unknown persistence engine", ipvs.NewService, both(port(81), engine("nonsense")), unix.ENOENT},
	{"scheduler name over 15 bytes", ipvs.NewService, both(port(81), scheduler("sixteen-letters-")), unix.EINVAL},
	{"persistence engine name of 16 bytes", ipvs.NewService, both(port(81), engine("sixteen-letters-")), unix.ENOENT},
	{"persistence engine name over 16 bytes", ipvs.NewService, both(port(81), engine("seventeen-letters")), unix.EINVAL},
	{"IPv6 netmask 0", ipvs.NewService, both(vip6, both(port(81), prefix(0))), unix.EINVAL},
	{"IPv6 netmask 129", ipvs.NewService, both(vip6, both(port(81), prefix(129))), unix.EINVAL},
	{"multicast real server", ipvs.NewDestination, host("224.0.0.5"), unix.EINVAL},
	{"broadcast real server", ipvs.NewDestination, host("255.255.255.255"), unix.EINVAL},
	{"IPv6 multicast real server", ipvs.NewDestination, both(vip6, host("ff02::5")), unix.EINVAL},
	{"IPv6 link-local real server", ipvs.NewDestination, both(vip6, host("fe80::5")), unix.EINVAL},
	{"GUE without port", ipvs.NewDestination, both(host("192.0.2.99"), tunnel(ipvs.TunnelGUE, 0)), unix.EINVAL},
	{"negative weight", ipvs.SetDestination, weight(0x80000000), unix.ERANGE},
	{"lower threshold above upper", ipvs.SetDestination, thresholds(5, 6), unix.ERANGE},
	{"new destination, lower threshold above upper", ipvs.NewDestination, both(host("192.0.2.99"), thresholds(5, 6)), unix.ERANGE},
	{"direct routing to the other family", ipvs.NewDestination, host("2001:db8::99"), unix.EINVAL},
	{"masquerading to the other family", ipvs.NewDestination, both(host("2001:db8::99"), method(ipvs.Masquerading)), unix.EINVAL},
	{"tunnel to the other family", ipvs.NewDestination, both(host("2001:db8::99"), method(ipvs.Tunneling)), nil},
	{"new service of a family that there is not", ipvs.NewService, func(service *ipvs.Service, _ *ipvs.Destination) { service.Family, service.Port = 99, 81 }, unix.EAFNOSUPPORT},
	{"tunnel of a type that there is not", ipvs.NewDestination, both(host("192.0.2.99"), tunnel(9, 0)), nil},
	{"unknown operation", ipvs.OperationKind(99), nil, unix.EOPNOTSUPP},
	{"port 0 without persistence", ipvs.NewService, port(0), nil},
	{"protocol 1", ipvs.NewService, func(service *ipvs.Service, _ *ipvs.Destination) { service.Protocol = 1 }, nil},
	{"unrouted real server", ipvs.NewDestination, host("198.51.100.99"), nil},
	{"direct routing with another port", ipvs.NewDestination, func(_ *ipvs.Service, destination *ipvs.Destination) { destination.Port = 99 }, nil},
	{"largest weight", ipvs.SetDestination, weight(0x7fffffff), nil},
	{"one-packet scheduling on TCP", ipvs.SetService, func(service *ipvs.Service, _ *ipvs.Destination) { service.Flags = ipvs.FlagOnePacket }, nil},
}

type edit = func(*ipvs.Service, *ipvs.Destination)

func both(first, second edit) edit {
	return func(service *ipvs.Service, destination *ipvs.Destination) {
		first(service, destination)
		second(service, destination)
	}
}

func port(number uint16) edit {
	return func(service *ipvs.Service, _ *ipvs.Destination) { service.Port = number }
}

func host(text string) edit {
	return func(_ *ipvs.Service, destination *ipvs.Destination) { destination.Address = netip.MustParseAddr(text) }
}

func method(method ipvs.ForwardingMethod) edit {
	return func(_ *ipvs.Service, destination *ipvs.Destination) { destination.ForwardingMethod = method }
}

func scheduler(name string) edit {
	return func(service *ipvs.Service, _ *ipvs.Destination) { service.Scheduler = name }
}

func engine(name string) edit {
	return func(service *ipvs.Service, _ *ipvs.Destination) { service.PersistenceEngine = name }
}

func prefix(length uint8) edit {
	return func(service *ipvs.Service, _ *ipvs.Destination) { service.PrefixLength = length }
}

func tunnel(kind ipvs.TunnelType, port uint16) edit {
	return func(_ *ipvs.Service, destination *ipvs.Destination) {
		destination.ForwardingMethod, destination.Tunnel = ipvs.Tunneling, ipvs.Tunnel{Type: kind, Port: port}
	}
}

func weight(weight uint32) edit {
	return func(_ *ipvs.Service, destination *ipvs.Destination) { destination.Weight = weight }
}

func thresholds(upper, lower uint32) edit {
	return func(_ *ipvs.Service, destination *ipvs.Destination) {
		destination.UpperThreshold, destination.LowerThreshold = upper, lower
	}
}

func vip6(target *ipvs.Service, _ *ipvs.Destination) { *target = service("2001:db8::10", 80) }

func TestAnswers(t *testing.T) {
	for _, row := range answers {
		t.Run(row.name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				v4, v6, server := service("203.0.113.10", 80), service("2001:db8::10", 80), destination("192.0.2.21", 80)
				w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: v4}, ipvs.Operation{Kind: ipvs.NewService, Service: v6},
					ipvs.Operation{Kind: ipvs.NewDestination, Service: v4, Destination: server})
				if row.change != nil {
					row.change(&v4, &server)
				}
				got := w.ipvs.Execute([]ipvs.Operation{{Kind: row.kind, Service: v4, Destination: server}})[0]
				if !errors.Is(got, row.want) {
					t.Errorf("answer %s, wanted %s", show(got), show(row.want))
				}
			})
		})
	}
}

func TestReadingWhatIsMissing(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		if _, err := w.ipvs.Service(service("203.0.113.10", 80).ServiceKey); !errors.Is(err, unix.ESRCH) {
			t.Errorf("reading a missing virtual server: %s, wanted ESRCH", show(err))
		}
		// The trap: success, not an error.
		if destinations, err := w.ipvs.Destinations(service("203.0.113.10", 80).ServiceKey); err != nil || len(destinations) != 0 {
			t.Errorf("real servers of a missing virtual server: %v, %s, wanted none and no error", destinations, show(err))
		}
		if services, err := w.ipvs.Services(); err != nil || len(services) != 0 {
			t.Errorf("empty table: %v, %s", services, show(err))
		}
	})
}

func TestCallerWithoutCapability(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.10", 80)})
		kernel := w.unprivileged(t)
		_, information := kernel.(ipvs.Settings).Info()
		_, services := kernel.Services()
		_, oneService := kernel.Service(service("203.0.113.10", 80).ServiceKey)
		_, destinations := kernel.Destinations(service("203.0.113.10", 80).ServiceKey)
		write := kernel.Execute([]ipvs.Operation{{Kind: ipvs.DeleteService, Service: service("203.0.113.10", 80)}})[0]
		for name, err := range map[string]error{"probe": kernel.Probe(), "information": information, "services": services, "service": oneService, "destinations": destinations, "write": write} {
			if !errors.Is(err, unix.EPERM) {
				t.Errorf("%s: %s, wanted EPERM", name, show(err))
			}
		}
	})
}

func TestAddressAnswers(t *testing.T) {
	for _, text := range []string{"203.0.113.10", "2001:db8::10"} {
		t.Run(text, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				vip := address.Assigned{Interface: "eth0", Address: netip.MustParseAddr(text)}
				elsewhere := address.Assigned{Interface: "missing0", Address: vip.Address}
				expect := func(doing string, got, want error) {
					t.Helper()
					if !errors.Is(got, want) {
						t.Errorf("%s: %s, wanted %s", doing, show(got), show(want))
					}
				}
				expect("delete what is missing", w.addresses.Delete(vip)[0], unix.EADDRNOTAVAIL)
				expect("add", w.addresses.Add(vip)[0], nil)
				expect("announce", w.addresses.Announce(vip)[0], nil)
				expect("add again", w.addresses.Add(vip)[0], unix.EEXIST)
				expect("add to a missing interface", w.addresses.Add(elsewhere)[0], unix.ENODEV)
				expect("delete from a missing interface", w.addresses.Delete(elsewhere)[0], unix.ENODEV)
				_, err := w.addresses.Held("missing0", []netip.Addr{vip.Address})
				expect("ask a missing interface", err, unix.ENODEV)
				expect("delete", w.addresses.Delete(vip)[0], nil)
				w.ipShows(t, "eth0")
			})
		})
	}
}

// Of many at once each has its own answer, in order: what one of them is refused does not stop the others.
func TestManyAddressesAtOnce(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		var many []address.Assigned
		want := map[int]error{40: unix.ENODEV, 70: unix.EEXIST, 80: unix.ENODEV}
		for number := range 150 {
			many = append(many, onLo(fmt.Sprintf("203.0.113.%d", number+1)), onLo(fmt.Sprintf("2001:db8::%d", number+1)))
		}
		many[40].Interface, many[70], many[80].Interface = "missing0", many[0], "missing0"
		compare := func(doing string, answers []error) {
			t.Helper()
			if len(answers) != len(many) {
				t.Fatalf("%s: %d answers to %d", doing, len(answers), len(many))
			}
			for index, got := range answers {
				if !errors.Is(got, want[index]) {
					t.Errorf("%s %s: %s, wanted %s", doing, many[index], show(got), show(want[index]))
				}
			}
		}
		compare("add", w.addresses.Add(many...))
		want[70] = nil
		compare("announce", w.addresses.Announce(many...))
		var shown []string
		for index, each := range many {
			if want[index] == nil && index != 70 {
				shown = append(shown, each.Prefix().String())
			}
		}
		w.ipShows(t, "lo", shown...)
		want[70] = unix.EADDRNOTAVAIL
		compare("delete", w.addresses.Delete(many...))
		w.ipShows(t, "lo")
	})
}

func TestAddressesAreHeldWhereTheyAre(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		texts := []string{"203.0.113.10", "203.0.113.11", "2001:db8::10", "2001:db8::11"}
		var asked []netip.Addr
		for _, text := range texts {
			asked = append(asked, netip.MustParseAddr(text))
		}
		for _, index := range []int{0, 2} {
			if err := w.addresses.Add(address.Assigned{Interface: "lo", Address: asked[index]})[0]; err != nil {
				t.Fatal(err)
			}
		}
		// The first address is on both: the routing table knows one place only.
		if err := w.addresses.Add(address.Assigned{Interface: "eth0", Address: asked[0]})[0]; err != nil {
			t.Fatal(err)
		}
		for interfaceName, want := range map[string][]bool{"lo": {true, false, true, false}, "eth0": {true, false, false, false}} {
			held, err := w.addresses.Held(interfaceName, asked)
			if err != nil {
				t.Fatal(err)
			}
			for index, address := range asked {
				if held[address] != want[index] {
					t.Errorf("%s holds %s: %t, wanted %t", interfaceName, address, held[address], want[index])
				}
			}
		}
		w.ipShows(t, "lo", "203.0.113.10/32", "2001:db8::10/128")
		w.ipShows(t, "eth0", "203.0.113.10/32")
		many := slices.Clone(asked)
		for number := range 100 { // so many are not asked for one by one
			many = append(many, netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", number+100)))
		}
		held, err := w.addresses.Held("lo", many)
		if err != nil || len(held) != 2 || !held[asked[0]] || !held[asked[2]] {
			t.Errorf("of many, lo holds %v, %v", held, err)
		}
	})
}
