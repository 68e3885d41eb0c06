package plan

import (
	"maps"
	"net/netip"
	"slices"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
)

// planAddresses gives every VIP of a desired virtual server to the interface, and takes a VIP that we added away when
// nothing of ours is behind it any more, or when it is to be on another interface.
func (p *planner) planAddresses() {
	wanted := map[netip.Addr]bool{}
	for key := range p.desired {
		if key.FirewallMark == 0 { // how packets with a mark get here is the host's matter
			wanted[key.Address] = true
		}
	}
	for _, vip := range sortedAddresses(wanted) {
		assigned := address.Assigned{Interface: p.request.InterfaceOf(vip), Address: vip}
		if !p.observed.Addresses[assigned] {
			p.add(Change{Kind: AddAddress, Phase: PhaseAddAddresses, Address: assigned})
		}
	}
	touched := p.touchedAddresses()
	used := p.usedAddresses(wanted)
	for _, assigned := range slices.SortedFunc(maps.Keys(p.owned.Addresses), address.Assigned.Compare) {
		inScope := p.owned.InRange(assigned.Address) && (p.request.All || touched[assigned.Address])
		moved := wanted[assigned.Address] && assigned.Interface != p.request.InterfaceOf(assigned.Address)
		if inScope && p.observed.Addresses[assigned] && (moved || !used[assigned.Address]) {
			p.add(Change{Kind: DeleteAddress, Phase: PhaseDeleteAddresses, Address: assigned})
		}
	}
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

func sortedAddresses(addresses map[netip.Addr]bool) []netip.Addr {
	return slices.SortedFunc(maps.Keys(addresses), netip.Addr.Compare)
}
