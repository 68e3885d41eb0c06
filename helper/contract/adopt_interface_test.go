package contract

import (
	"net/netip"
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// onEth0 applies with scope listed, VIPs on eth0.
func (d *director) onEth0(t *testing.T, virtualServers ...wire.VirtualServer) {
	t.Helper()
	d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeListed, Interface: "eth0", VirtualServers: virtualServers})
}

// wantInterface looks where a reboot brings the VIP.
func (d *director) wantInterface(t *testing.T, vip, wanted string) {
	t.Helper()
	d.reboot(t)
	d.restore(t)
	for _, name := range []string{"lo", "eth0"} {
		held, err := d.addresses.Held(name, []netip.Addr{onLo(vip).Address})
		if err != nil {
			t.Fatal(err)
		}
		if held[onLo(vip).Address] != (name == wanted) {
			t.Errorf("%s is on %s: %t, wanted on %s only", vip, name, held[onLo(vip).Address], wanted)
		}
	}
	d.ipShows(t, wanted, vip+"/32")
}

// A VIP that we have on one interface stays there when another virtual server of it is adopted, whatever interface that request names.
func TestAdoptedKeepsTheInterface(t *testing.T) {
	other := wire.Key{Address: "203.0.113.10", Port: 8080, Protocol: "TCP"}
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.onEth0(t, virtualServer("203.0.113.10", 80, "192.0.2.21"))
		d.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.10", 8080)})
		clean(t, d.named(t, []wire.Key{other}, nil), "adopt virtual server TCP 203.0.113.10:8080, as it stands, for owner prod")
		clean(t, d.named(t, []wire.Key{other}, nil)) // again
		if got := d.drift(t); len(got) > 0 {
			t.Errorf("drift %q", got)
		}
		d.wantInterface(t, "203.0.113.10", "eth0")
		d.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1", "-A -t 203.0.113.10:8080 -s rr")
	})
}

// The journal is lost, the ledger is not: it knows where the VIP is.
func TestAdoptedKeepsTheInterfaceOfTheLedger(t *testing.T) {
	other := wire.Key{Address: "203.0.113.10", Port: 8080, Protocol: "TCP"}
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.onEth0(t, virtualServer("203.0.113.10", 80, "192.0.2.21"))
		d.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.10", 8080)})
		d.newDisk(t)
		d.engine = d.newEngine("prod")
		d.named(t, []wire.Key{other}, nil)
		d.wantInterface(t, "203.0.113.10", "eth0")
	})
}

// A VIP that the same request lists goes where the request says, and one that nobody knows as well.
func TestAdoptedFollowsTheList(t *testing.T) {
	first, other := wire.Key{Address: "203.0.113.10", Port: 80, Protocol: "TCP"}, wire.Key{Address: "203.0.113.10", Port: 8080, Protocol: "TCP"}
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		orphan(t, w)
		d.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.10", 8080)})
		d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeListed, Interface: "eth0", Adopt: []wire.Key{first}})
		d.wantInterface(t, "203.0.113.10", "eth0")
		d.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.10", 8080)})
		d.named(t, []wire.Key{other}, nil, virtualServer("203.0.113.10", 80, "192.0.2.21"))
		d.wantInterface(t, "203.0.113.10", "lo")
	})
}
