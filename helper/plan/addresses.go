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
	places := map[address.Assigned]bool{}
	for key := range p.desired {
		if key.FirewallMark == 0 { // how packets with a mark get here is the host's matter
			places[p.owned.Place(p.request.InterfaceOf(key.Address), key.Address)] = true
		}
	}
	for _, assigned := range slices.SortedFunc(maps.Keys(places), address.Assigned.Compare) {
		if !p.observed.Addresses[assigned] {
			p.add(Change{Kind: AddAddress, Phase: PhaseAddAddresses, Address: assigned})
		}
	}
	for _, assigned := range p.leavingAddresses(places) {
		p.add(Change{Kind: DeleteAddress, Phase: PhaseDeleteAddresses, Address: assigned})
	}
}

// leavingAddresses are those of ours, in canonical order, that nobody wants where they are. Of the VIPs that are in use but not
// looked at, nobody has said where they shall be: they stay where they are.
func (p *planner) leavingAddresses(places map[address.Assigned]bool) []address.Assigned {
	leaving := slices.DeleteFunc(p.addressesInScope(), func(assigned address.Assigned) bool {
		return places[assigned] || !p.observed.Addresses[assigned] || !p.owned.InRange(assigned.Address)
	})
	if len(leaving) == 0 {
		return nil
	}
	listed, wanted := p.listedKeys(), map[netip.Addr]bool{}
	for key := range p.desired {
		wanted[key.Address] = true
	}
	isUsed := func(vip netip.Addr) bool {
		return !wanted[vip] && slices.ContainsFunc(p.owned.ByVIP.Keys(vip), func(key ipvs.ServiceKey) bool { return p.stays(key, listed) })
	}
	leaving = slices.DeleteFunc(leaving, func(assigned address.Assigned) bool {
		if assigned.IsRoute() {
			return slices.ContainsFunc(p.owned.ByVIP.Within(assigned.Prefix()), isUsed)
		}
		return isUsed(assigned.Address)
	})
	slices.SortFunc(leaving, address.Assigned.Compare)
	return slices.Compact(leaving)
}

// addressesInScope are those of ours that the request may take away: with scope listed, the places of the listed VIPs and the
// routes that serve one of them.
func (p *planner) addressesInScope() []address.Assigned {
	if p.request.All {
		return slices.Collect(maps.Keys(p.owned.Addresses))
	}
	return p.owned.PlacesOf(p.listedVIPs())
}

// PlacesOf are the places of the VIPs, and the routes that serve one of them; some may be there twice.
func (o Ownership) PlacesOf(vips []netip.Addr) []address.Assigned {
	var places []address.Assigned
	for _, vip := range vips {
		places = append(places, o.ByVIP.Places(vip)...)
	}
	for _, route := range o.ByVIP.Routes() {
		if slices.ContainsFunc(vips, route.Prefix().Contains) {
			places = append(places, route)
		}
	}
	return places
}

// listedVIPs may have some twice.
func (p *planner) listedVIPs() []netip.Addr {
	var vips []netip.Addr
	for index := range p.request.Desired {
		vips = append(vips, p.request.Desired[index].Address)
	}
	for _, key := range p.request.Absent {
		vips = append(vips, key.Address)
	}
	return vips
}

func (p *planner) listedKeys() map[ipvs.ServiceKey]bool {
	listed := make(map[ipvs.ServiceKey]bool, len(p.request.Desired)+len(p.request.Absent))
	for index := range p.request.Desired {
		listed[p.request.Desired[index].ServiceKey] = true
	}
	for _, key := range p.request.Absent {
		listed[key] = true
	}
	return listed
}

// stays reports whether a virtual server of ours goes on to exist. Of keys that the request does not look at, the ledger's word counts.
func (p *planner) stays(key ipvs.ServiceKey, listed map[ipvs.ServiceKey]bool) bool {
	_, exists := p.observed.VirtualServers[key]
	return !p.deleted[key] && (exists || !p.request.All && !listed[key])
}
