package apply

import (
	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/settings"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// collisionInDrift is the kind of a difference that nobody may repair: something that is not ours is in the way.
const collisionInDrift = "collision"

// compare tells whether the kernel is as the journal says: table and packet rules by their hash, VIPs and settings by looking.
func (e *Engine) compare(j *job, result *wire.ReadResult) *wire.Error {
	if e.Journal == nil || j.memory.unreadable != nil {
		return nil
	}
	var sum table.Sum
	state := packets.State{Rules: map[ipvs.ServiceKey]packets.Rules{}}
	readable := true
	for key, entry := range j.memory.told.Entries {
		if !j.owned.MayWrite(key) {
			continue
		}
		digest, rules, err := entry.Digest()
		if err != nil {
			readable = false
			continue
		}
		sum.Add(digest)
		if !rules.IsZero() {
			state.Rules[key] = rules
		}
	}
	result.JournalHash = hashOf(sum, state)
	agrees := readable && result.JournalHash == result.TableHash
	if agrees {
		missing, err := e.missingAddresses(j)
		if err != nil {
			return failure("read the interfaces", err)
		}
		changes, err := e.driftOfHost(j)
		if err != nil {
			return failure("read the director's settings", err)
		}
		agrees = !missing && len(changes) == 0
	}
	result.Agrees = &agrees
	return nil
}

// missingAddresses reports whether a VIP that the journal knows is not where it shall be.
func (e *Engine) missingAddresses(j *job) (bool, error) {
	places := map[address.Assigned]bool{}
	for vip, name := range j.memory.told.Interfaces() {
		if j.owned.InRange(vip) {
			places[j.owned.Place(name, vip)] = true
		}
	}
	if err := e.observePlaces(&j.seen, places); err != nil {
		return false, err
	}
	for assigned := range places {
		if !j.seen.Addresses[assigned] {
			return true, nil
		}
	}
	return false, nil
}

// drift lists what would have to change so that the kernel becomes as the journal says: the plan of an apply of the journal.
func (e *Engine) drift(j *job, result *wire.ReadResult) *wire.Error {
	if j.memory.unreadable != nil {
		return journalFailure(j.memory.unreadable)
	}
	if e.Journal == nil {
		return &wire.Error{Class: wire.ClassPermanent, Message: "this helper keeps no journal, so that there is nothing to compare the kernel with"}
	}
	differences, unread := e.driftOfTable(j)
	if err := e.observeAddresses(&j.seen, j.request, j.owned); err != nil {
		return failure("read the interfaces", err)
	}
	j.replan()
	planned := j.plan()
	differences = append(differences, describeChanges(planned.Changes)...)
	for _, refusal := range planned.Refusals {
		differences = append(differences, wire.Change{Kind: collisionInDrift, Object: refusal.Key.String(), Sentence: refusal.Message})
	}
	state, err := e.readPackets()
	if err != nil {
		return failure("read the packet rules", err)
	}
	for _, change := range packets.Plan(state, j.around.rules) {
		differences = append(differences, describePackets(change))
	}
	changes, err := e.driftOfHost(j)
	if err != nil {
		return failure("read the director's settings", err)
	}
	for _, change := range changes {
		differences = append(differences, describeSetting(change))
	}
	result.Drift = &differences
	if refusal := e.compare(j, result); refusal != nil {
		return refusal
	}
	agrees := len(differences) == 0 && !unread && !state.Damaged
	result.Agrees = &agrees
	return nil
}

// driftOfTable makes a request of the journal's entries; those that cannot be read are differences of their own.
func (e *Engine) driftOfTable(j *job) (differences []wire.Change, unread bool) {
	differences = []wire.Change{}
	j.request.Interfaces = j.memory.told.Interfaces()
	j.around.rules = map[ipvs.ServiceKey]packets.Rules{}
	for _, key := range j.memory.told.Keys() {
		if !j.owned.MayWrite(key) {
			continue
		}
		virtualServer, rules, err := j.memory.told.Entries[key].VirtualServer()
		if err != nil {
			unread = true
			differences = append(differences, wire.Change{Kind: collisionInDrift, Object: key.String(), Sentence: err.Error()})
			continue
		}
		j.request.Desired = append(j.request.Desired, virtualServer)
		j.around.rules[key] = rules
	}
	return differences, unread
}

func (e *Engine) driftOfHost(j *job) ([]settings.Change, error) {
	if j.memory.told.Host == nil {
		return nil, nil
	}
	wanted, _ := settings.Parse(*j.memory.told.Host)
	seen, _, err := e.observeSettings(wanted)
	if err != nil {
		return nil, err
	}
	return settings.Plan(wanted, seen), nil
}
