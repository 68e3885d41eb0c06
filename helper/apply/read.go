package apply

import (
	"maps"
	"net/netip"
	"slices"

	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/policy"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// Read answers the owner's table as it is in the kernel now.
func (e *Engine) Read(what wire.What) (wire.ReadResult, *wire.Error) {
	grant, err := e.Policy()
	if err != nil {
		return wire.ReadResult{}, &wire.Error{Class: wire.ClassPolicy, Message: err.Error()}
	}
	release, err := e.Lock.Acquire()
	if err != nil {
		return wire.ReadResult{}, lockFailure(err)
	}
	defer release()
	record, err := e.Ledger.Read()
	if err != nil {
		return wire.ReadResult{}, failure("read the ledger", err)
	}
	j, refusal := e.look(grant, record, what)
	if refusal != nil {
		return wire.ReadResult{}, refusal
	}
	seen, owned := j.seen, j.owned
	e.tally.rebuild(seen, owned, grant.VirtualServers)
	e.tally.revision = record.Revision
	result := wire.ReadResult{TotalWrites: record.TotalWrites, Counts: e.tally.counts()}
	if result.TableHash, err = e.tableHash(); err != nil {
		return wire.ReadResult{}, failure("read the packet rules", err)
	}
	if what == wire.WhatDigest {
		return result, e.compare(j, &result)
	}
	if what == wire.WhatDrift {
		describeRest(&result, seen, owned)
		return result, e.drift(j, &result)
	}
	result.Foreign, result.Orphans, result.Addresses = []wire.Key{}, []wire.Key{}, []string{}
	rules, err := e.readPackets()
	if err != nil {
		return wire.ReadResult{}, failure("read the packet rules", err)
	}
	if what == wire.WhatFull {
		if result.Host, err = e.readHost(); err != nil {
			return wire.ReadResult{}, failure("read the director's settings", err)
		}
	}
	describeRest(&result, seen, owned)
	describeOwn(&result, what, seen, owned, rules, e.now())
	return result, nil
}

// look reads the kernel's table; what the journal knows exactly as it is counts as ours even when the ledger was lost.
func (e *Engine) look(grant policy.Grant, record ledger.Record, what wire.What) (*job, *wire.Error) {
	j := newJob(grant, record)
	j.request = plan.Request{Owner: grant.Owner, Now: e.now(), All: true}
	j.memory.told, j.memory.unreadable = e.told()
	j.owned.Named = map[ipvs.ServiceKey]bool{}
	j.nameMarksOfJournal()
	var err error
	if j.seen, err = e.observeAll(j.owned); err == nil && what != wire.WhatDigest && what != wire.WhatDrift {
		err = e.observeAddresses(&j.seen, j.request, j.owned)
	}
	if err != nil {
		return nil, failure("read the kernel's table", err)
	}
	j.takeOver()
	return j, nil
}

func describeRest(result *wire.ReadResult, seen view, owned plan.Ownership) {
	slices.SortFunc(seen.foreign, ipvs.ServiceKey.Compare)
	for _, key := range seen.foreign {
		if key.FirewallMark != 0 {
			result.ForeignFirewallMarks = append(result.ForeignFirewallMarks, key.FirewallMark)
			continue
		}
		result.Foreign = append(result.Foreign, wireKey(key))
	}
	for _, virtualServer := range inOrder(seen) {
		if !owned.Owns(virtualServer.ServiceKey) {
			result.Orphans = append(result.Orphans, wireKey(virtualServer.ServiceKey))
		}
	}
	held := map[netip.Addr]bool{}
	for assigned := range seen.Addresses {
		if !assigned.IsRoute() {
			held[assigned.Address] = true
			continue
		}
		result.LocalRoutes = append(result.LocalRoutes, assigned.Name())
		for key := range seen.VirtualServers { // what is in the range and has a virtual server of ours is held
			if owned.Owns(key) && assigned.Prefix().Contains(key.Address) {
				held[key.Address] = true
			}
		}
	}
	slices.Sort(result.LocalRoutes)
	for _, assigned := range slices.SortedFunc(maps.Keys(held), netip.Addr.Compare) {
		result.Addresses = append(result.Addresses, assigned.String())
	}
}

func describeOwn(result *wire.ReadResult, what wire.What, seen view, owned plan.Ownership, rules packets.State, now drain.Moment) {
	keys, virtualServers := []wire.Key{}, []wire.ObservedVirtualServer{}
	for _, virtualServer := range inOrder(seen) {
		if owned.Owns(virtualServer.ServiceKey) {
			keys = append(keys, wireKey(virtualServer.ServiceKey))
			described := observed(virtualServer, what == wire.WhatCounters)
			markDraining(&described, virtualServer, owned, now)
			virtualServers = append(virtualServers, describeRules(described, rules.Rules[virtualServer.ServiceKey]))
		}
	}
	switch what {
	case wire.WhatKeys:
		result.Keys = &keys
	case wire.WhatFull, wire.WhatCounters:
		result.VirtualServers = &virtualServers
	}
}

// markDraining tells which real servers are on their way out.
func markDraining(described *wire.ObservedVirtualServer, virtualServer table.VirtualServer, owned plan.Ownership, now drain.Moment) {
	for index, destination := range virtualServer.Destinations {
		term, draining := owned.Drains[drain.Key{VirtualServer: virtualServer.ServiceKey, RealServer: destination.DestinationKey}]
		if draining {
			described.RealServers[index].Draining, described.RealServers[index].DrainDeadline = true, now.WallTime(term.Deadline)
		}
	}
}

func inOrder(seen view) []table.VirtualServer {
	virtualServers := []table.VirtualServer{}
	for _, virtualServer := range seen.VirtualServers {
		virtualServers = append(virtualServers, virtualServer)
	}
	slices.SortFunc(virtualServers, func(a, b table.VirtualServer) int { return a.ServiceKey.Compare(b.ServiceKey) })
	return virtualServers
}

func observed(virtualServer table.VirtualServer, withStats bool) wire.ObservedVirtualServer {
	service := virtualServer.Service
	result := wire.ObservedVirtualServer{
		Key: wireKey(service.ServiceKey), Scheduler: service.Scheduler, SchedulerFlags: ipvs.SchedulerFlagNames(service.Scheduler, service.Flags),
		OnePacket: service.Flags&ipvs.FlagOnePacket != 0, RealServers: []wire.ObservedRealServer{},
	}
	if service.Flags&ipvs.FlagPersistent != 0 {
		result.Persistence = &wire.Persistence{TimeoutSeconds: int64(service.Timeout), PrefixLength: int64(service.PrefixLength), Engine: service.PersistenceEngine}
	}
	if withStats {
		result.Stats = stats(service.Stats)
	}
	for _, destination := range virtualServer.Destinations {
		described := wire.ObservedRealServer{
			RealServer: wire.RealServer{
				Address: destination.Address.String(), Port: int64(destination.Port), Weight: int64(destination.Weight),
				ForwardingMethod: destination.ForwardingMethod.String(),
				UpperThreshold:   int64(destination.UpperThreshold), LowerThreshold: int64(destination.LowerThreshold),
				Tunnel: wireTunnel(destination),
			},
			ActiveConnections: destination.Connections.Active, InactiveConnections: destination.Connections.Inactive,
			PersistentConnections: destination.Connections.Persistent,
		}
		if withStats {
			described.Stats = stats(destination.Stats)
		}
		result.RealServers = append(result.RealServers, described)
	}
	return result
}

func wireTunnel(destination ipvs.Destination) wire.Tunnel {
	if destination.ForwardingMethod != ipvs.Tunneling {
		return wire.Tunnel{}
	}
	tunnel := destination.Tunnel
	return wire.Tunnel{Type: tunnel.Type.String(), Port: int64(tunnel.Port), Checksum: tunnel.Flags&ipvs.TunnelChecksum != 0,
		RemoteChecksum: tunnel.Flags&ipvs.TunnelRemoteChecksum != 0}
}

func stats(counted ipvs.Stats) *wire.Stats {
	return &wire.Stats{Connections: counted.Connections, InPackets: counted.InPackets, OutPackets: counted.OutPackets,
		InBytes: counted.InBytes, OutBytes: counted.OutBytes,
		ConnectionsPerSecond: counted.ConnectionsPerSecond, InPacketsPerSecond: counted.InPacketsPerSecond,
		OutPacketsPerSecond: counted.OutPacketsPerSecond, InBytesPerSecond: counted.InBytesPerSecond, OutBytesPerSecond: counted.OutBytesPerSecond}
}
