package contract

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/wire"
)

var (
	localRoute4 = address.Assigned{Interface: "lo", Address: onLo("203.0.113.0").Address, Bits: 25}
	localPolicy = strings.Replace(defaultPolicy, `"prod":{`, `"prod":{"localPrefixes":["203.0.113.0/25","2001:db8::/112"],`, 1)
)

// routesShow asks ip(8) for the local routes of ours.
func (w *world) routesShow(t *testing.T, family string, routes ...string) {
	t.Helper()
	if !w.real {
		return
	}
	var got []string
	for line := range strings.Lines(command(t, "ip", family, "route", "show", "table", "local", "proto", "200")) {
		got = append(got, strings.Join(strings.Fields(line)[:4], " "))
	}
	if strings.Join(got, ", ") != strings.Join(routes, ", ") {
		t.Errorf("ip %s route shows %v, wanted %v", family, got, routes)
	}
}

// A range that the policy names gets one local route, which goes up with the first VIP in it and down with the last.
func TestLocalRouteInPlaceOfAddresses(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = localPolicy
		first, second, outside, six := virtualServer("203.0.113.10", 80), virtualServer("203.0.113.11", 80), virtualServer("203.0.113.200", 80), virtualServer("2001:db8::10", 80)
		clean(t, d.all(t, first, second, outside, six),
			"add virtual server TCP 203.0.113.10:80 with scheduler wrr", "add virtual server TCP 203.0.113.11:80 with scheduler wrr",
			"add virtual server TCP 203.0.113.200:80 with scheduler wrr", "add virtual server TCP [2001:db8::10]:80 with scheduler wrr",
			"add local route 203.0.113.0/25 to interface lo", "add address 203.0.113.200 to interface lo", "add local route 2001:db8::/112 to interface lo")
		w.ipShows(t, "lo", "203.0.113.200/32")
		w.routesShow(t, "-4", "local 203.0.113.0/25 dev lo")
		w.routesShow(t, "-6", "local 2001:db8::/112 dev lo")
		if again := d.all(t, first, second, outside, six); again.Writes != 0 || len(again.Changes) != 0 {
			t.Errorf("nothing to do, answer %+v", again)
		}
		read := d.read(t)
		if got := strings.Join(read.Addresses, " "); got != "203.0.113.10 203.0.113.11 203.0.113.200 2001:db8::10" || strings.Join(read.LocalRoutes, " ") != "2001:db8::/112 203.0.113.0/25" {
			t.Errorf("read addresses %s, routes %v", got, read.LocalRoutes)
		}
		clean(t, d.listed(t, nil, first.Key), "delete virtual server TCP 203.0.113.10:80")
		clean(t, d.listed(t, nil, second.Key), "delete local route 203.0.113.0/25 from interface lo", "delete virtual server TCP 203.0.113.11:80")
		w.routesShow(t, "-4")
		clean(t, d.all(t), "delete address 203.0.113.200 from interface lo", "delete local route 2001:db8::/112 from interface lo",
			"delete virtual server TCP 203.0.113.200:80", "delete virtual server TCP [2001:db8::10]:80")
		w.ipShows(t, "lo")
		w.routesShow(t, "-6")
	})
}

// From addresses to a route and back no VIP is without either.
func TestLocalRouteTakesOver(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web, other := virtualServer("203.0.113.10", 80), virtualServer("203.0.113.11", 80)
		d.all(t, web, other)
		d.policy = localPolicy
		clean(t, d.all(t, web, other), "add local route 203.0.113.0/25 to interface lo", "delete address 203.0.113.10 from interface lo", "delete address 203.0.113.11 from interface lo")
		w.ipShows(t, "lo")
		d.policy = defaultPolicy
		clean(t, d.listed(t, list(web)), "add address 203.0.113.10 to interface lo") // the other one needs the route
		w.routesShow(t, "-4", "local 203.0.113.0/25 dev lo")
		clean(t, d.all(t, web, other), "add address 203.0.113.11 to interface lo", "delete local route 203.0.113.0/25 from interface lo")
		w.ipShows(t, "lo", "203.0.113.10/32", "203.0.113.11/32")
		w.routesShow(t, "-4")
	})
}

// refusing answers in the kernel's place when a route is to be added.
type refusing struct{ address.Kernel }

func (r refusing) Add(assigned ...address.Assigned) []error {
	return eachAddress(assigned, func(each address.Assigned) error {
		if each.IsRoute() {
			return unix.EPERM
		}
		return r.Kernel.Add(each)[0]
	})
}

func TestLocalRouteThatCannotBe(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80)
		d.all(t, web)
		d.policy, d.engine.Addresses = localPolicy, refusing{d.addresses}
		answer := d.all(t, web)
		refused(t, answer, wire.ClassPermanent, "203.0.113.0/25", "EPERM", web.Key)
		w.ipShows(t, "lo", "203.0.113.10/32") // until there is a route
		d.engine.Addresses = d.addresses
		answer = d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "missing0", VirtualServers: list(web)})
		refused(t, answer, wire.ClassPermanent, "203.0.113.0/25", "no interface missing0", web.Key)
		w.ipShows(t, "lo", "203.0.113.10/32")
	})
}

// A route that the host's administrator set is used, and never taken away.
func TestLocalRouteOfTheHostStays(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = localPolicy
		if w.real {
			command(t, "ip", "route", "add", "local", "203.0.113.0/25", "dev", "lo")
		} else if err := w.addresses.Add(localRoute4)[0]; err != nil {
			t.Fatal(err)
		}
		web := virtualServer("203.0.113.10", 80)
		clean(t, d.all(t, web), "add virtual server TCP 203.0.113.10:80 with scheduler wrr")
		clean(t, d.all(t), "delete virtual server TCP 203.0.113.10:80")
		w.shows(t, "local 203.0.113.0/25 dev lo", "ip", "route", "show", "table", "local")
	})
}

// The kernel's words for routes.
func TestLocalRouteAnswers(t *testing.T) {
	for name, route := range map[string]address.Assigned{"IPv4": localRoute4, "IPv6": {Interface: "lo", Address: onLo("2001:db8::").Address, Bits: 112}} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				elsewhere := route
				elsewhere.Interface = "missing0"
				for _, step := range []struct {
					what string
					do   func() error
					want string
				}{
					{"delete what is missing", func() error { return w.addresses.Delete(route)[0] }, "ESRCH"},
					{"add", func() error { return w.addresses.Add(route)[0] }, "<nil>"},
					{"add again", func() error { return w.addresses.Add(route)[0] }, "EEXIST"},
					{"add to a missing interface", func() error { return w.addresses.Add(elsewhere)[0] }, "ENODEV"},
					{"delete", func() error { return w.addresses.Delete(route)[0] }, "<nil>"},
				} {
					if got := show(step.do()); got != step.want {
						t.Errorf("%s: %s, wanted %s", step.what, got, step.want)
					}
				}
			})
		})
	}
}
