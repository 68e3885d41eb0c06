package plan

import (
	"maps"
	"net/netip"
	"slices"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
)

// Place is where a VIP shall be: an address of the interface, or the route of the range that it lies in.
func (o Ownership) Place(interfaceName string, vip netip.Addr) address.Assigned {
	for _, prefix := range o.LocalPrefixes {
		if prefix.Contains(vip) {
			return address.Assigned{Interface: interfaceName, Address: prefix.Addr(), Bits: uint8(prefix.Bits())}
		}
	}
	return address.Assigned{Interface: interfaceName, Address: vip}
}

// planAddresses gives every VIP of a desired virtual server to the interface, and takes a VIP that we added away when
// nothing of ours is behind it any more, or when it is to be in another place. A local route counts as all VIPs in it.
func (p *planner) planAddresses() {
	wanted := map[netip.Addr]bool{}
	places := map[address.Assigned]bool{}
	for key := range p.desired {
		if key.FirewallMark == 0 { // how packets with a mark get here is the host's matter
			wanted[key.Address] = true
			places[p.owned.Place(p.request.InterfaceOf(key.Address), key.Address)] = true
		}
	}
	for _, assigned := range slices.SortedFunc(maps.Keys(places), address.Assigned.Compare) {
		if !p.observed.Addresses[assigned] {
			p.add(Change{Kind: AddAddress, Phase: PhaseAddAddresses, Address: assigned})
		}
	}
	touched := p.touchedAddresses()
	// Of the VIPs that are in use but not looked at, nobody has said where they shall be: they stay where they are.
	used := p.usedAddresses(wanted)
	maps.DeleteFunc(used, func(vip netip.Addr, _ bool) bool { return wanted[vip] })
	for _, assigned := range slices.SortedFunc(maps.Keys(p.owned.Addresses), address.Assigned.Compare) {
		inScope := p.owned.InRange(assigned.Address) && (p.request.All || coversAny(assigned, touched))
		if inScope && p.observed.Addresses[assigned] && !places[assigned] && !coversAny(assigned, used) {
			p.add(Change{Kind: DeleteAddress, Phase: PhaseDeleteAddresses, Address: assigned})
		}
	}
}

// coversAny reports whether one of the addresses is the VIP, or lies in the range.
func coversAny(assigned address.Assigned, addresses map[netip.Addr]bool) bool {
	if !assigned.IsRoute() {
		return addresses[assigned.Address]
	}
	prefix := assigned.Prefix()
	for vip := range addresses {
		if prefix.Contains(vip) {
			return true
		}
	}
	return false
}

// touchedAddresses are those of the listed keys: with scope listed nothing else is looked at.
func (p *planner) touchedAddresses() map[netip.Addr]bool {
	touched := map[netip.Addr]bool{}
	for _, virtualServer := range p.request.Desired {
		touched[virtualServer.Address] = true
	}
	for _, key := range p.request.Absent {
		touched[key.Address] = true
	}
	return touched
}

// usedAddresses are those with a virtual server of ours that stays. Of keys that the request does not look at, the ledger's
// word counts.
func (p *planner) usedAddresses(wanted map[netip.Addr]bool) map[netip.Addr]bool {
	used := maps.Clone(wanted)
	listed := map[ipvs.ServiceKey]bool{}
	for _, virtualServer := range p.request.Desired {
		listed[virtualServer.ServiceKey] = true
	}
	for _, key := range p.request.Absent {
		listed[key] = true
	}
	for key := range p.owned.Keys {
		if p.deleted[key] || used[key.Address] {
			continue
		}
		_, exists := p.observed.VirtualServers[key]
		if exists || !p.request.All && !listed[key] {
			used[key.Address] = true
		}
	}
	return used
}
