package apply

import (
	"fmt"
	"slices"

	"ipvs-operator.io/helper/desired"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/wire"
)

// answer compares what was read back with what was asked for: whatever a fresh plan would still change has failed.
func (e *Engine) answer(j *job) (wire.ApplyResult, *wire.Error) {
	left := j.plan()
	result := j.result(left)
	result.Errors = append(result.Errors, j.errors...)
	result.Errors = append(result.Errors, j.unexplained(left.Changes, result.Errors)...)
	for _, change := range left.Changes {
		result.Failed = appendNew(result.Failed, j.keysOf(change)...)
	}
	result.Changes = describeChanges(j.changes)
	result.Writes = len(j.changes)
	return e.complete(j, result)
}

// answerDryRun tells what would be done.
func (e *Engine) answerDryRun(j *job) (wire.ApplyResult, *wire.Error) {
	planned := j.plan()
	result := j.result(planned)
	result.Changes = describeChanges(planned.Changes)
	return e.complete(j, result)
}

// result starts an answer with what was refused before anything was written.
func (j *job) result(planned plan.Plan) wire.ApplyResult {
	result := wire.ApplyResult{Changes: []wire.Change{}, Errors: []wire.Error{}, Failed: []wire.Key{}}
	result.Errors = append(result.Errors, j.refused...)
	result.Failed = append(result.Failed, j.bad...)
	for _, refusal := range planned.Refusals {
		class := wire.ClassPolicy
		if refusal.Collision {
			class = wire.ClassCollision
		}
		result.Errors = append(result.Errors, wire.Error{Class: class, Message: refusal.Message, Object: refusal.Key.String()})
		result.Failed = appendNew(result.Failed, wireKey(refusal.Key))
	}
	return result
}

func (e *Engine) complete(j *job, result wire.ApplyResult) (wire.ApplyResult, *wire.Error) {
	if err := e.tally.update(e, j); err != nil {
		return wire.ApplyResult{}, failure("read the kernel's table", err)
	}
	record, err := e.Ledger.Read()
	if err != nil {
		return wire.ApplyResult{}, failure("read the ledger", err)
	}
	j.around.complete(&result)
	result.TotalWrites = record.TotalWrites
	if result.TableHash, err = e.tableHash(); err != nil {
		return wire.ApplyResult{}, failure("read the packet rules", err)
	}
	result.Counts = e.tally.counts()
	return result, nil
}

// unexplained finds what the kernel acknowledged and did not keep. A VIP that is missing because everything behind it was
// refused is explained by that.
func (j *job) unexplained(left []plan.Change, errors []wire.Error) []wire.Error {
	explained := map[string]bool{}
	for _, err := range errors {
		explained[err.Object] = true
	}
	var result []wire.Error
	for _, change := range left {
		object := change.Object()
		known := explained[object] || slices.ContainsFunc(j.keysOf(change), func(key wire.Key) bool { return explained[desired.Describe(key)] })
		if known || change.Kind == plan.DeleteAddress && isHomeless(j.homeless, change.Address) {
			continue
		}
		explained[object] = true
		if lostTunnel(change) {
			result = append(result, wire.Error{Class: wire.ClassPermanent, Object: object,
				Message: fmt.Sprintf("%s: the director's kernel keeps no tunnel type and made ipip of it: use ipip, or a kernel that knows gue (from 5.2) and gre (from 5.3)", change.Sentence())})
			continue
		}
		result = append(result, wire.Error{Class: wire.ClassRetry, Object: object,
			Message: fmt.Sprintf("%s was read back from the kernel other than it was written; still to do: %s", object, change.Sentence())})
	}
	return result
}

// lostTunnel reports whether a kernel without tunnel types has dropped the type: it ignores attributes that it does not know,
// and reads back as plain ipip.
func lostTunnel(change plan.Change) bool {
	if change.Kind != plan.EditRealServer {
		return false
	}
	before, wanted := change.Before.Destination, change.Destination
	return wanted.ForwardingMethod == ipvs.Tunneling && wanted.Tunnel.Type != ipvs.TunnelIPIP &&
		before.ForwardingMethod == ipvs.Tunneling && before.Tunnel == (ipvs.Tunnel{})
}

// keysOf are the keys that are not as requested as long as the change is not made.
func (j *job) keysOf(change plan.Change) []wire.Key {
	if change.Kind != plan.AddAddress && change.Kind != plan.DeleteAddress {
		return []wire.Key{wireKey(change.Service.ServiceKey)}
	}
	prefix := change.Address.Prefix()
	var keys []wire.Key
	for _, key := range j.keys() {
		if prefix.Contains(key.Address) {
			keys = append(keys, wireKey(key))
		}
	}
	return keys
}

// describeChanges makes one text of all sentences, and cuts it: they are tens of thousands, and live and end together.
func describeChanges(changes []plan.Change) []wire.Change {
	described := make([]wire.Change, len(changes))
	ends := make([]int, len(changes))
	text := make([]byte, 0, sentenceBytes*len(changes))
	object, of := "", plan.Identity{}
	for index := range changes {
		change := &changes[index]
		if identity := change.OfObject(); object == "" || identity != of {
			object, of = change.Object(), identity
		}
		text = change.AppendSentence(text, object)
		described[index], ends[index] = wire.Change{Kind: string(change.Kind), Object: object}, len(text)
	}
	sentences, start := string(text), 0
	for index, end := range ends {
		described[index].Sentence, start = sentences[start:end], end
	}
	return described
}

// sentenceBytes is about what one takes.
const sentenceBytes = 80

func appendNew(keys []wire.Key, more ...wire.Key) []wire.Key {
	for _, key := range more {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func wireKey(key ipvs.ServiceKey) wire.Key { return desired.KeyOf(key) }
