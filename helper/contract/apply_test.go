package contract

import (
	"testing"

	"ipvs-operator.io/helper/wire"
)

func TestNewVirtualServer(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		// Unsorted on purpose: the order in which real servers are added decides how mh spreads clients.
		web := virtualServer("203.0.113.10", 80, "192.0.2.22", "192.0.2.21")
		web.Scheduler, web.SchedulerFlags = "mh", []string{"mh-fallback", "mh-port"}
		answer := d.listed(t, list(web))
		clean(t, answer,
			"add virtual server TCP 203.0.113.10:80 with scheduler mh (mh-fallback,mh-port)",
			"add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.10:80",
			"add real server 192.0.2.22:80 weight 1 to TCP 203.0.113.10:80",
			"add address 203.0.113.10 to interface lo")
		if answer.Writes != 4 || answer.TotalWrites != 4 || answer.Counts.VirtualServers != 1 || answer.Counts.RealServers != 2 {
			t.Errorf("writes %d, total %d, counts %+v", answer.Writes, answer.TotalWrites, answer.Counts)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s mh -b mh-fallback,mh-port",
			"-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1", "-a -t 203.0.113.10:80 -r 192.0.2.22:80 -g -w 1")
		w.ipShows(t, "lo", "203.0.113.10/32")

		again := d.listed(t, list(web))
		clean(t, again)
		if again.Writes != 0 || again.TotalWrites != 4 || again.TableHash != answer.TableHash {
			t.Errorf("the same again: writes %d, total %d, hash %s after %s", again.Writes, again.TotalWrites, again.TableHash, answer.TableHash)
		}
	})
}

// Every kind of virtual server that the wire can name, as ipvsadm sees it.
func TestEveryKind(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		persistent := virtualServer("203.0.113.10", 443, "192.0.2.21")
		persistent.Persistence = &wire.Persistence{TimeoutSeconds: 10800, PrefixLength: 24}
		udp := virtualServer("203.0.113.10", 53, "192.0.2.21")
		udp.Protocol, udp.OnePacket = "UDP", true
		sctp := virtualServer("203.0.113.10", 2905, "192.0.2.21")
		sctp.Protocol, sctp.Scheduler, sctp.SchedulerFlags = "SCTP", "sh", []string{"sh-port"}
		nat := virtualServer("203.0.113.11", 80, "192.0.2.21")
		nat.RealServers[0].ForwardingMethod, nat.RealServers[0].Port, nat.RealServers[0].Weight = "Masquerading", 30080, 7
		nat.RealServers[0].UpperThreshold, nat.RealServers[0].LowerThreshold = 1000, 800
		v6 := virtualServer("2001:db8::10", 443, "2001:db8:1::21")
		v6.Persistence = &wire.Persistence{TimeoutSeconds: 60, PrefixLength: 64}
		empty := virtualServer("203.0.113.12", 80)
		answer := d.all(t, persistent, udp, sctp, nat, v6, empty)
		if len(answer.Errors) > 0 || len(answer.Failed) > 0 {
			t.Errorf("errors %+v, failed %v", answer.Errors, answer.Failed)
		}
		w.ipvsadmShows(t,
			"-A -t 203.0.113.10:443 -s wrr -p 10800 -M 255.255.255.0", "-a -t 203.0.113.10:443 -r 192.0.2.21:443 -g -w 1",
			"-A -u 203.0.113.10:53 -s wrr -o", "-a -u 203.0.113.10:53 -r 192.0.2.21:53 -g -w 1",
			"-A --sctp-service 203.0.113.10:2905 -s sh -b sh-port", "-a --sctp-service 203.0.113.10:2905 -r 192.0.2.21:2905 -g -w 1",
			"-A -t 203.0.113.11:80 -s wrr", "-a -t 203.0.113.11:80 -r 192.0.2.21:30080 -m -w 7",
			"-A -t [2001:db8::10]:443 -s wrr -p 60 -M 64", "-a -t [2001:db8::10]:443 -r [2001:db8:1::21]:443 -g -w 1",
			"-A -t 203.0.113.12:80 -s wrr")
		w.ipvsadmLists(t, "--thresholds", "192.0.2.21:30080 1000 800 0 0")
		w.ipShows(t, "lo", "203.0.113.10/32", "203.0.113.11/32", "203.0.113.12/32", "2001:db8::10/128")

		read := d.read(t)
		if got := keyed(t, read, v6.Key); got.Persistence == nil || *got.Persistence != *v6.Persistence || got.RealServers[0].RealServer != v6.RealServers[0] {
			t.Errorf("read %+v, sent %+v", got, v6)
		}
		if got := keyed(t, read, nat.Key); got.RealServers[0].RealServer != nat.RealServers[0] || got.Persistence != nil {
			t.Errorf("read %+v, sent %+v", got, nat)
		}
		clean(t, d.all(t, empty, v6, nat, sctp, udp, persistent))
	})
}

func TestEditsInPlace(t *testing.T) {
	base := func() wire.VirtualServer { return virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22") }
	for name, row := range map[string]struct {
		edit   func(*wire.VirtualServer)
		change string
	}{
		"weight": {func(v *wire.VirtualServer) { v.RealServers[0].Weight = 5 }, "change real server 192.0.2.21:80 of TCP 203.0.113.10:80: weight 1 to 5"},
		"drain":  {func(v *wire.VirtualServer) { v.RealServers[1].Weight = 0 }, "change real server 192.0.2.22:80 of TCP 203.0.113.10:80: weight 1 to 0"},
		"method": {func(v *wire.VirtualServer) { v.RealServers[0].ForwardingMethod = "Masquerading" },
			"change real server 192.0.2.21:80 of TCP 203.0.113.10:80: forwarding method DirectRouting to Masquerading"},
		"thresholds": {func(v *wire.VirtualServer) { v.RealServers[0].UpperThreshold, v.RealServers[0].LowerThreshold = 9, 3 },
			"change real server 192.0.2.21:80 of TCP 203.0.113.10:80: thresholds 0/0 to 9/3"},
		"new real server": {func(v *wire.VirtualServer) {
			*v = virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22", "192.0.2.23")
		}, "add real server 192.0.2.23:80 weight 1 to TCP 203.0.113.10:80"},
		"real server removed": {func(v *wire.VirtualServer) { v.RealServers = v.RealServers[:1] }, "delete real server 192.0.2.22:80 from TCP 203.0.113.10:80"},
		"scheduler":           {func(v *wire.VirtualServer) { v.Scheduler = "wlc" }, "change virtual server TCP 203.0.113.10:80 from scheduler wrr to scheduler wlc"},
		"flags":               {func(v *wire.VirtualServer) { v.SchedulerFlags = []string{"flag-3"} }, "change virtual server TCP 203.0.113.10:80 from scheduler wrr to scheduler wrr (flag-3)"},
		"persistence": {func(v *wire.VirtualServer) { v.Persistence = &wire.Persistence{TimeoutSeconds: 60, PrefixLength: 32} },
			"change virtual server TCP 203.0.113.10:80 from scheduler wrr to scheduler wrr, persistence 60 s per /32"},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				clean(t, d.listed(t, list(virtualServer("203.0.113.11", 80, "192.0.2.21"))), "add virtual server TCP 203.0.113.11:80 with scheduler wrr",
					"add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.11:80", "add address 203.0.113.11 to interface lo")
				before := d.listed(t, list(base()))
				edited := base()
				row.edit(&edited)
				answer := d.listed(t, list(edited))
				clean(t, answer, row.change)
				if answer.Writes != 1 {
					t.Errorf("%d writes for one change", answer.Writes)
				}
				clean(t, d.listed(t, list(edited)))
				back := d.listed(t, list(base()))
				if len(back.Changes) != 1 || back.TableHash != before.TableHash {
					t.Errorf("back again: %v, hash %s, first %s", back.Changes, back.TableHash, before.TableHash)
				}
				w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1", "-a -t 203.0.113.10:80 -r 192.0.2.22:80 -g -w 1",
					"-A -t 203.0.113.11:80 -s wrr", "-a -t 203.0.113.11:80 -r 192.0.2.21:80 -g -w 1")
			})
		})
	}
}

// Two spellings of the same bits are the same.
func TestFlagNamesCompareByBits(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		generic := virtualServer("203.0.113.10", 80, "192.0.2.21")
		generic.Scheduler, generic.SchedulerFlags = "sh", []string{"flag-1", "flag-2"}
		d.listed(t, list(generic))
		named := generic
		named.SchedulerFlags = []string{"sh-port", "flag-1", "sh-fallback"}
		clean(t, d.listed(t, list(named)))
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s sh -b sh-fallback,sh-port", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
	})
}

// Capacity comes before it goes, a VIP goes up after its virtual servers and comes down before them (dataplane 9.1).
func TestOrder(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22"), virtualServer("203.0.113.11", 80, "192.0.2.21"))
		edited := virtualServer("203.0.113.10", 80, "192.0.2.22", "192.0.2.23")
		edited.Scheduler, edited.RealServers[0].Weight = "wlc", 0
		clean(t, d.all(t, virtualServer("203.0.113.12", 80, "192.0.2.21"), edited),
			"add virtual server TCP 203.0.113.12:80 with scheduler wrr",
			"add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.12:80",
			"add real server 192.0.2.23:80 weight 1 to TCP 203.0.113.10:80",
			"change virtual server TCP 203.0.113.10:80 from scheduler wrr to scheduler wlc",
			"add address 203.0.113.12 to interface lo",
			"change real server 192.0.2.22:80 of TCP 203.0.113.10:80: weight 1 to 0",
			"delete real server 192.0.2.21:80 from TCP 203.0.113.10:80",
			"delete address 203.0.113.11 from interface lo",
			"delete virtual server TCP 203.0.113.11:80")
		w.ipShows(t, "lo", "203.0.113.10/32", "203.0.113.12/32")
	})
}

func TestScopes(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		first, second := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.11", 80, "192.0.2.21")
		d.listed(t, list(first))
		answer := d.listed(t, list(second))
		if answer.Counts.VirtualServers != 2 || answer.Writes != 3 {
			t.Errorf("listed leaves the rest alone: %+v", answer)
		}
		if both := d.all(t, second, first); both.Writes != 0 || both.TableHash != answer.TableHash {
			t.Errorf("all of them, in another order: %+v, hash was %s", both, answer.TableHash)
		}
		gone := d.listed(t, nil, first.Key)
		clean(t, gone, "delete address 203.0.113.10 from interface lo", "delete virtual server TCP 203.0.113.10:80")
		clean(t, d.listed(t, nil, first.Key))
		if alone := d.all(t, second); alone.TableHash != gone.TableHash || alone.Counts != gone.Counts {
			t.Errorf("listed says %s %+v, all says %s %+v", gone.TableHash, gone.Counts, alone.TableHash, alone.Counts)
		}
		clean(t, d.all(t), "delete address 203.0.113.11 from interface lo", "delete virtual server TCP 203.0.113.11:80")
		w.ipvsadmShows(t)
		w.ipShows(t, "lo")
	})
}

func TestDryRunWritesNothing(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		request := wire.Apply{Fence: wire.Fence{Epoch: 9, Generation: 9}, DryRun: true, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(web)}
		planned := d.apply(t, d.engine, request)
		w.ipvsadmShows(t)
		w.ipShows(t, "lo")
		if planned.Writes != 0 || planned.TotalWrites != 0 {
			t.Errorf("a dry run wrote %d, total %d", planned.Writes, planned.TotalWrites)
		}
		var sentences []string
		for _, change := range planned.Changes {
			sentences = append(sentences, change.Sentence)
		}
		clean(t, d.all(t, web), sentences...) // with a lower fence: a dry run leaves no trace of its own
	})
}
