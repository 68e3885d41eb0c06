package apply

import (
	"slices"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/wire"
)

// converge writes until the plan is empty, or nothing more can be gained by trying.
func (e *Engine) converge(j *job) *wire.Error {
	for round := 1; ; round++ {
		planned := j.plan()
		if err := e.recordIntent(j, planned); err != nil {
			return failure("record the request before writing", err)
		}
		result := e.execute(planned.Changes, j.seen.VirtualServers)
		e.announceLeft(j, &result)
		readError := e.readBack(j, planned.Changes)
		if readError == nil && len(result.unknown) > 0 {
			result.done = append(result.done, made(result.unknown, j.plan().Changes)...)
		}
		j.changes = together(j.changes, result.done)
		j.errors, j.homeless = result.errors, result.homeless
		if err := e.recordOutcome(j, planned.Changes, result, readError == nil); err != nil {
			return failure("record what was written", err)
		}
		if refusal := e.unsay(j, result.foreignKeys); refusal != nil {
			return refusal
		}
		if readError != nil {
			return failure("read back what was written", readError)
		}
		if !result.again || round == maxRounds {
			return nil
		}
	}
}

// together is append without a copy of what may be tens of thousands of changes, when there are none yet.
func together(changes, more []plan.Change) []plan.Change {
	if len(changes) == 0 {
		return more
	}
	return append(changes, more...)
}

// made are the changes that were carried out although their acknowledgement was lost: a fresh plan no longer has them.
func made(unknown, left []plan.Change) []plan.Change {
	still := map[plan.Identity]bool{}
	for _, change := range left {
		still[change.Identity()] = true
	}
	return slices.DeleteFunc(unknown, func(change plan.Change) bool { return still[change.Identity()] })
}

// recordIntent puts what is about to be made into the ledger first: if we die between two writes, what exists is ours.
func (e *Engine) recordIntent(j *job, planned plan.Plan) error {
	delta := ledger.Delta{Fence: j.sent.Fence, AddKeys: planned.Adopted, AddDrains: planned.Draining, RemoveDrains: planned.Returned}
	if len(j.newKeys) == 0 {
		j.newKeys = make(map[ipvs.ServiceKey]bool, min(len(planned.Changes), len(j.request.Desired)))
	}
	for index := range planned.Changes {
		change := &planned.Changes[index]
		switch {
		case change.Kind == plan.AddVirtualServer && !j.owned.Keys[change.Service.ServiceKey]:
			j.newKeys[change.Service.ServiceKey] = true
			delta.AddKeys = append(delta.AddKeys, change.Service.ServiceKey)
		case change.Kind == plan.AddAddress && !j.owned.Addresses[change.Address]:
			j.newAddresses[change.Address] = true
			delta.AddAddresses = append(delta.AddAddresses, change.Address)
		}
		if change.Kind == plan.AddAddress && !change.Address.IsRoute() {
			delta.Announcing = append(delta.Announcing, change.Address)
		}
	}
	return e.record(j, delta)
}

// manyVirtualServers is where reading all virtual servers becomes cheaper than asking for each.
const manyVirtualServers = 16

// readBack reads again whatever a change was about.
func (e *Engine) readBack(j *job, changes []plan.Change) error {
	if len(changes) == 0 {
		return nil
	}
	j.replan()
	known := make(map[ipvs.ServiceKey]bool, len(j.newKeys))
	ordered := make([]ipvs.ServiceKey, 0, len(j.newKeys))
	addressesTouched := false
	for index := range changes {
		change := &changes[index]
		key := change.Service.ServiceKey
		switch {
		case change.Phase == plan.PhaseAddAddresses || change.Phase == plan.PhaseDeleteAddresses:
			addressesTouched = true
		case len(ordered) > 0 && ordered[len(ordered)-1] == key: // as most of a virtual server's changes
		case !known[key]:
			known[key] = true
			ordered = append(ordered, key)
		}
	}
	refresh := e.refresh
	if j.request.All && len(ordered) > manyVirtualServers {
		refresh = e.refreshMany
	}
	if err := refresh(&j.seen, ordered); err != nil {
		return err
	}
	if !addressesTouched {
		return nil
	}
	return e.observeAddresses(&j.seen, j.request, j.owned)
}

// recordOutcome counts the writes and takes out of the ledger what does not exist or turned out to be someone else's.
func (e *Engine) recordOutcome(j *job, changes []plan.Change, result outcome, seenIsFresh bool) error {
	delta := ledger.Delta{Writes: uint64(len(result.done)), Announced: result.announced}
	for _, key := range result.foreignKeys {
		if j.newKeys[key] {
			delta.RemoveKeys = append(delta.RemoveKeys, key)
		}
	}
	for _, assigned := range result.foreignAddresses {
		if j.newAddresses[assigned] {
			delta.RemoveAddresses = append(delta.RemoveAddresses, assigned)
		}
	}
	if seenIsFresh {
		delta.RemoveKeys = append(delta.RemoveKeys, j.vanishedKeys()...)
		delta.RemoveAddresses = append(delta.RemoveAddresses, j.vanishedAddresses()...)
		delta.RemoveDrains = j.endedDrains()
	}
	return e.record(j, delta)
}

// vanishedKeys are those of ours that the request looked at and that do not exist.
func (j *job) vanishedKeys() []ipvs.ServiceKey {
	var vanished []ipvs.ServiceKey
	if j.request.All {
		for key := range j.owned.Keys {
			if _, exists := j.seen.VirtualServers[key]; !exists && j.owned.MayWrite(key) {
				vanished = append(vanished, key)
			}
		}
		return vanished
	}
	for _, key := range j.keys() {
		if _, exists := j.seen.VirtualServers[key]; !exists && j.owned.Keys[key] {
			vanished = append(vanished, key)
		}
	}
	return vanished
}

// vanishedAddresses are those of ours that observeAddresses looked for and did not find.
func (j *job) vanishedAddresses() []address.Assigned {
	return slices.DeleteFunc(addressesOf(j.owned, j.request.All, addressed(j.request)), func(assigned address.Assigned) bool { return j.seen.Addresses[assigned] })
}

// endedDrains are those whose real server is gone, by us or by others.
func (j *job) endedDrains() []drain.Key {
	if len(j.owned.Drains) == 0 {
		return nil
	}
	looked := map[ipvs.ServiceKey]bool{}
	for _, key := range j.looked() {
		looked[key] = true
	}
	var ended []drain.Key
	for key := range j.owned.Drains {
		if !j.request.All && !looked[key.VirtualServer] {
			continue
		}
		if _, exists := j.seen.VirtualServers[key.VirtualServer].Destination(key.RealServer); !exists {
			ended = append(ended, key)
		}
	}
	return ended
}

func (e *Engine) record(j *job, delta ledger.Delta) error {
	record, err := e.Ledger.Write(delta)
	if err != nil {
		return err
	}
	if record.Revision != j.revision {
		j.revision = record.Revision
		j.replan()
	}
	named := j.owned.Named
	j.owned, j.unannounced = ownership(j.grant, record), record.Unannounced
	j.owned.Named = named
	return nil
}
