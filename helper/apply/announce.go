package apply

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/wire"
)

// announce tells the neighbours of VIPs that have gone up.
func (e *Engine) announce(up []address.Assigned, result *outcome) {
	result.announced = append(result.announced, up...)
	for index, err := range e.Addresses.Announce(up...) {
		if err == nil {
			continue
		}
		refusal := explain(plan.Change{Kind: plan.AddAddress, Address: up[index]}, err)
		refusal.Class = wire.ClassPermanent
		refusal.Message = "announce address " + up[index].String() + ": " + describe(err) +
			"; neighbours may send to the old place until their caches expire; give the helper cap_net_raw"
		result.errors = append(result.errors, refusal)
	}
}

// announceLeft announces VIPs that went up and of which nobody was told: the acknowledgement was lost, or an earlier helper was
// interrupted in between. They are there, so that no plan adds them again.
func (e *Engine) announceLeft(j *job, result *outcome) {
	for _, assigned := range slices.SortedFunc(maps.Keys(j.unannounced), address.Assigned.Compare) {
		if slices.Contains(result.announced, assigned) {
			continue
		}
		held, err := e.Addresses.Held(assigned.Interface, []netip.Addr{assigned.Address})
		switch {
		case err == nil && held[assigned.Address]:
			e.announce([]address.Assigned{assigned}, result)
		case err == nil || errors.Is(err, unix.ENODEV): // it did not come to be
			result.announced = append(result.announced, assigned)
		}
	}
}
