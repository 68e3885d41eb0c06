package contract

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
)

// What is written is what is read: every attribute of virtual servers.
func TestServicesRoundTrip(t *testing.T) {
	udp := service("203.0.113.11", 53)
	udp.Protocol, udp.Scheduler, udp.Flags = ipvs.UDP, "rr", ipvs.FlagOnePacket
	sctp := service("203.0.113.12", 2905)
	sctp.Protocol, sctp.Scheduler = ipvs.SCTP, "wrr"
	persistent := service("203.0.113.13", 443)
	persistent.Flags, persistent.Timeout, persistent.PrefixLength = ipvs.FlagPersistent, 10800, 24
	persistent6 := service("2001:db8::13", 443)
	persistent6.Flags, persistent6.Timeout, persistent6.PrefixLength = ipvs.FlagPersistent, 600, 64
	mh := service("203.0.113.14", 80)
	mh.Scheduler, mh.Flags = "mh", ipvs.FlagScheduler1|ipvs.FlagScheduler2
	sip := service("203.0.113.15", 5060)
	sip.Protocol, sip.PersistenceEngine = ipvs.UDP, "sip"
	sip.Flags, sip.Timeout, sip.PrefixLength = ipvs.FlagPersistent, 60, 32
	mark := ipvs.Service{ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv4, FirewallMark: 7}, Scheduler: "wlc", PrefixLength: 32}
	mark6 := ipvs.Service{ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv6, FirewallMark: 7}, Scheduler: "wlc", PrefixLength: 128}
	for _, written := range []ipvs.Service{service("203.0.113.10", 80), udp, sctp, persistent, persistent6, mh, sip, mark, mark6, service("2001:db8::10", 65535)} {
		t.Run(written.ServiceKey.String(), func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: written})
				single, err := w.ipvs.Service(written.ServiceKey)
				if err != nil {
					t.Fatal(err)
				}
				dumped, err := w.ipvs.Services()
				if err != nil || len(dumped) != 1 || dumped[0] != single {
					t.Errorf("dump %v, %v; single read %v", dumped, err, single)
				}
				written.Flags |= ipvs.FlagHashed // the kernel's own
				if single != written {
					t.Errorf("read %+v, wrote %+v", single, written)
				}
			})
		})
	}
}

func TestDestinationsRoundTrip(t *testing.T) {
	edits := map[string]edit{
		"direct routing": func(*ipvs.Service, *ipvs.Destination) {},
		"masquerading":   both(method(ipvs.Masquerading), func(_ *ipvs.Service, destination *ipvs.Destination) { destination.Port = 30080 }),
		"local":          method(ipvs.Local),
		"IPIP":           tunnel(ipvs.TunnelIPIP, 0),
		"GUE":            tunnel(ipvs.TunnelGUE, 6080),
		"GRE with checksum": both(tunnel(ipvs.TunnelGRE, 0), func(_ *ipvs.Service, destination *ipvs.Destination) {
			destination.Tunnel.Flags = 1
		}),
		"GUE with both checksums": both(tunnel(ipvs.TunnelGUE, 6080), func(_ *ipvs.Service, destination *ipvs.Destination) {
			destination.Tunnel.Flags = ipvs.TunnelChecksum | ipvs.TunnelRemoteChecksum
		}),
		"thresholds":             thresholds(1000, 800),
		"weight 0":               weight(0),
		"weight above 16 bit":    weight(70000),
		"IPv6":                   both(vip6, host("2001:db8::21")),
		"IPv4 behind IPv6, IPIP": both(vip6, method(ipvs.Tunneling)),
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				virtual, written := service("203.0.113.10", 80), destination("192.0.2.21", 80)
				edit(&virtual, &written)
				w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: virtual}, ipvs.Operation{Kind: ipvs.NewDestination, Service: virtual, Destination: written})
				read, err := w.ipvs.Destinations(virtual.ServiceKey)
				if err != nil || len(read) != 1 || read[0] != written {
					t.Errorf("read %+v, %v; wrote %+v", read, err, written)
				}
			})
		})
	}
}

// Editing replaces in place: a set to another method and back leaves nothing of the tunnel behind.
func TestSetReplacesTheWholeEntry(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		virtual, server := service("203.0.113.10", 80), destination("192.0.2.21", 80)
		tunnel(ipvs.TunnelGUE, 6080)(&virtual, &server)
		virtual.Flags, virtual.Timeout, virtual.PersistenceEngine = ipvs.FlagPersistent, 60, ""
		w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: virtual}, ipvs.Operation{Kind: ipvs.NewDestination, Service: virtual, Destination: server})
		plain, direct := service("203.0.113.10", 80), destination("192.0.2.21", 80)
		plain.Scheduler = "wlc"
		w.must(t, ipvs.Operation{Kind: ipvs.SetService, Service: plain}, ipvs.Operation{Kind: ipvs.SetDestination, Service: plain, Destination: direct})
		read, err := w.ipvs.Service(plain.ServiceKey)
		if err != nil || !table.SameService(read, plain) {
			t.Errorf("read %+v, %v; wrote %+v", read, err, plain)
		}
		destinations, err := w.ipvs.Destinations(plain.ServiceKey)
		if err != nil || len(destinations) != 1 || destinations[0] != direct {
			t.Errorf("read %+v, %v; wrote %+v", destinations, err, direct)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wlc", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
	})
}

func TestDestinationsAreListedLastAddedFirst(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		virtual := service("203.0.113.10", 80)
		w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: virtual})
		for _, host := range []string{"192.0.2.21", "192.0.2.23", "192.0.2.22"} {
			w.must(t, ipvs.Operation{Kind: ipvs.NewDestination, Service: virtual, Destination: destination(host, 80)})
		}
		read, err := w.ipvs.Destinations(virtual.ServiceKey)
		if err != nil {
			t.Fatal(err)
		}
		var hosts []string
		for _, destination := range read {
			hosts = append(hosts, destination.Address.String())
		}
		if want := []string{"192.0.2.22", "192.0.2.23", "192.0.2.21"}; !slices.Equal(hosts, want) {
			t.Errorf("listed %v, wanted %v", hosts, want)
		}
	})
}

// A batch is one message after the other: a failure stops nothing, and every answer belongs to its own operation.
func TestBatchAnswersOneByOne(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		first, second := service("203.0.113.10", 80), service("203.0.113.10", 81)
		results := w.ipvs.Execute([]ipvs.Operation{
			{Kind: ipvs.NewService, Service: first}, {Kind: ipvs.NewService, Service: first}, {Kind: ipvs.NewService, Service: second},
			{Kind: ipvs.DeleteDestination, Service: second, Destination: destination("192.0.2.21", 81)},
			{Kind: ipvs.DeleteService, Service: first},
		})
		var shown []string
		for _, result := range results {
			shown = append(shown, show(result))
		}
		if want := []string{"<nil>", "EEXIST", "<nil>", "ENOENT", "<nil>"}; !slices.Equal(shown, want) {
			t.Errorf("answers %v, wanted %v", shown, want)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:81 -s rr")
	})
}

// Dumps come in datagrams of at most 8 KiB; these tables need many.
func TestLargeTable(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		const services, destinations = 600, 300
		var operations []ipvs.Operation
		for number := range services {
			operations = append(operations, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.10", uint16(number+1))})
		}
		for number := range destinations {
			operations = append(operations, ipvs.Operation{Kind: ipvs.NewDestination, Service: service("203.0.113.10", 1),
				Destination: destination(fmt.Sprintf("198.18.%d.%d", number/200, number%200+1), 1)})
		}
		w.must(t, operations...)
		readServices, err := w.ipvs.Services()
		if err != nil || len(readServices) != services {
			t.Errorf("read %d virtual servers, %v; wrote %d", len(readServices), err, services)
		}
		readDestinations, err := w.ipvs.Destinations(service("203.0.113.10", 1).ServiceKey)
		if err != nil || len(readDestinations) != destinations {
			t.Errorf("read %d real servers, %v; wrote %d", len(readDestinations), err, destinations)
		}
	})
}

// The kernel carries out what it cannot acknowledge: the caller must learn that it does not know.
func TestLostAcknowledgements(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		const services = 60
		var operations []ipvs.Operation
		for number := range services {
			operations = append(operations, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.10", uint16(number+1))})
		}
		unknown := 0
		for _, result := range w.lossy().Execute(operations) {
			if errors.Is(result, ipvs.ErrOutcomeUnknown) {
				unknown++
			} else if result != nil {
				t.Fatal(result)
			}
		}
		read, err := w.ipvs.Services()
		if err != nil || len(read) != services || unknown == 0 {
			t.Errorf("%d virtual servers exist, %d answers were lost, %v", len(read), unknown, err)
		}
	})
}
