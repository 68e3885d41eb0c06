package contract

import (
	"strconv"
	"testing"

	"ipvs-operator.io/helper/wire"
)

func policyOf(more string) string {
	return `{"owners":{"prod":{"virtualServers":["203.0.113.0/24"],"realServers":["192.0.2.0/24"],"interfaces":["lo"]` + more + `}}}`
}

// Every rule of the policy file refuses its object, by name, and nothing else.
func TestPolicyRefusesByRule(t *testing.T) {
	web := virtualServer("203.0.113.10", 80, "192.0.2.21")
	for name, row := range map[string]struct {
		policy string
		edit   func(*wire.VirtualServer)
		words  string
	}{
		"virtualServers":                 {"", func(v *wire.VirtualServer) { v.Address = "198.51.100.10" }, "owners.prod.virtualServers (203.0.113.0/24) forbids address 198.51.100.10"},
		"realServers":                    {"", func(v *wire.VirtualServer) { v.RealServers[0].Address = "198.51.100.21" }, "owners.prod.realServers (192.0.2.0/24) forbids real server 198.51.100.21:80"},
		"ports":                          {`,"ports":["80","8000-9000"]`, func(v *wire.VirtualServer) { *v = virtualServer("203.0.113.10", 443, "192.0.2.21") }, "owners.prod.ports forbids port 443"},
		"forwardingMethods":              {`,"forwardingMethods":["DirectRouting"]`, func(v *wire.VirtualServer) { v.RealServers[0].ForwardingMethod = "Masquerading" }, "owners.prod.forwardingMethods (DirectRouting) forbids Masquerading"},
		"maxRealServersPerVirtualServer": {`,"maxRealServersPerVirtualServer":1`, func(v *wire.VirtualServer) { *v = virtualServer("203.0.113.11", 80, "192.0.2.21", "192.0.2.22") }, "owners.prod.maxRealServersPerVirtualServer (1) forbids 2 real servers"},
		"maxVirtualServers":              {`,"maxVirtualServers":1`, func(v *wire.VirtualServer) { v.Address = "203.0.113.11" }, "owners.prod.maxVirtualServers (1) forbids one more"},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				d.policy = policyOf(row.policy)
				bad := virtualServer("203.0.113.10", 80, "192.0.2.21")
				row.edit(&bad)
				sent := list(bad)
				if bad.Key != web.Key {
					sent = append(sent, web)
				}
				answer := d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: sent})
				refused(t, answer, wire.ClassPolicy, "TCP "+endpointOf(bad.Key), row.words, bad.Key)
				if bad.Key != web.Key {
					w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
				}
			})
		})
	}
}

func TestPolicyRefusesTheInterface(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = policyOf("")
		_, refusal := d.engine.Apply(wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "eth0"})
		if refusal == nil || refusal.Class != wire.ClassPolicy || refusal.Message != "policy rule owners.prod.interfaces (lo) forbids VIPs on interface eth0" {
			t.Errorf("refusal %+v", refusal)
		}
	})
}

// A rule that gets narrower takes nothing away from what stands, it only forbids to touch it.
func TestPolicyThatNarrows(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 443, "192.0.2.21")
		d.all(t, web)
		d.policy = policyOf(`,"ports":["80"]`)
		refused(t, d.all(t, web), wire.ClassPolicy, "TCP 203.0.113.10:443", "owners.prod.ports", web.Key)
		w.ipvsadmShows(t, "-A -t 203.0.113.10:443 -s wrr", "-a -t 203.0.113.10:443 -r 192.0.2.21:443 -g -w 1")
		d.policy = `{"owners":{"prod":{"virtualServers":["203.0.113.128/25"],"realServers":["192.0.2.0/24"],"interfaces":["lo"]}}}`
		if answer := d.all(t); answer.Writes != 0 || answer.Counts.Foreign != 1 {
			t.Errorf("out of range: %+v", answer)
		}
		w.ipShows(t, "lo", "203.0.113.10/32")
	})
}

// Too many deletions at once: none of them, but everything else.
func TestPolicyLimitsDeletions(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		first, second := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22"), virtualServer("203.0.113.11", 80, "192.0.2.21")
		d.all(t, first, second)
		d.policy = policyOf(`,"maxDeletionsPerRequest":1`)
		fewer, third := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.12", 80)
		answer := d.all(t, fewer, third)
		wantChanges(t, answer, "add virtual server TCP 203.0.113.12:80 with scheduler wrr", "add address 203.0.113.12 to interface lo")
		if len(answer.Errors) != 2 || answer.Errors[0].Class != wire.ClassPolicy || answer.Counts.VirtualServers != 3 || len(answer.Failed) != 2 {
			t.Errorf("answer %+v", answer)
		}
		for _, refusal := range answer.Errors {
			if want := "policy rule owners.prod.maxDeletionsPerRequest (1) forbids the 2 deletions of this request; none was carried out"; refusal.Message != want {
				t.Errorf("message %q, wanted %q", refusal.Message, want)
			}
		}
		clean(t, d.listed(t, list(fewer)), "delete real server 192.0.2.22:80 from TCP 203.0.113.10:80")
		clean(t, d.listed(t, nil, second.Key), "delete address 203.0.113.11 from interface lo", "delete virtual server TCP 203.0.113.11:80")
	})
}

func endpointOf(key wire.Key) string { return endpoint(key.Address, strconv.FormatInt(key.Port, 10)) }
