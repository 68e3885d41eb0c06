package contract

import (
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

func ipvsNew(vip string, port uint16) ipvs.Operation {
	return ipvs.Operation{Kind: ipvs.NewService, Service: service(vip, port)}
}

// With scope all, what is not listed goes; but not when one key that is listed cannot be read: it may mean any of them.
func TestScopeAllWithAnUnreadableKey(t *testing.T) {
	web, dns := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.11", 53, "192.0.2.22")
	for name, misspelt := range map[string]wire.Key{
		"protocol": {Address: "203.0.113.10", Port: 80, Protocol: "tcp"},
		"address":  {Address: "203.0.113.010", Port: 80, Protocol: "TCP"},
		"port":     {Address: "203.0.113.10", Port: 80000, Protocol: "TCP"},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				d.all(t, web, dns)
				wrong, more := web, virtualServer("203.0.113.12", 80, "192.0.2.21")
				wrong.Key = misspelt
				answer := d.all(t, wrong, more)
				if len(answer.Errors) != 1 || answer.Errors[0].Class != wire.ClassObject {
					t.Errorf("errors %+v, wanted one about the key", answer.Errors)
				}
				wantChanges(t, answer, "add virtual server TCP 203.0.113.12:80 with scheduler wrr", "add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.12:80", "add address 203.0.113.12 to interface lo")
				w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1",
					"-A -t 203.0.113.11:53 -s wrr", "-a -t 203.0.113.11:53 -r 192.0.2.22:53 -g -w 1",
					"-A -t 203.0.113.12:80 -s wrr", "-a -t 203.0.113.12:80 -r 192.0.2.21:80 -g -w 1")
				w.ipShows(t, "lo", "203.0.113.10/32", "203.0.113.11/32", "203.0.113.12/32")
				told, err := d.engine.Journal.Read()
				if err != nil || len(told.Entries) != 3 {
					t.Errorf("the journal has %d virtual servers, wanted 3 (%v)", len(told.Entries), err)
				}
				clean(t, d.all(t, more), "delete address 203.0.113.10 from interface lo", "delete address 203.0.113.11 from interface lo",
					"delete virtual server TCP 203.0.113.10:80", "delete virtual server TCP 203.0.113.11:53")
			})
		})
	}
}

// Someone else's virtual server that comes between reading and writing gets none of our real servers.
func TestVirtualServerOfAnotherGetsNothing(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		theirs := ipvsNew("203.0.113.10", 80)
		theirs.Service.Scheduler = "lc"
		d.engine.IPVS = &sudden{Kernel: d.ipvs, before: func() { d.must(t, theirs) }}
		web, dns := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22"), virtualServer("203.0.113.11", 53, "192.0.2.22")
		refused(t, d.all(t, web, dns), wire.ClassCollision, "TCP 203.0.113.10:80", "was not made by owner prod", web.Key)
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s lc", "-A -t 203.0.113.11:53 -s wrr", "-a -t 203.0.113.11:53 -r 192.0.2.22:53 -g -w 1")
		if found := d.snapshot(t)[theirs.Service.ServiceKey]; len(found.Destinations) != 0 {
			t.Errorf("their virtual server has real servers %v", found.Destinations)
		}
	})
}

// sudden lets something happen at the moment of writing, and carries out batches as they are.
type sudden struct {
	ipvs.Kernel
	before func()
}

func (s *sudden) Execute(operations []ipvs.Operation) []error {
	if s.before != nil {
		s.before()
		s.before = nil
	}
	return s.Kernel.Execute(operations)
}
