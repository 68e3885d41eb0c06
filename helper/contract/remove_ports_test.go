package contract

import (
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// What the policy's ports forbid can be neither removed nor adopted, listed or not, whoever made it.
func TestNamedWithinThePorts(t *testing.T) {
	key := wire.Key{Address: "203.0.113.10", Port: 22, Protocol: "TCP"}
	for name, edit := range map[string]func(*wire.Apply){
		"remove": func(a *wire.Apply) { a.Remove = []wire.Key{key} },
		"adopt":  func(a *wire.Apply) { a.Adopt = []wire.Key{key} },
		"adopt and list": func(a *wire.Apply) {
			a.Adopt, a.VirtualServers = []wire.Key{key}, list(virtualServer("203.0.113.10", 22, "192.0.2.21"))
		},
	} {
		for _, dryRun := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				onEveryKernel(t, func(t *testing.T, w *world) {
					d := newDirector(t, w)
					d.policy = policyOf(`,"ports":["80"]`)
					d.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.10", 22)})
					request := wire.Apply{DryRun: dryRun, Fence: d.fence, Scope: wire.ScopeListed, Interface: "lo"}
					edit(&request)
					answer := d.apply(t, d.engine, request)
					refused(t, answer, wire.ClassPolicy, "TCP 203.0.113.10:22", "owners.prod.ports forbids port 22", key)
					if answer.Writes != 0 || len(answer.Changes) != 0 {
						t.Errorf("answer %+v", answer)
					}
					w.ipvsadmShows(t, "-A -t 203.0.113.10:22 -s rr")
				})
			})
		}
	}
}

// Two owners who split a range by ports cannot take each other's virtual servers.
func TestOwnersOfOnePortEach(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		grant := func(ports string) string {
			return `{"virtualServers":["203.0.113.0/24"],"realServers":["192.0.2.0/24"],"interfaces":["lo"],"ports":["` + ports + `"]}`
		}
		d.policy = `{"owners":{"prod":` + grant("80") + `,"test":` + grant("443") + `}}`
		web, tls := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.10", 443, "192.0.2.21")
		d.all(t, web)
		test := d.newEngine("test")
		d.apply(t, test, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(tls)})
		d.fence.Generation++
		refused(t, d.named(t, nil, []wire.Key{tls.Key}), wire.ClassPolicy, "TCP 203.0.113.10:443", "owners.prod.ports forbids port 443", tls.Key)
		answer := d.apply(t, test, wire.Apply{Fence: d.fence, Scope: wire.ScopeListed, Interface: "lo", Remove: []wire.Key{web.Key}})
		refused(t, answer, wire.ClassPolicy, "TCP 203.0.113.10:80", "owners.test.ports forbids port 80", web.Key)
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1",
			"-A -t 203.0.113.10:443 -s wrr", "-a -t 203.0.113.10:443 -r 192.0.2.21:443 -g -w 1")
	})
}
