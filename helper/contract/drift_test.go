package contract

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

func (d *director) drift(t *testing.T) []string {
	t.Helper()
	answer, refusal := d.newEngine("prod").Read(wire.WhatDrift)
	if refusal != nil {
		t.Fatal(refusal)
	}
	digest, refusal := d.newEngine("prod").Read(wire.WhatDigest)
	if refusal != nil {
		t.Fatal(refusal)
	}
	if *digest.Agrees != *answer.Agrees || *answer.Agrees != (len(*answer.Drift) == 0) || digest.JournalHash == "" || digest.JournalHash != answer.JournalHash {
		t.Errorf("digest says %t (%s, journal %s), drift %t with %+v", *digest.Agrees, digest.TableHash, digest.JournalHash, *answer.Agrees, *answer.Drift)
	}
	var sentences []string
	for _, change := range *answer.Drift {
		sentences = append(sentences, change.Sentence)
	}
	return sentences
}

// Whatever somebody changes behind our back shows in the digest, and drift says what; nothing is repaired by asking.
func TestDrift(t *testing.T) {
	ours := service("203.0.113.10", 80)
	ours.Scheduler = "wrr"
	for name, row := range map[string]struct {
		meddle func(t *testing.T, d *director)
		says   []string
	}{
		"nothing": {func(*testing.T, *director) {}, nil},
		"an orphan is no drift": {func(t *testing.T, d *director) {
			d.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: service("203.0.113.99", 80)})
		}, nil},
		"a real server is gone": {func(t *testing.T, d *director) { d.must(t, deleteOf("203.0.113.10", 80, "192.0.2.22")) },
			[]string{"add real server 192.0.2.22:80 weight 1 to TCP 203.0.113.10:80"}},
		"another real server": {func(t *testing.T, d *director) {
			d.must(t, ipvs.Operation{Kind: ipvs.NewDestination, Service: ours, Destination: destination("192.0.2.23", 80)})
		}, []string{"delete real server 192.0.2.23:80 from TCP 203.0.113.10:80"}},
		"another scheduler": {func(t *testing.T, d *director) {
			edited := ours
			edited.Scheduler = "lc"
			d.must(t, ipvs.Operation{Kind: ipvs.SetService, Service: edited})
		}, []string{"change virtual server TCP 203.0.113.10:80 from scheduler lc to scheduler wrr"}},
		"a virtual server is gone": {func(t *testing.T, d *director) {
			d.must(t, ipvs.Operation{Kind: ipvs.DeleteService, Service: service("203.0.113.11", 80)})
		}, []string{"add virtual server TCP 203.0.113.11:80 with scheduler wrr"}},
		"a VIP is gone": {func(t *testing.T, d *director) {
			if err := d.addresses.Delete(address.Assigned{Interface: "lo", Address: netip.MustParseAddr("203.0.113.11")})[0]; err != nil {
				t.Fatal(err)
			}
		}, []string{"add address 203.0.113.11 to interface lo"}},
		"a setting": {func(t *testing.T, d *director) {
			if err := d.settings.SetTimeouts(ipvs.Timeouts{TCP: 800, TCPFin: 121, UDP: 301}); err != nil {
				t.Fatal(err)
			}
		}, []string{"set timeouts"}},
		"packet rules": {func(t *testing.T, d *director) {
			rules := d.packets("prod")
			state, err := rules.Read()
			if err != nil {
				t.Fatal(err)
			}
			after := state
			after.Rules = nil
			if err := rules.Write(state, after); err != nil {
				t.Fatal(err)
			}
		}, []string{"add packet rules of TCP 203.0.113.10:80: let in only 198.51.100.0/24"}},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				d.policy = strings.Replace(d.policy, `"prod":{`, `"prod":{"host":{"timeouts":true},`, 1)
				web := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22")
				web.PacketRules.SourceRanges = []string{"198.51.100.0/24"}
				d.apply(t, d.engine, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(web, virtualServer("203.0.113.11", 80)),
					Host: &wire.Host{Timeouts: &wire.Timeouts{TCPSeconds: 901, TCPFinSeconds: 121, UDPSeconds: 301}}})
				row.meddle(t, d)
				got := d.drift(t)
				if !slices.EqualFunc(got, row.says, strings.HasPrefix) || !slices.Equal(d.drift(t), got) {
					t.Errorf("drift %q, wanted %q", got, row.says)
				}
			})
		})
	}
}

// A drain is what was told, and no drift, for as long as it lasts.
func TestDrainIsNoDrift(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22")
		web.DrainSeconds = 60
		d.all(t, web)
		web.RealServers = web.RealServers[:1]
		d.listed(t, list(web))
		if got := d.drift(t); len(got) > 0 {
			t.Errorf("drift %q", got)
		}
	})
}

// What was refused is not in the journal: deletions above the limit leave it as the kernel is.
func TestRefusedDeletionsAreNotTold(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = strings.Replace(d.policy, `"prod":{`, `"prod":{"maxDeletionsPerRequest":1,`, 1)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22", "192.0.2.23")
		d.all(t, web, virtualServer("203.0.113.11", 80))
		web.RealServers = append(virtualServer("203.0.113.10", 80, "192.0.2.24").RealServers, web.RealServers[0])
		if answer := d.all(t, web); len(answer.Errors) == 0 || answer.Writes != 1 {
			t.Errorf("answer %+v", answer)
		}
		if got := d.drift(t); len(got) > 0 {
			t.Errorf("drift %q", got)
		}
		d.reboot(t)
		d.restore(t)
		w.ipvsadmShows(t, "-A -t 203.0.113.11:80 -s wrr", "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1", "-a -t 203.0.113.10:80 -r 192.0.2.22:80 -g -w 1",
			"-a -t 203.0.113.10:80 -r 192.0.2.23:80 -g -w 1", "-a -t 203.0.113.10:80 -r 192.0.2.24:80 -g -w 1")
	})
}
