package contract

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/journal"
	"ipvs-operator.io/helper/wire"
)

// reboot takes the kernel's table and the VIPs away, and the ledger with them: what a reset leaves is the disk.
func (d *director) reboot(t *testing.T) {
	t.Helper()
	services, err := d.ipvs.Services()
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range services {
		d.must(t, ipvs.Operation{Kind: ipvs.DeleteService, Service: service})
	}
	for _, entry := range *d.read(t).VirtualServers {
		t.Fatalf("%v is still there", entry.Key)
	}
	for assigned := range d.vips(t) {
		if err := d.addresses.Delete(assigned)[0]; err != nil {
			t.Fatal(err)
		}
	}
	d.boot = fmt.Sprint("boot ", boots.Add(1))
	d.engine = d.newEngine("prod")
}

// vips are the addresses that the ledger knows.
func (d *director) vips(t *testing.T) map[address.Assigned]bool {
	t.Helper()
	record, err := d.engine.Ledger.Read()
	if err != nil {
		t.Fatal(err)
	}
	return record.Addresses
}

func (d *director) restore(t *testing.T) apply.Restored {
	t.Helper()
	restored, refusal := d.engine.Restore()
	if refusal != nil {
		t.Fatalf("restore refused: %s: %s", refusal.Class, refusal.Message)
	}
	return restored
}

// After a reboot the table is as it was told, without an operator: virtual servers first, then the VIPs. To the operator
// everything is ours, and its whole table changes nothing.
func TestRestoreAfterReboot(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.fence = wire.Fence{Epoch: 3, Generation: 17}
		web, tls := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22"), virtualServer("2001:db8::10", 443, "2001:db8:1::21")
		d.all(t, web, tls, virtualServer("203.0.113.11", 80))
		web.RealServers[1].Weight = 7
		other := wire.Apply{Fence: wire.Fence{Epoch: 3, Generation: 18}, Scope: wire.ScopeListed, Interface: "eth0", VirtualServers: list(virtualServer("203.0.113.12", 80, "192.0.2.21"))}
		before := d.apply(t, d.engine, other)
		d.fence.Generation = 19
		before = d.listed(t, list(web), wire.Key{Address: "203.0.113.11", Port: 80, Protocol: "TCP"})
		d.reboot(t)
		w.ipvsadmShows(t)

		restored := d.restore(t)
		var kinds []string
		for _, change := range restored.Changes {
			kinds = append(kinds, change.Kind)
		}
		vips := slices.Index(kinds, "addAddress")
		if len(kinds) != 10 || vips != 7 || slices.Contains(kinds[:vips], "addAddress") || len(restored.Errors) > 0 || restored.Fence != d.fence {
			t.Errorf("restored %v, errors %+v, fence %+v", kinds, restored.Errors, restored.Fence)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1", "-a -t 203.0.113.10:80 -r 192.0.2.22:80 -g -w 7",
			"-A -t 203.0.113.12:80 -s wrr", "-a -t 203.0.113.12:80 -r 192.0.2.21:80 -g -w 1", "-A -t [2001:db8::10]:443 -s wrr", "-a -t [2001:db8::10]:443 -r [2001:db8:1::21]:443 -g -w 1")
		w.ipShows(t, "lo", "203.0.113.10/32", "2001:db8::10/128")
		w.ipShows(t, "eth0", "203.0.113.12/32")

		session := d.newEngine("prod")
		if fence, err := session.Fence(); err != nil || fence != d.fence {
			t.Errorf("fence %+v, %v", fence, err)
		}
		keys, refusal := session.Read(wire.WhatKeys)
		if refusal != nil || len(*keys.Keys) != 3 || len(keys.Orphans) != 0 || keys.TableHash != before.TableHash || len(keys.Addresses) != 3 {
			t.Errorf("the operator's first look: %+v, %v", keys, refusal)
		}
		answer := d.apply(t, session, wire.Apply{Fence: wire.Fence{Epoch: 3, Generation: 20}, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(web, tls)})
		wantChanges(t, answer, "delete address 203.0.113.12 from interface eth0", "delete virtual server TCP 203.0.113.12:80")
		if answer := d.apply(t, session, wire.Apply{Fence: wire.Fence{Epoch: 3, Generation: 21}, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(web, tls)}); answer.Writes != 0 {
			t.Errorf("the whole table again: %+v", answer)
		}
	})
}

// The whole table right after a restore is zero writes; so is a second restore, and one on a running director.
func TestRestoreAgainChangesNothing(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22")
		d.all(t, web)
		if restored := d.restore(t); restored.Writes != 0 || len(restored.Errors) > 0 {
			t.Errorf("on a running director: %+v", restored)
		}
		d.reboot(t)
		d.restore(t)
		if restored := d.restore(t); restored.Writes != 0 || len(restored.Changes) > 0 || len(restored.Errors) > 0 {
			t.Errorf("again: %+v", restored)
		}
		answer := d.all(t, web)
		clean(t, answer)
		if answer.Writes != 0 || answer.Counts.VirtualServers != 1 || answer.Counts.Orphans != 0 {
			t.Errorf("the whole table: %+v", answer)
		}
	})
}

// Killed in the middle, a restore is finished by the next one.
func TestRestoreIsFinished(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22"), virtualServer("203.0.113.11", 80, "192.0.2.21"))
		d.reboot(t)
		d.restore(t)
		d.must(t, deleteOf("203.0.113.10", 80, "192.0.2.22"), ipvs.Operation{Kind: ipvs.DeleteService, Service: service("203.0.113.11", 80)})
		restored := d.restore(t)
		clean(t, restored.ApplyResult, "add virtual server TCP 203.0.113.11:80 with scheduler wrr", "add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.11:80",
			"add real server 192.0.2.22:80 weight 1 to TCP 203.0.113.10:80")
	})
}

// A restore edits and removes nothing of what is there.
func TestRestoreOnlyAdds(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21"))
		edited := destination("192.0.2.21", 80)
		edited.Weight = 9
		d.must(t, ipvs.Operation{Kind: ipvs.SetDestination, Service: service("203.0.113.10", 80), Destination: edited},
			ipvs.Operation{Kind: ipvs.NewDestination, Service: service("203.0.113.10", 80), Destination: destination("192.0.2.23", 80)})
		if restored := d.restore(t); restored.Writes != 0 || len(restored.Errors) > 0 {
			t.Errorf("restored %+v", restored)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 9", "-a -t 203.0.113.10:80 -r 192.0.2.23:80 -g -w 1")
	})
}

// What the policy no longer permits is left out, and named.
func TestRestoreWithinThePolicyOfNow(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("2001:db8::10", 80, "2001:db8:1::21"))
		d.reboot(t)
		d.policy = strings.Replace(d.policy, `,"2001:db8::/64"`, "", 1)
		restored := d.restore(t)
		refused(t, restored.ApplyResult, wire.ClassPolicy, "TCP [2001:db8::10]:80", "owners.prod.virtualServers", wire.Key{Address: "2001:db8::10", Port: 80, Protocol: "TCP"})
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
		w.ipShows(t, "lo", "203.0.113.10/32")
	})
}

// Draining real servers are not told any more, and do not come back; settings and packet rules do.
func TestRestoreOfTheRest(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.policy = strings.Replace(d.policy, `"prod":{`, `"prod":{"host":{"sysctls":["*"],"timeouts":true},`, 1)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22")
		web.DrainSeconds, web.PacketRules = 60, wire.PacketRules{SourceRanges: []string{"198.51.100.0/24"}}
		request := wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(web),
			Host: &wire.Host{Sysctls: map[string]string{"net.ipv4.vs.sloppy_tcp": "1"}, Timeouts: &wire.Timeouts{TCPSeconds: 901, TCPFinSeconds: 121, UDPSeconds: 301}}}
		d.apply(t, d.engine, request)
		web.RealServers = web.RealServers[:1]
		if answer := d.listed(t, list(web)); answer.Counts.Draining != 1 {
			t.Fatalf("nothing drains: %+v", answer)
		}
		d.reboot(t)
		if err := d.settings.SetSysctl("net.ipv4.vs.sloppy_tcp", "0"); err != nil {
			t.Fatal(err)
		}
		if restored := d.restore(t); len(restored.Errors) > 0 {
			t.Errorf("errors %+v", restored.Errors)
		}
		read := d.read(t)
		got := keyed(t, read, web.Key)
		if len(got.RealServers) != 1 || !slices.Equal(got.SourceRanges, web.SourceRanges) || read.Host.Sysctls["net.ipv4.vs.sloppy_tcp"] != "1" || read.Host.Timeouts.TCPSeconds != 901 {
			t.Errorf("restored %+v, host %+v", got, read.Host)
		}
	})
}

func TestRestoreFromTornAndDamagedJournals(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21"))
		d.fence.Generation++
		d.listed(t, list(virtualServer("203.0.113.11", 80)))
		path := filepath.Join(d.journalDir, "prod.journal")
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d.reboot(t)
		if err := os.WriteFile(path, content[:len(content)-10], 0o600); err != nil {
			t.Fatal(err)
		}
		restored := d.restore(t)
		if restored.Warning == "" || restored.Counts.VirtualServers != 1 || len(restored.Errors) > 0 {
			t.Errorf("torn: %+v", restored)
		}
		d.reboot(t)
		content[100] ^= 1
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, refusal := d.engine.Restore(); refusal == nil || refusal.Class != wire.ClassPermanent || !strings.Contains(refusal.Message, "mv "+path) {
			t.Errorf("damaged: %+v", refusal)
		}
		if err := d.engine.CheckJournal(); !errors.Is(err, journal.ErrDamaged) {
			t.Errorf("no alarm: %v", err)
		}
		if _, refusal := d.engine.Apply(wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(virtualServer("203.0.113.10", 80))}); refusal == nil || refusal.Class != wire.ClassPermanent {
			t.Errorf("apply with a damaged journal: %+v", refusal)
		}
		w.ipvsadmShows(t)
		w.ipShows(t, "lo")
		if err := os.Rename(path, path+".damaged"); err != nil {
			t.Fatal(err)
		}
		if answer := d.all(t, virtualServer("203.0.113.10", 80)); len(answer.Errors) > 0 || d.engine.CheckJournal() != nil {
			t.Errorf("repaired: %+v", answer)
		}
	})
}

// A director that has accepted something newer since it booted is not set back.
func TestRestoreOfAnOlderState(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.all(t, virtualServer("203.0.113.10", 80))
		content, err := os.ReadFile(d.engine.Journal.Path())
		if err != nil {
			t.Fatal(err)
		}
		d.fence.Generation++
		d.all(t)
		if err := os.WriteFile(d.engine.Journal.Path(), content, 0o600); err != nil {
			t.Fatal(err)
		}
		d.engine = d.newEngine("prod")
		if _, refusal := d.engine.Restore(); refusal == nil || !strings.Contains(refusal.Message, "a newer state") {
			t.Errorf("%+v", refusal)
		}
	})
}

func TestNothingToRestore(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		if restored := d.restore(t); restored.Nothing == "" || restored.Writes != 0 {
			t.Errorf("%+v", restored)
		}
	})
}
