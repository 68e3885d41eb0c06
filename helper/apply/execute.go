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
	// homeless are VIPs, and ranges of them, whose new place could not be had.
	homeless []netip.Prefix
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
	writer := serverWriter{kernel: e.IPVS, operations: make([]ipvs.Operation, 0, min(operationsAtOnce, len(phase)))}
	for slice := range slices.Chunk(phase, operationsAtOnce) {
		for index, err := range writer.write(slice, unborn) {
			change := &slice[index]
			key := change.Service.ServiceKey
			switch {
			case change.Kind == plan.AddRealServer && unborn[key]:
				// its virtual server was refused, which is reported
			case err == nil:
				result.did(change)
			default:
				if change.Kind == plan.AddVirtualServer && errors.Is(err, unix.EEXIST) {
					result.foreignKeys = append(result.foreignKeys, key)
				}
				result.fail(*change, err)
			}
		}
	}
}

// operationsAtOnce bounds the memory that a full load takes.
const operationsAtOnce = 1024

// serverWriter writes a slice of a phase, its memory used again for the next.
type serverWriter struct {
	kernel     ipvs.Kernel
	operations []ipvs.Operation
	results    []error
}

// write adds virtual servers before anything else: one that exists already is someone else's, and nothing is to be put into it. The results
// are in the order of the changes; of real servers whose virtual server is unborn they say nothing.
func (w *serverWriter) write(changes []plan.Change, unborn map[ipvs.ServiceKey]bool) []error {
	w.results = append(w.results[:0], make([]error, len(changes))...)
	w.writeThose(changes, func(change *plan.Change) bool { return change.Kind == plan.AddVirtualServer })
	for index := range changes {
		if err := w.results[index]; err != nil && !errors.Is(err, ipvs.ErrOutcomeUnknown) {
			unborn[changes[index].Service.ServiceKey] = true
		}
	}
	w.writeThose(changes, func(change *plan.Change) bool {
		return change.Kind != plan.AddVirtualServer && (change.Kind != plan.AddRealServer || len(unborn) == 0 || !unborn[change.Service.ServiceKey])
	})
	return w.results
}

func (w *serverWriter) writeThose(changes []plan.Change, chosen func(*plan.Change) bool) {
	w.operations = w.operations[:0]
	for index := range changes {
		if change := &changes[index]; chosen(change) {
			w.operations = append(w.operations, ipvs.Operation{Kind: operationOf[change.Kind], Service: change.Service, Destination: change.Destination})
		}
	}
	if len(w.operations) == 0 {
		return
	}
	results := w.kernel.Execute(w.operations)
	for index := range changes {
		if chosen(&changes[index]) {
			w.results[index], results = results[0], results[1:]
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
	execute, skip := e.addAddresses, func(assigned address.Assigned) bool { return !assigned.IsRoute() && barren[assigned.Address] }
	if phase[0].Kind == plan.DeleteAddress {
		execute, skip = e.deleteAddresses, func(assigned address.Assigned) bool { return isHomeless(result.homeless, assigned) }
	}
	for slice := range slices.Chunk(phase, addressesAtOnce) {
		wanted := make([]*plan.Change, 0, len(slice))
		for index := range slice {
			if change := &slice[index]; !skip(change.Address) {
				wanted = append(wanted, change)
			}
		}
		execute(wanted, result)
	}
}

// isHomeless: an address, or a route, stays where a VIP of it has no other place to be in from now on.
func isHomeless(homeless []netip.Prefix, assigned address.Assigned) bool {
	return slices.ContainsFunc(homeless, assigned.Prefix().Overlaps)
}

func (e *Engine) addAddresses(changes []*plan.Change, result *outcome) {
	var up []address.Assigned
	for index, err := range e.Addresses.Add(placesOf(changes)...) {
		change := changes[index]
		result.settle(change, err, unix.EEXIST)
		if errors.Is(err, unix.EEXIST) {
			result.foreignAddresses = append(result.foreignAddresses, change.Address)
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			result.homeless = append(result.homeless, change.Address.Prefix())
		}
		switch {
		case change.Address.IsRoute():
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
