package apply

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/table"
)

// view is what was read of the kernel in one request, and what does not concern us.
type view struct {
	plan.Observed
	// complete is set when the whole table was read; foreign is known then.
	complete bool
	foreign  []ipvs.ServiceKey
}

// observeKeys reads the named virtual servers and nothing else.
func (e *Engine) observeKeys(keys []ipvs.ServiceKey) (view, error) {
	seen := view{Observed: plan.Observed{VirtualServers: map[ipvs.ServiceKey]table.VirtualServer{}, Addresses: map[address.Assigned]bool{}}}
	return seen, e.refresh(&seen, keys)
}

// refresh reads the named virtual servers anew.
func (e *Engine) refresh(seen *view, keys []ipvs.ServiceKey) error {
	return e.refreshWith(seen, keys, nil)
}

// refreshWith is refresh with virtual servers that have been read just now; what is not among them is asked for, because the
// dump they come from may have missed some (dataplane 1.4).
func (e *Engine) refreshWith(seen *view, keys []ipvs.ServiceKey, services map[ipvs.ServiceKey]ipvs.Service) error {
	for _, key := range keys {
		service, known := services[key]
		if !known {
			var err error
			service, err = e.service(key)
			if errors.Is(err, unix.ESRCH) {
				delete(seen.VirtualServers, key)
				continue
			}
			if err != nil {
				return err
			}
		}
		destinations, err := e.destinations(key)
		if err != nil {
			return err
		}
		seen.VirtualServers[key] = table.Keep(service, destinations)
	}
	return nil
}

// refreshMany reads all virtual servers in one go instead of one by one: for a request that has read the whole table anyway.
func (e *Engine) refreshMany(seen *view, keys []ipvs.ServiceKey) error {
	dumped, err := e.services()
	if err != nil {
		return err
	}
	if len(seen.VirtualServers) == 0 {
		seen.VirtualServers = make(map[ipvs.ServiceKey]table.VirtualServer, len(keys))
	}
	services := make(map[ipvs.ServiceKey]ipvs.Service, len(dumped))
	for _, service := range dumped {
		services[service.ServiceKey] = service
	}
	return e.refreshWith(seen, keys, services)
}

// observeAll reads the whole table; of foreign virtual servers only the keys.
func (e *Engine) observeAll(owned plan.Ownership) (view, error) {
	seen := view{complete: true, Observed: plan.Observed{VirtualServers: map[ipvs.ServiceKey]table.VirtualServer{}, Addresses: map[address.Assigned]bool{}}}
	services, err := e.services()
	if err != nil {
		return view{}, err
	}
	for _, service := range services {
		if !owned.Owns(service.ServiceKey) && !owned.IsOrphan(service.ServiceKey) {
			seen.foreign = append(seen.foreign, service.ServiceKey)
			continue
		}
		destinations, err := e.destinations(service.ServiceKey)
		if err != nil {
			return view{}, err
		}
		seen.VirtualServers[service.ServiceKey] = table.Keep(service, destinations)
	}
	return seen, e.refresh(&seen, missed(seen.VirtualServers, owned))
}

// missed are virtual servers of ours that a list of all did not have: they are gone, or someone else has deleted another one while the
// kernel wrote the list, whose place in it is a position only.
func missed(listed map[ipvs.ServiceKey]table.VirtualServer, owned plan.Ownership) []ipvs.ServiceKey {
	var keys []ipvs.ServiceKey
	for key := range owned.Keys {
		if _, exists := listed[key]; !exists && owned.MayWrite(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// observeAddresses asks for the VIPs in question: on the interface that carries VIPs now, and where we once put them.
func (e *Engine) observeAddresses(seen *view, request plan.Request, owned plan.Ownership) error {
	places := map[address.Assigned]bool{}
	for _, virtualServer := range request.Desired {
		if virtualServer.FirewallMark == 0 {
			places[owned.Place(request.InterfaceOf(virtualServer.Address), virtualServer.Address)] = true
		}
	}
	for _, assigned := range addressesOf(owned, request.All, addressed(request)) {
		places[assigned] = true
	}
	return e.observePlaces(seen, places)
}

// addressed are the VIPs that a request gives or takes away. What it only adopts or removes as someone else's is not among them.
func addressed(request plan.Request) []netip.Addr {
	var vips []netip.Addr
	for index := range request.Desired {
		if request.Desired[index].FirewallMark == 0 {
			vips = append(vips, request.Desired[index].Address)
		}
	}
	for _, key := range request.Absent {
		vips = append(vips, key.Address)
	}
	return vips
}

// addressesOf are the addresses of ours that a request looks at: all of them, or those of its VIPs and every route.
func addressesOf(owned plan.Ownership, all bool, vips []netip.Addr) []address.Assigned {
	if all {
		return slices.Collect(maps.Keys(owned.Addresses))
	}
	addresses := slices.Clone(owned.ByVIP.Routes())
	for _, vip := range vips {
		addresses = append(addresses, owned.ByVIP.Places(vip)...)
	}
	return addresses
}

// observePlaces asks which of the addresses and local routes are there.
func (e *Engine) observePlaces(seen *view, places map[address.Assigned]bool) error {
	addresses, ranges := map[string][]netip.Addr{}, map[string][]netip.Prefix{}
	for assigned := range places {
		delete(seen.Addresses, assigned)
		if assigned.IsRoute() {
			ranges[assigned.Interface] = append(ranges[assigned.Interface], assigned.Prefix())
		} else {
			addresses[assigned.Interface] = append(addresses[assigned.Interface], assigned.Address)
		}
	}
	for interfaceName, asked := range addresses {
		var held map[netip.Addr]bool
		err := listed(func() (err error) { held, err = e.Addresses.Held(interfaceName, asked); return err })
		if err != nil && !errors.Is(err, unix.ENODEV) { // a missing interface holds nothing; adding to it fails with a reason
			return err
		}
		for vip := range held {
			seen.Addresses[address.Assigned{Interface: interfaceName, Address: vip}] = true
		}
	}
	for interfaceName, asked := range ranges {
		var held map[netip.Prefix]bool
		err := listed(func() (err error) { held, err = e.Addresses.LocalRoutes(interfaceName, asked); return err })
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return err
		}
		for prefix := range held {
			seen.Addresses[address.Assigned{Interface: interfaceName, Address: prefix.Addr(), Bits: uint8(prefix.Bits())}] = true
		}
	}
	return nil
}
