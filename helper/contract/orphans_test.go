package contract

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// named applies with adopt and remove, scope listed.
func (d *director) named(t *testing.T, adopt, remove []wire.Key, listed ...wire.VirtualServer) wire.ApplyResult {
	t.Helper()
	return d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeListed, Interface: "lo", VirtualServers: listed, Adopt: adopt, Remove: remove})
}

func TestAdoptByName(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		wanted := orphan(t, w)
		sentence := "adopt virtual server TCP 203.0.113.10:80, as it stands, for owner prod"
		tried := d.apply(t, d.engine, wire.Apply{DryRun: true, Scope: wire.ScopeListed, Interface: "lo", Adopt: []wire.Key{wanted.Key}})
		clean(t, tried, sentence)
		if read := d.read(t); len(read.Orphans) != 1 {
			t.Errorf("a dry run adopted it: %+v", read)
		}
		answer := d.named(t, []wire.Key{wanted.Key}, nil)
		clean(t, answer, sentence)
		if answer.Writes != 0 || answer.Counts.VirtualServers != 1 || answer.Counts.Orphans != 0 {
			t.Errorf("adopted: %+v", answer)
		}
		clean(t, d.named(t, []wire.Key{wanted.Key}, nil)) // again: it is ours
		d.engine = d.newEngine("prod")
		wanted.Scheduler, wanted.RealServers[0].Weight = "wlc", 4
		clean(t, d.listed(t, list(wanted)), "change real server 192.0.2.21:80 of TCP 203.0.113.10:80: weight 1 to 4",
			"change virtual server TCP 203.0.113.10:80 from scheduler wrr to scheduler wlc", "add address 203.0.113.10 to interface lo")
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wlc", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 4")
	})
}

// Adopted and listed in one request, it is edited in place, with either scope.
func TestAdoptAndEdit(t *testing.T) {
	for _, scope := range []wire.Scope{wire.ScopeListed, wire.ScopeAll} {
		onEveryKernel(t, func(t *testing.T, w *world) {
			d := newDirector(t, w)
			wanted := orphan(t, w)
			wanted.Scheduler = "wlc"
			answer := d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: scope, Interface: "lo", VirtualServers: list(wanted), Adopt: []wire.Key{wanted.Key}})
			clean(t, answer, "adopt virtual server TCP 203.0.113.10:80, as it stands, for owner prod",
				"change virtual server TCP 203.0.113.10:80 from scheduler wrr to scheduler wlc", "add address 203.0.113.10 to interface lo")
			w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wlc", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
		})
	}
}

// What was adopted comes back after a reboot, as it stood.
func TestAdoptedIsRestored(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		wanted := orphan(t, w)
		d.named(t, []wire.Key{wanted.Key}, nil)
		d.reboot(t)
		d.restore(t)
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
	})
}

func TestRemoveByName(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		wanted := orphan(t, w)
		other := virtualServer("203.0.113.11", 80, "192.0.2.21")
		d.all(t, other)
		tried := d.apply(t, d.engine, wire.Apply{DryRun: true, Scope: wire.ScopeListed, Interface: "lo", Remove: []wire.Key{wanted.Key}})
		clean(t, tried, "delete virtual server TCP 203.0.113.10:80")
		answer := d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(other), Remove: []wire.Key{wanted.Key}})
		clean(t, answer, "delete virtual server TCP 203.0.113.10:80")
		if answer.Writes != 1 || answer.Counts.Orphans != 0 || answer.Counts.VirtualServers != 1 {
			t.Errorf("removed: %+v", answer)
		}
		clean(t, d.named(t, nil, []wire.Key{wanted.Key})) // again: it is gone
		refused(t, d.named(t, nil, []wire.Key{other.Key}), wire.ClassObject, "TCP 203.0.113.11:80", "name it in absent", other.Key)
		w.ipvsadmShows(t, "-A -t 203.0.113.11:80 -s wrr", "-a -t 203.0.113.11:80 -r 192.0.2.21:80 -g -w 1")
	})
}

func TestNamedOrphansAreRefused(t *testing.T) {
	tooMany := strings.Replace(defaultPolicy, `"prod":{`, `"prod":{"maxDeletionsPerRequest":1,"maxVirtualServers":1,`, 1)
	orphanKey := wire.Key{Address: "203.0.113.10", Port: 80, Protocol: "TCP"}
	foreignKey, noneKey, markKey := wire.Key{Address: "198.51.100.1", Port: 25, Protocol: "TCP"}, wire.Key{Address: "203.0.113.99", Port: 80, Protocol: "TCP"}, wire.Key{FirewallMark: 7, Family: "IPv4"}
	for name, row := range map[string]struct {
		policy string
		edit   func(*wire.Apply)
		class  wire.Class
		object string
		words  string
	}{
		"adopt what is foreign":         {"", func(a *wire.Apply) { a.Adopt = []wire.Key{foreignKey} }, wire.ClassPolicy, "TCP 198.51.100.1:25", "owners.prod.virtualServers"},
		"remove what is foreign":        {"", func(a *wire.Apply) { a.Remove = []wire.Key{foreignKey} }, wire.ClassPolicy, "TCP 198.51.100.1:25", "owners.prod.virtualServers"},
		"remove a mark without a grant": {"", func(a *wire.Apply) { a.Remove = []wire.Key{markKey} }, wire.ClassPolicy, "firewall mark 7 (IPv4)", "firewallMarks"},
		"adopt what is not there":       {"", func(a *wire.Apply) { a.Adopt = []wire.Key{noneKey} }, wire.ClassObject, "TCP 203.0.113.99:80", "no such virtual server"},
		"adopt and remove":              {"", func(a *wire.Apply) { a.Adopt, a.Remove = []wire.Key{orphanKey}, []wire.Key{orphanKey} }, wire.ClassObject, "TCP 203.0.113.10:80", "adopted and to go"},
		"adopt and absent":              {"", func(a *wire.Apply) { a.Adopt, a.Absent = []wire.Key{orphanKey}, []wire.Key{orphanKey} }, wire.ClassObject, "TCP 203.0.113.10:80", "adopted and to go"},
		"remove twice":                  {"", func(a *wire.Apply) { a.Remove = []wire.Key{orphanKey, orphanKey} }, wire.ClassObject, "TCP 203.0.113.10:80", "more than once"},
		"adopt with scope all": {"", func(a *wire.Apply) { a.Scope, a.Adopt = wire.ScopeAll, []wire.Key{orphanKey} }, wire.ClassObject, "TCP 203.0.113.10:80",
			"list it in virtualServers"},
		"adopt against the policy": {strings.Replace(defaultPolicy, "192.0.2.0/24", "192.0.2.128/25", 1), func(a *wire.Apply) { a.Adopt = []wire.Key{orphanKey} },
			wire.ClassPolicy, "TCP 203.0.113.10:80", "owners.prod.realServers"},
		"adopt more than the policy allows": {tooMany, func(a *wire.Apply) {
			a.VirtualServers = list(virtualServer("203.0.113.11", 80))
			a.Adopt = []wire.Key{orphanKey}
		}, wire.ClassPolicy, "TCP 203.0.113.11:80", "maxVirtualServers (1)"},
		"adopt a zero port": {"", func(a *wire.Apply) { a.Adopt = []wire.Key{{Address: "203.0.113.10", Protocol: "TCP"}} }, wire.ClassObject, "TCP 203.0.113.10:0", "port 0"},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				if row.policy != "" {
					d.policy = row.policy
				}
				orphan(t, w)
				mark := ipvs.Service{ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv4, FirewallMark: 7}, Scheduler: "wlc", PrefixLength: 32}
				w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: service("198.51.100.1", 25)}, ipvs.Operation{Kind: ipvs.NewService, Service: mark})
				request := wire.Apply{Fence: d.fence, Scope: wire.ScopeListed, Interface: "lo"}
				row.edit(&request)
				answer := d.apply(t, d.engine, request)
				if len(answer.Errors) != 1 || answer.Errors[0].Class != row.class || answer.Errors[0].Object != row.object || !strings.Contains(answer.Errors[0].Message, row.words) {
					t.Errorf("errors %+v, wanted %s about %s with %q", answer.Errors, row.class, row.object, row.words)
				}
				if answer.Writes != 0 || len(answer.Failed) != 1 {
					t.Errorf("answer %+v", answer)
				}
				w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1", "-A -t 198.51.100.1:25 -s rr", "-A -f 7 -s wlc")
			})
		})
	}
}

// More removals than the policy allows at once: none is carried out. An older writer removes nothing.
func TestRemovalsAreLimitedAndFenced(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = strings.Replace(d.policy, `"prod":{`, `"prod":{"maxDeletionsPerRequest":1,`, 1)
		first := orphan(t, w)
		w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.11", 80)})
		second := wire.Key{Address: "203.0.113.11", Port: 80, Protocol: "TCP"}
		answer := d.named(t, nil, []wire.Key{first.Key, second})
		if answer.Writes != 0 || len(answer.Errors) != 2 || !strings.Contains(answer.Errors[0].Message, "maxDeletionsPerRequest (1)") || len(answer.Failed) != 2 {
			t.Errorf("both at once: %+v", answer)
		}
		d.fence.Generation++
		clean(t, d.named(t, nil, []wire.Key{second}), "delete virtual server TCP 203.0.113.11:80")
		if _, refusal := d.engine.Apply(wire.Apply{Fence: wire.Fence{Epoch: 1, Generation: 1}, Scope: wire.ScopeListed, Interface: "lo", Remove: []wire.Key{first.Key}}); refusal == nil || refusal.Class != wire.ClassFenced {
			t.Errorf("an older writer: %+v", refusal)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
	})
}

// A firewall mark that the policy grants can be adopted and removed, by name only.
func TestNamedMarks(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = strings.Replace(d.policy, `"prod":{`, `"prod":{"firewallMarks":["1-100"],`, 1)
		for _, mark := range []uint32{7, 8} {
			w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: ipvs.Service{ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv4, FirewallMark: mark}, Scheduler: "wlc", PrefixLength: 32}})
		}
		if read := d.read(t); len(read.ForeignFirewallMarks) != 2 || len(read.Orphans) != 0 {
			t.Errorf("read %+v", read)
		}
		answer := d.named(t, []wire.Key{{FirewallMark: 7, Family: "IPv4"}}, []wire.Key{{FirewallMark: 8, Family: "IPv4"}})
		clean(t, answer, "adopt virtual server firewall mark 7 (IPv4), as it stands, for owner prod", "delete virtual server firewall mark 8 (IPv4)")
		w.ipvsadmShows(t, "-A -f 7 -s wlc")
		if read := d.read(t); len(read.ForeignFirewallMarks) != 0 || read.Counts.VirtualServers != 1 {
			t.Errorf("read %+v", read)
		}
	})
}

// The ledger is lost, the journal is not: what it has exactly as it is in the kernel is ours again; what differs is an orphan.
func TestLostLedger(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = strings.Replace(d.policy, `"prod":{`, `"prod":{"firewallMarks":["7"],`, 1)
		web, other := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.11", 80, "192.0.2.21")
		mark := wire.VirtualServer{Key: wire.Key{FirewallMark: 7, Family: "IPv4"}, Scheduler: "wlc", SchedulerFlags: []string{}}
		d.all(t, web, other, mark)
		d.must(t, ipvs.Operation{Kind: ipvs.NewDestination, Service: service("203.0.113.11", 80), Destination: destination("192.0.2.66", 80)})
		ledgers, err := filepath.Glob(filepath.Join(d.stateDir, "prod.netns.*"))
		if err != nil || len(ledgers) == 0 {
			t.Fatalf("no ledger: %v", err)
		}
		for _, file := range ledgers {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		d.engine = d.newEngine("prod")
		read := d.read(t)
		if !slices.Equal(read.Orphans, []wire.Key{other.Key}) || read.Counts.VirtualServers != 2 || len(read.ForeignFirewallMarks) != 0 {
			t.Errorf("read: orphans %v, counts %+v, marks %v", read.Orphans, read.Counts, read.ForeignFirewallMarks)
		}
		web.Scheduler = "wlc"
		clean(t, d.listed(t, list(web)), "change virtual server TCP 203.0.113.10:80 from scheduler wrr to scheduler wlc")
		refused(t, d.all(t, web, other, mark), wire.ClassCollision, "TCP 203.0.113.11:80", "not made by owner prod", other.Key)
		d.engine = d.newEngine("prod")
		if read := d.read(t); read.Counts.VirtualServers != 2 || read.Counts.Orphans != 1 {
			t.Errorf("recorded: %+v", read.Counts)
		}
	})
}
