package apply

import (
	"crypto/sha256"
	"net/netip"
	"slices"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// tally is the owner's table as last read by this session, virtual server by virtual server, in sums that a request on few
// virtual servers can keep up to date at the cost of those few. It serves counts and the table hash only: no decision to
// write is ever taken from it. When another session has written meanwhile, the table is read whole again.
type tally struct {
	known    bool
	revision uint64 // of the ledger
	ranges   []netip.Prefix
	entries  map[ipvs.ServiceKey]entry
	sum      table.Sum
	totals   entry
	orphans  map[ipvs.ServiceKey]bool
	foreign  []ipvs.ServiceKey
}

type entry struct {
	digest      [sha256.Size]byte
	realServers int
	draining    int
	active      uint64
	inactive    uint64
}

// update brings the tally up to what the job has read.
func (t *tally) update(e *Engine, j *job) error {
	current := t.known && t.revision == j.before && slices.Equal(t.ranges, j.grant.VirtualServers)
	switch {
	case j.seen.complete:
		t.rebuild(j.seen, j.owned, j.grant.VirtualServers)
	case current:
		for _, key := range j.looked() {
			t.forget(key)
			if virtualServer, exists := j.seen.VirtualServers[key]; exists {
				t.count(virtualServer, j.owned)
			}
		}
	default:
		seen, err := e.observeAll(j.owned)
		if err != nil {
			t.known = false
			return err
		}
		t.rebuild(seen, j.owned, j.grant.VirtualServers)
	}
	record, err := e.Ledger.Read()
	t.revision = record.Revision
	return err
}

func (t *tally) rebuild(seen view, owned plan.Ownership, ranges []netip.Prefix) {
	*t = tally{known: true, ranges: ranges, entries: make(map[ipvs.ServiceKey]entry, len(seen.VirtualServers)), orphans: map[ipvs.ServiceKey]bool{}, foreign: seen.foreign}
	for _, virtualServer := range seen.VirtualServers {
		t.count(virtualServer, owned)
	}
}

func (t *tally) count(virtualServer table.VirtualServer, owned plan.Ownership) {
	key := virtualServer.ServiceKey
	if !owned.Owns(key) {
		if owned.IsOrphan(key) {
			t.orphans[key] = true
		}
		return
	}
	stays := virtualServer
	if len(owned.Drains) > 0 {
		stays = virtualServer.Without(func(leaving ipvs.DestinationKey) bool { return owned.Draining(key, leaving) })
	}
	counted := entry{digest: table.Digest(stays), realServers: len(stays.Destinations), draining: len(virtualServer.Destinations) - len(stays.Destinations)}
	for _, destination := range virtualServer.Destinations {
		counted.active += uint64(destination.Connections.Active)
		counted.inactive += uint64(destination.Connections.Inactive)
	}
	t.entries[key] = counted
	t.sum.Add(counted.digest)
	t.totals.realServers += counted.realServers
	t.totals.draining += counted.draining
	t.totals.active += counted.active
	t.totals.inactive += counted.inactive
}

func (t *tally) forget(key ipvs.ServiceKey) {
	delete(t.orphans, key)
	counted, known := t.entries[key]
	if !known {
		return
	}
	delete(t.entries, key)
	t.sum.Remove(counted.digest)
	t.totals.realServers -= counted.realServers
	t.totals.draining -= counted.draining
	t.totals.active -= counted.active
	t.totals.inactive -= counted.inactive
}

func (t *tally) counts() wire.Counts {
	return wire.Counts{
		VirtualServers: len(t.entries), RealServers: t.totals.realServers, Draining: t.totals.draining, Foreign: len(t.foreign), Orphans: len(t.orphans),
		ActiveConnections: t.totals.active, InactiveConnections: t.totals.inactive,
	}
}
