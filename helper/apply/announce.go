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

// announce tells the neighbours of a VIP that has gone up.
func (e *Engine) announce(assigned address.Assigned, result *outcome) {
	result.announced = append(result.announced, assigned)
	err := e.Addresses.Announce(assigned)
	if err == nil {
		return
	}
	refusal := explain(plan.Change{Kind: plan.AddAddress, Address: assigned}, err)
	refusal.Class = wire.ClassPermanent
	refusal.Message = "announce address " + assigned.String() + ": " + describe(err) +
		"; neighbours may send to the old place until their caches expire; give the helper cap_net_raw"
	result.errors = append(result.errors, refusal)
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
			e.announce(assigned, result)
		case err == nil || errors.Is(err, unix.ENODEV): // it did not come to be
			result.announced = append(result.announced, assigned)
		}
	}
}
