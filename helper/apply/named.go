package apply

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"ipvs-operator.io/helper/desired"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// adoptVirtualServer is the kind of a change that only the ledger sees: an orphan becomes ours as it stands.
const adoptVirtualServer = "adoptVirtualServer"

// parseNamed reads the orphans that are to be adopted or removed. Naming a firewall mark makes it one that can be.
func (j *job) parseNamed(times map[wire.Key]int) {
	j.owned.Named = map[ipvs.ServiceKey]bool{}
	j.nameMarksOfJournal()
	for _, sent := range j.sent.Adopt {
		if key, valid := j.parseName(sent); valid && !slices.Contains(j.memory.adopt, key) {
			switch {
			case slices.Contains(j.sent.Absent, sent) || slices.Contains(j.sent.Remove, sent):
				j.reject(sent, wire.ClassObject, errors.New("it is to be adopted and to go"))
				j.request.Absent = slices.DeleteFunc(j.request.Absent, func(other ipvs.ServiceKey) bool { return other == key })
			case j.request.All && times[sent] == 0:
				j.reject(sent, wire.ClassObject, errors.New("it would be adopted and, with scope all, deleted at once: list it in virtualServers, or name it in remove"))
			default:
				j.memory.adopt = append(j.memory.adopt, key)
			}
		}
	}
	for _, sent := range j.sent.Remove {
		key, valid := j.parseName(sent)
		switch {
		case !valid || slices.Contains(j.sent.Adopt, sent):
		case times[sent] > 1:
			j.reject(sent, wire.ClassObject, errors.New("it is listed more than once"))
		default:
			j.request.Remove = append(j.request.Remove, key)
		}
	}
}

func (j *job) parseName(sent wire.Key) (ipvs.ServiceKey, bool) {
	key, err := desired.ParseKey(sent)
	if err != nil {
		j.reject(sent, wire.ClassObject, err)
		return key, false
	}
	// Not only the range counts: to an owner of other ports, what this one has in the same range looks like an orphan.
	if err := j.grant.CheckKey(key); err != nil {
		j.reject(sent, wire.ClassPolicy, err)
		return key, false
	}
	if key.FirewallMark != 0 {
		j.owned.Named[key] = true
	}
	return key, true
}

// nameMarksOfJournal: the journal names the firewall marks that were ours, should the ledger be lost.
func (j *job) nameMarksOfJournal() {
	if !j.request.All {
		for _, key := range j.keys() {
			if _, known := j.memory.told.Entries[key]; known && key.FirewallMark != 0 {
				j.owned.Named[key] = true
			}
		}
		return
	}
	for key := range j.memory.told.Entries {
		if key.FirewallMark != 0 {
			j.owned.Named[key] = true
		}
	}
}

// takeOver makes ours what was named to be adopted, and what the journal knows exactly as it is: the ledger was lost then, not the
// virtual server. In memory only; remember records it.
func (j *job) takeOver() {
	for key, virtualServer := range j.seen.VirtualServers {
		if j.owned.IsOrphan(key) && j.isTold(virtualServer) {
			j.take(key)
		}
	}
	for _, key := range slices.SortedFunc(slices.Values(j.memory.adopt), ipvs.ServiceKey.Compare) {
		if j.owned.Owns(key) {
			continue
		}
		if class, err := j.checkAdoption(key); err != nil {
			j.memory.adopt = slices.DeleteFunc(j.memory.adopt, func(other ipvs.ServiceKey) bool { return other == key })
			j.reject(wireKey(key), class, err)
			continue
		}
		j.take(key)
		j.around.before = append(j.around.before, wire.Change{Kind: adoptVirtualServer, Object: key.String(),
			Sentence: fmt.Sprintf("adopt virtual server %s, as it stands, for owner %s", key, j.grant.Owner)})
	}
	j.replan()
	j.request.Remove = slices.DeleteFunc(j.request.Remove, func(key ipvs.ServiceKey) bool {
		if j.owned.Owns(key) {
			j.reject(wireKey(key), wire.ClassObject, fmt.Errorf("it was made by owner %s and is no orphan: name it in absent", j.grant.Owner))
		}
		return j.owned.Owns(key)
	})
}

func (j *job) take(key ipvs.ServiceKey) {
	j.replan()
	if len(j.memory.taken) == 0 {
		j.owned.Keys, j.owned.ByVIP = maps.Clone(j.owned.Keys), j.owned.ByVIP.Clone() // the ledger's own
	}
	j.owned.Keys[key] = true
	j.owned.ByVIP.AddKey(key)
	j.memory.taken = append(j.memory.taken, key)
}

// isTold reports whether a virtual server is as the journal has it.
func (j *job) isTold(virtualServer table.VirtualServer) bool {
	entry, known := j.memory.told.Entries[virtualServer.ServiceKey]
	if !known {
		return false
	}
	told, _, err := entry.VirtualServer()
	return err == nil && table.Same(told, virtualServer)
}

// checkAdoption: what is adopted as it stands must be something that could have been asked for.
func (j *job) checkAdoption(key ipvs.ServiceKey) (wire.Class, error) {
	existing, exists := j.seen.VirtualServers[key]
	if !exists {
		return wire.ClassObject, errors.New("there is no such virtual server to adopt")
	}
	if most := j.limits.VirtualServers; most > 0 && len(j.owned.Keys) >= most {
		return wire.ClassPolicy, fmt.Errorf("policy rule owners.%s.maxVirtualServers (%d) forbids one more virtual server", j.grant.Owner, most)
	}
	if slices.ContainsFunc(j.request.Desired, func(wanted table.VirtualServer) bool { return wanted.ServiceKey == key }) {
		return "", nil // it becomes as listed
	}
	if _, err := desired.Parse(sentForm(existing)); err != nil {
		return wire.ClassObject, fmt.Errorf("it cannot be adopted as it stands, because nobody could ask for it: %w; list in virtualServers what it shall be", err)
	}
	return wire.ClassPolicy, j.grant.Check(existing)
}
