package contract

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/wire"
)

// homeless refuses to add addresses, but not routes.
type homeless struct {
	address.Kernel
}

func (h homeless) Add(assigned ...address.Assigned) []error {
	return eachAddress(assigned, func(each address.Assigned) error {
		if !each.IsRoute() {
			return unix.EACCES // as with disable_ipv6
		}
		return h.Kernel.Add(each)[0]
	})
}

func (d *director) on(t *testing.T, interfaceName string, virtualServers ...wire.VirtualServer) wire.ApplyResult {
	t.Helper()
	return d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: interfaceName, VirtualServers: virtualServers})
}

// A VIP that cannot be where it shall be from now on stays where it is, and is served there.
func TestVIPStaysUntilItHasAnotherPlace(t *testing.T) {
	web := virtualServer("203.0.113.10", 80)
	for name, row := range map[string]struct {
		before, after     string // the policy
		to                string // the interface
		address, route    string
		class             wire.Class
		object, words     string
		refusingAddresses bool
	}{
		"address to an interface that is not there": {defaultPolicy, defaultPolicy, "missing0", "203.0.113.10/32", "", wire.ClassPermanent, "203.0.113.10", "no interface missing0", false},
		"route to an interface that is not there":   {localPolicy, localPolicy, "missing0", "", "local 203.0.113.0/25 dev lo", wire.ClassPermanent, "203.0.113.0/25", "no interface missing0", false},
		"route to addresses that are refused":       {localPolicy, defaultPolicy, "lo", "", "local 203.0.113.0/25 dev lo", wire.ClassPermanent, "203.0.113.10", "EACCES", true},
		"address to one that is refused":            {defaultPolicy, defaultPolicy, "eth0", "203.0.113.10/32", "", wire.ClassPermanent, "203.0.113.10", "EACCES", true},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				d.policy = row.before
				d.on(t, "lo", web)
				d.policy = row.after
				if row.refusingAddresses {
					d.engine.Addresses = homeless{d.addresses}
				}
				refused(t, d.on(t, row.to, web), row.class, row.object, row.words, web.Key)
				var addresses, routes []string
				if row.address != "" {
					addresses = append(addresses, row.address)
				} else {
					routes = append(routes, row.route)
				}
				w.ipShows(t, "lo", addresses...)
				w.routesShow(t, "-4", routes...)
				if read := d.read(t); len(read.Addresses) != 1 || read.Addresses[0] != "203.0.113.10" {
					t.Errorf("read addresses %v", read.Addresses)
				}
				d.engine.Addresses = d.addresses
				if answer := d.on(t, "eth0", web); len(answer.Errors) > 0 {
					t.Errorf("when it can move: %+v", answer.Errors)
				}
				w.ipShows(t, "lo")
			})
		})
	}
}

// A range moves to another interface although the kernel has a route of it: there are both for a moment, and never none.
func TestLocalRouteMoves(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = localPolicy
		web, six := virtualServer("203.0.113.10", 80), virtualServer("2001:db8::10", 80)
		d.on(t, "lo", web, six)
		clean(t, d.on(t, "eth0", web, six),
			"add local route 203.0.113.0/25 to interface eth0", "add local route 2001:db8::/112 to interface eth0",
			"delete local route 203.0.113.0/25 from interface lo", "delete local route 2001:db8::/112 from interface lo")
		w.routesShow(t, "-4", "local 203.0.113.0/25 dev eth0")
		w.routesShow(t, "-6", "local 2001:db8::/112 dev eth0")
		if again := d.on(t, "eth0", web, six); again.Writes != 0 || len(again.Errors) > 0 {
			t.Errorf("again: %+v", again)
		}
		d.on(t, "eth0")
		w.routesShow(t, "-4")
		w.routesShow(t, "-6")
	})
}

// Somebody else's route of the range through another interface is no obstacle, and stays.
func TestLocalRouteBesideAnother(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = localPolicy
		if w.real {
			command(t, "ip", "route", "add", "local", "203.0.113.0/25", "dev", "eth0")
		}
		web := virtualServer("203.0.113.10", 80)
		clean(t, d.all(t, web), "add virtual server TCP 203.0.113.10:80 with scheduler wrr", "add local route 203.0.113.0/25 to interface lo")
		w.routesShow(t, "-4", "local 203.0.113.0/25 dev lo")
		clean(t, d.all(t), "delete local route 203.0.113.0/25 from interface lo", "delete virtual server TCP 203.0.113.10:80")
		w.routesShow(t, "-4")
		w.shows(t, "local 203.0.113.0/25 dev eth0", "ip", "route", "show", "table", "local")
	})
}

// Whoever names an orphan on a VIP of ours does not make us forget that the VIP is ours.
func TestNamingAnOrphanKeepsTheVIP(t *testing.T) {
	for name, named := range map[string]func(*wire.Apply, wire.Key){
		"removed": func(request *wire.Apply, key wire.Key) { request.Remove = []wire.Key{key} },
		"adopted": func(request *wire.Apply, key wire.Key) { request.Adopt = []wire.Key{key} },
	} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				web := virtualServer("203.0.113.10", 80, "192.0.2.21")
				d.on(t, "eth0", web)
				orphan := ipvsNew("203.0.113.10", 8080)
				d.must(t, orphan)
				request := wire.Apply{Fence: d.fence, Scope: wire.ScopeListed, Interface: "lo"}
				named(&request, wire.Key{Address: "203.0.113.10", Port: 8080, Protocol: "TCP"})
				if answer := d.apply(t, d.engine, request); len(answer.Errors) > 0 {
					t.Fatalf("%+v", answer.Errors)
				}
				w.ipShows(t, "eth0", "203.0.113.10/32")
				if read := d.read(t); len(read.Addresses) != 1 {
					t.Errorf("read addresses %v", read.Addresses)
				}
				d.on(t, "eth0")
				w.ipShows(t, "eth0")
				w.ipvsadmShows(t)
			})
		})
	}
}

// A director whose ledger was lost is told of one virtual server: the others' packet rules stay, or they would be open to everyone.
func TestListedKeepsRulesOfTheRest(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		guarded, other := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.11", 80, "192.0.2.21")
		guarded.SourceRanges = []string{"198.51.100.0/24"}
		d.all(t, guarded, other)
		files, err := filepath.Glob(filepath.Join(d.stateDir, "prod.*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("ledger files %v, %v", files, err)
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		d.engine = d.newEngine("prod")
		if answer := d.listed(t, list(other)); len(answer.Errors) > 0 {
			t.Errorf("%+v", answer.Errors)
		}
		state, err := d.packets("prod").Read()
		if err != nil || len(state.Rules) != 1 {
			t.Errorf("rules of %d virtual servers are left, wanted of 1 (%v)", len(state.Rules), err)
		}
		w.nftShows(t, "198.51.100.0")
	})
}
