package contract

import (
	"errors"
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// A VIP stays as long as one virtual server of ours is behind it.
func TestAddressIsCountedByVirtualServers(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web, dns := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.10", 53, "192.0.2.21")
		d.listed(t, list(web))
		clean(t, d.listed(t, list(dns)), "add virtual server TCP 203.0.113.10:53 with scheduler wrr", "add real server 192.0.2.21:53 weight 1 to TCP 203.0.113.10:53")
		clean(t, d.listed(t, nil, web.Key), "delete virtual server TCP 203.0.113.10:80")
		w.ipShows(t, "lo", "203.0.113.10/32")
		clean(t, d.listed(t, nil, dns.Key), "delete address 203.0.113.10 from interface lo", "delete virtual server TCP 203.0.113.10:53")
		w.ipShows(t, "lo")
	})
}

// An address that the host's administrator set is used, and never taken away.
func TestAddressOfTheHostStays(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		addLo(t, d, "203.0.113.10")
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		clean(t, d.all(t, web), "add virtual server TCP 203.0.113.10:80 with scheduler wrr", "add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.10:80")
		clean(t, d.all(t), "delete virtual server TCP 203.0.113.10:80")
		w.ipShows(t, "lo", "203.0.113.10/32")
	})
}

func TestAddressComesBack(t *testing.T) {
	for _, vip := range []string{"203.0.113.10", "2001:db8::10"} {
		t.Run(vip, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				web := virtualServer(vip, 80)
				d.listed(t, list(web))
				removeLo(t, d, vip)
				clean(t, d.listed(t, list(web)), "add address "+vip+" to interface lo")
				clean(t, d.listed(t, nil, web.Key), "delete address "+vip+" from interface lo", "delete virtual server "+web.Protocol+" "+endpoint(vip, "80"))
			})
		})
	}
}

// Without duplicate address detection a VIP answers at once, also while another director has it.
func TestAddressOfIPv6IsNotProbed(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		six := virtualServer("2001:db8::10", 80)
		clean(t, d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "eth0", VirtualServers: list(six)}),
			"add virtual server TCP [2001:db8::10]:80 with scheduler wrr", "add address 2001:db8::10 to interface eth0")
		w.shows(t, "inet6 2001:db8::10/128 scope global nodad", "ip", "-6", "addr", "show", "dev", "eth0")
	})
}

func TestAddressMovesWithItsInterface(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		d.all(t, web)
		moved := wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "eth0", VirtualServers: list(web)}
		clean(t, d.apply(t, d.engine, moved), "add address 203.0.113.10 to interface eth0", "delete address 203.0.113.10 from interface lo")
		clean(t, d.apply(t, d.engine, moved))
		w.ipShows(t, "lo")
		w.ipShows(t, "eth0", "203.0.113.10/32")
	})
}

func TestInterfaceThatDoesNotExist(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		answer := d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "missing0", VirtualServers: list(web)})
		refused(t, answer, wire.ClassPermanent, "203.0.113.10", "no interface missing0", web.Key)
		if answer.Errors[0].Errno != "ENODEV" {
			t.Errorf("errno %q", answer.Errors[0].Errno)
		}
	})
}

// When everything behind a VIP was refused, the VIP does not go up: nothing would answer there.
func TestNoAddressWithoutVirtualServer(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		bad := virtualServer("203.0.113.10", 80, "192.0.2.21")
		d.engine.IPVS = &meddler{Kernel: d.ipvs, answer: refuseScheduler("wrr")}
		answer := d.all(t, bad)
		refused(t, answer, wire.ClassPermanent, "TCP 203.0.113.10:80", "cannot load scheduler wrr", bad.Key)
		w.ipShows(t, "lo")
		if answer.Writes != 0 {
			t.Errorf("%d writes", answer.Writes)
		}
		good := virtualServer("203.0.113.10", 81, "192.0.2.21")
		good.Scheduler = "rr"
		answer = d.all(t, bad, good)
		refused(t, answer, wire.ClassPermanent, "TCP 203.0.113.10:80", "cannot load scheduler wrr", bad.Key)
		w.ipShows(t, "lo", "203.0.113.10/32")
	})
}

// One refusal behind a VIP does not keep it from the virtual server that stands.
func TestAddressComesBackBesideARefusal(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		stands, bad := virtualServer("203.0.113.10", 81, "192.0.2.21"), virtualServer("203.0.113.10", 80, "192.0.2.21")
		stands.Scheduler = "rr"
		d.all(t, stands)
		removeLo(t, d, "203.0.113.10")
		d.engine.IPVS = &meddler{Kernel: d.ipvs, answer: refuseScheduler("wrr")}
		answer := d.all(t, stands, bad)
		refused(t, answer, wire.ClassPermanent, "TCP 203.0.113.10:80", "cannot load scheduler wrr", bad.Key)
		wantChanges(t, answer, "add address 203.0.113.10 to interface lo")
	})
}

func refuseScheduler(name string) func(ipvs.Operation) error {
	return func(operation ipvs.Operation) error {
		if operation.Kind == ipvs.NewService && operation.Service.Scheduler == name {
			return errNoScheduler
		}
		if operation.Kind == ipvs.NewDestination && operation.Service.Scheduler == name {
			return errNoService
		}
		return nil
	}
}

func removeLo(t *testing.T, d *director, vip string) {
	t.Helper()
	if err := d.addresses.Delete(onLo(vip))[0]; err != nil {
		t.Fatal(err)
	}
	if err := d.addresses.Delete(onLo(vip))[0]; !errors.Is(err, errNoAddress) {
		t.Fatalf("deleted twice: %s", show(err))
	}
}
