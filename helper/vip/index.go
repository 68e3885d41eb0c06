// Package vip finds what an owner has made by the VIP that it belongs to, so that a request about few virtual servers looks at
// few, however large the table is. Pure.
package vip

import (
	"maps"
	"net/netip"
	"slices"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
)

// Index holds keys and addresses; each at most once. Firewall marks have no VIP and are left out.
type Index struct {
	keys   map[netip.Addr][]ipvs.ServiceKey
	places map[netip.Addr][]address.Assigned
	routes []address.Assigned
}

// NewIndex of keys and addresses.
func NewIndex(keys map[ipvs.ServiceKey]bool, addresses map[address.Assigned]bool) *Index {
	index := &Index{keys: map[netip.Addr][]ipvs.ServiceKey{}, places: map[netip.Addr][]address.Assigned{}}
	for key := range keys {
		index.AddKey(key)
	}
	for assigned := range addresses {
		index.AddAddress(assigned)
	}
	return index
}

// Clone shares nothing with the index.
func (i *Index) Clone() *Index {
	clone := &Index{keys: maps.Clone(i.keys), places: maps.Clone(i.places), routes: slices.Clone(i.routes)}
	for vip, keys := range clone.keys {
		clone.keys[vip] = slices.Clone(keys)
	}
	for vip, places := range clone.places {
		clone.places[vip] = slices.Clone(places)
	}
	return clone
}

// Keys are those of the VIP's virtual servers.
func (i *Index) Keys(vip netip.Addr) []ipvs.ServiceKey { return i.keys[vip] }

// Places are where the VIP was put: one for each interface.
func (i *Index) Places(vip netip.Addr) []address.Assigned { return i.places[vip] }

// Routes are the ranges that local routes bring here.
func (i *Index) Routes() []address.Assigned { return i.routes }

// Within are the VIPs of virtual servers in a range. It looks at the VIPs of the whole table.
func (i *Index) Within(prefix netip.Prefix) []netip.Addr {
	var vips []netip.Addr
	for vip := range i.keys {
		if prefix.Contains(vip) {
			vips = append(vips, vip)
		}
	}
	return vips
}

// AddKey that is not there yet.
func (i *Index) AddKey(key ipvs.ServiceKey) {
	if key.FirewallMark == 0 {
		i.keys[key.Address] = append(i.keys[key.Address], key)
	}
}

// RemoveKey that is there.
func (i *Index) RemoveKey(key ipvs.ServiceKey) {
	if key.FirewallMark == 0 {
		remove(i.keys, key.Address, key)
	}
}

// AddAddress that is not there yet.
func (i *Index) AddAddress(assigned address.Assigned) {
	if assigned.IsRoute() {
		i.routes = append(i.routes, assigned)
		return
	}
	i.places[assigned.Address] = append(i.places[assigned.Address], assigned)
}

// RemoveAddress that is there.
func (i *Index) RemoveAddress(assigned address.Assigned) {
	if assigned.IsRoute() {
		i.routes = slices.DeleteFunc(i.routes, func(other address.Assigned) bool { return other == assigned })
		return
	}
	remove(i.places, assigned.Address, assigned)
}

func remove[T comparable](lists map[netip.Addr][]T, vip netip.Addr, gone T) {
	left := slices.DeleteFunc(lists[vip], func(other T) bool { return other == gone })
	if len(left) == 0 {
		delete(lists, vip)
		return
	}
	lists[vip] = left
}
