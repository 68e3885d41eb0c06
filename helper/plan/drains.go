package plan

import (
	"maps"
	"slices"
	"time"

	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
)

// Draining reports whether a real server is on its way out.
func (o Ownership) Draining(virtualServer ipvs.ServiceKey, realServer ipvs.DestinationKey) bool {
	_, draining := o.Drains[drain.Key{VirtualServer: virtualServer, RealServer: realServer}]
	return draining
}

// planLeaving lets a real server that is no longer wanted drain, or deletes it when it gets no time or is gone. The term is fixed when
// the drain begins; a request can shorten it, and never extends it.
func (p *planner) planLeaving(wanted table.VirtualServer, leaving ipvs.Destination) {
	key := drain.Key{VirtualServer: wanted.ServiceKey, RealServer: leaving.DestinationKey}
	term, draining := p.owned.Drains[key]
	switch {
	case wanted.Drain > 0 && wanted.IsGone(leaving.DestinationKey):
		p.add(Change{Kind: DeleteRealServer, Phase: PhaseDeleteRealServers, Service: wanted.Service, Destination: leaving, Gone: true})
	case wanted.Drain == 0:
		p.add(Change{Kind: DeleteRealServer, Phase: PhaseDeleteRealServers, Service: wanted.Service, Destination: leaving})
	case !draining:
		p.plan.Draining[key] = drain.Begin(p.request.Now.SinceBoot, wanted.Drain)
		if leaving.Weight > 0 {
			p.drain(wanted.Service, leaving, p.plan.Draining[key].Deadline)
		}
	case term.AtMost(wanted.Drain) != term:
		p.plan.Draining[key] = term.AtMost(wanted.Drain)
	}
}

// drain sets the weight to 0 and leaves the rest as it is: the server keeps its place in an mh table (ip_vs_mh.c fills it by
// the last weight that was not 0), and the clients of the others stay where they are.
func (p *planner) drain(service ipvs.Service, leaving ipvs.Destination, deadline time.Duration) {
	drained := leaving
	drained.Weight = 0
	p.add(Change{Kind: DrainRealServer, Phase: PhaseDrains, Service: service, Destination: drained,
		Before: &Before{Destination: leaving}, Deadline: p.request.Now.WallTime(deadline)})
}

// takeBack ends a drain because the real server is wanted again: in place, so that its connections go on.
func (p *planner) takeBack(wanted table.VirtualServer, before, destination *ipvs.Destination) {
	if !table.SameDestination(before, destination) {
		p.add(Change{Kind: UndrainRealServer, Phase: PhaseRealServers, Service: wanted.Service, Destination: *destination, Before: &Before{Destination: *before}})
	}
}

// settleDrains goes on with the drains that are known, of the virtual servers that the request is about. Only Settle ends
// them: an apply that is repeated, or tried dry, has nothing to do however late it is.
func (p *planner) settleDrains() {
	if len(p.owned.Drains) == 0 {
		return
	}
	wanted := map[ipvs.ServiceKey]table.VirtualServer{}
	for _, virtualServer := range p.request.Desired {
		if p.desired[virtualServer.ServiceKey] {
			wanted[virtualServer.ServiceKey] = virtualServer
		}
	}
	alone := map[ipvs.ServiceKey]bool{}
	for _, key := range p.request.Settle {
		alone[key] = true
	}
	for _, key := range slices.SortedFunc(maps.Keys(p.owned.Drains), drain.Key.Compare) {
		virtualServer, listed := wanted[key.VirtualServer]
		if _, stays := virtualServer.Destination(key.RealServer); stays {
			p.plan.Returned = append(p.plan.Returned, key)
			continue
		}
		if virtualServer.IsGone(key.RealServer) {
			continue
		}
		if p.owned.Owns(key.VirtualServer) && (alone[key.VirtualServer] || listed && virtualServer.Drain > 0) {
			p.settle(key, alone[key.VirtualServer])
		}
	}
}

// settle deletes a real server whose drain is over, if it may. One that has got weight again (we were killed before it was
// taken, or somebody else has given it) begins anew, with the old deadline.
func (p *planner) settle(key drain.Key, mayEnd bool) {
	existing := p.observed.VirtualServers[key.VirtualServer]
	leaving, exists := existing.Destination(key.RealServer)
	if !exists {
		return
	}
	now := p.request.Now.SinceBoot
	term := p.owned.Drains[key]
	if shortened, exists := p.plan.Draining[key]; exists {
		term = shortened
	}
	switch {
	case now < term.Deadline && leaving.Weight > 0:
		p.plan.Draining[key] = drain.Term{Since: now, Deadline: term.Deadline}
		p.drain(existing.Service, leaving, term.Deadline)
	case mayEnd && term.Over(leaving.Connections, now):
		p.add(Change{Kind: DeleteRealServer, Phase: PhaseDeleteRealServers, Service: existing.Service, Destination: leaving})
	}
}
