package apply

import (
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// outcome is what became of a plan's changes.
type outcome struct {
	// planned are all of them. As long as nothing has failed, done are the first of these, and not copies: there may be tens of thousands.
	planned []plan.Change
	done    []plan.Change
	errors  []wire.Error
	// unknown are changes whose acknowledgement was lost; reading back tells whether they were made.
	unknown []plan.Change
	// again is set when reading and planning anew may repair what failed.
	again bool
	// foreignKeys and foreignAddresses were there already when we wanted to make them: someone else's.
	foreignKeys      []ipvs.ServiceKey
	foreignAddresses []address.Assigned
	// announced are those that the neighbours were told of, or cannot be told of.
	announced []address.Assigned
	// unrouted are ranges whose local route could not be added.
	unrouted []netip.Prefix
}

// execute carries out the changes phase by phase: a phase begins when the one before it is answered. A failure does not
// stop the others, but for changes that make no sense without the one that failed.
func (e *Engine) execute(changes []plan.Change, existing map[ipvs.ServiceKey]table.VirtualServer) outcome {
	result := outcome{planned: changes}
	unborn := map[ipvs.ServiceKey]bool{}
	for start := 0; start < len(changes); {
		end := start
		for end < len(changes) && changes[end].Phase == changes[start].Phase {
			end++
		}
		switch phase := changes[start:end:end]; phase[0].Phase {
		case plan.PhaseAddAddresses, plan.PhaseDeleteAddresses:
			e.executeAddresses(phase, barren(changes, unborn, existing), &result)
		default:
			e.executeServers(phase, unborn, &result)
		}
		start = end
	}
	return result
}

func (e *Engine) executeServers(phase []plan.Change, unborn map[ipvs.ServiceKey]bool, result *outcome) {
	operations := make([]ipvs.Operation, 0, min(operationsAtOnce, len(phase)))
	for slice := range slices.Chunk(phase, operationsAtOnce) {
		operations = operations[:len(slice)]
		for index := range slice {
			change := &slice[index]
			operations[index] = ipvs.Operation{Kind: operationOf[change.Kind], Service: change.Service, Destination: change.Destination}
		}
		e.executeSlice(slice, operations, unborn, result)
	}
}

// operationsAtOnce bounds the memory that a full load takes.
const operationsAtOnce = 1024

func (e *Engine) executeSlice(phase []plan.Change, operations []ipvs.Operation, unborn map[ipvs.ServiceKey]bool, result *outcome) {
	for index, err := range e.IPVS.Execute(operations) {
		if err == nil {
			result.did(&phase[index])
			continue
		}
		change := phase[index]
		key := change.Service.ServiceKey
		switch {
		case change.Kind == plan.AddRealServer && unborn[key]:
			// its virtual server was refused, which is reported
		default:
			if change.Kind == plan.AddVirtualServer && !errors.Is(err, ipvs.ErrOutcomeUnknown) {
				unborn[key] = true
				if errors.Is(err, unix.EEXIST) {
					result.foreignKeys = append(result.foreignKeys, key)
				}
			}
			result.fail(change, err)
		}
	}
}

var operationOf = map[plan.Kind]ipvs.OperationKind{
	plan.AddVirtualServer:    ipvs.NewService,
	plan.EditVirtualServer:   ipvs.SetService,
	plan.DeleteVirtualServer: ipvs.DeleteService,
	plan.AddRealServer:       ipvs.NewDestination,
	plan.EditRealServer:      ipvs.SetDestination,
	plan.DeleteRealServer:    ipvs.DeleteDestination,
	plan.DrainRealServer:     ipvs.SetDestination,
	plan.UndrainRealServer:   ipvs.SetDestination,
}

// barren are VIPs that must not go up, because every virtual server that should be behind them was refused.
func barren(changes []plan.Change, unborn map[ipvs.ServiceKey]bool, existing map[ipvs.ServiceKey]table.VirtualServer) map[netip.Addr]bool {
	result := map[netip.Addr]bool{}
	for key := range unborn {
		result[key.Address] = true
	}
	if len(result) == 0 {
		return result
	}
	for key := range existing {
		delete(result, key.Address)
	}
	for _, change := range changes {
		if change.Kind == plan.AddVirtualServer && !unborn[change.Service.ServiceKey] {
			delete(result, change.Service.Address)
		}
	}
	return result
}

// addressesAtOnce go up before the first of them is announced.
const addressesAtOnce = 64

func (e *Engine) executeAddresses(phase []plan.Change, barren map[netip.Addr]bool, result *outcome) {
	execute, skip := e.addAddresses, func(vip netip.Addr) bool { return barren[vip] }
	if phase[0].Kind == plan.DeleteAddress {
		execute, skip = e.deleteAddresses, result.isUnrouted
	}
	for slice := range slices.Chunk(phase, addressesAtOnce) {
		wanted := make([]*plan.Change, 0, len(slice))
		for index := range slice {
			if change := &slice[index]; change.Address.IsRoute() || !skip(change.Address.Address) {
				wanted = append(wanted, change)
			}
		}
		execute(wanted, result)
	}
}

// isUnrouted: a VIP that a route was to bring here from now on stays when there is no such route.
func (o *outcome) isUnrouted(vip netip.Addr) bool {
	return slices.ContainsFunc(o.unrouted, func(prefix netip.Prefix) bool { return prefix.Contains(vip) })
}

func (e *Engine) addAddresses(changes []*plan.Change, result *outcome) {
	var up []address.Assigned
	for index, err := range e.Addresses.Add(placesOf(changes)...) {
		change := changes[index]
		result.settle(change, err, unix.EEXIST)
		if errors.Is(err, unix.EEXIST) {
			result.foreignAddresses = append(result.foreignAddresses, change.Address)
		}
		switch {
		case change.Address.IsRoute():
			if err != nil && !errors.Is(err, unix.EEXIST) {
				result.unrouted = append(result.unrouted, change.Address.Prefix())
			}
		case err == nil:
			up = append(up, change.Address)
		case !errors.Is(err, ipvs.ErrOutcomeUnknown): // nothing of ours has gone up
			result.announced = append(result.announced, change.Address)
		}
	}
	e.announce(up, result)
}

func (e *Engine) deleteAddresses(changes []*plan.Change, result *outcome) {
	for index, err := range e.Addresses.Delete(placesOf(changes)...) {
		already := unix.EADDRNOTAVAIL
		if changes[index].Address.IsRoute() {
			already = unix.ESRCH
		}
		result.settle(changes[index], err, already)
	}
}

func placesOf(changes []*plan.Change) []address.Assigned {
	places := make([]address.Assigned, len(changes))
	for index, change := range changes {
		places[index] = change.Address
	}
	return places
}

// did records a change of the plan that was made.
func (o *outcome) did(change *plan.Change) {
	if next := len(o.done); next < len(o.planned) && &o.planned[next] == change {
		o.done = o.planned[: next+1 : next+1]
		return
	}
	o.done = append(o.done, *change)
}

// settle records one answer; the errno already means that there was nothing to do.
func (o *outcome) settle(change *plan.Change, err error, already unix.Errno) {
	switch {
	case err == nil:
		o.did(change)
	case !errors.Is(err, already):
		o.fail(*change, err)
	}
}

func (o *outcome) fail(change plan.Change, err error) {
	o.again = o.again || isTransient(err) || isStale(change, err)
	o.errors = append(o.errors, explain(change, err))
	if errors.Is(err, ipvs.ErrOutcomeUnknown) {
		o.unknown = append(o.unknown, change)
	}
}
