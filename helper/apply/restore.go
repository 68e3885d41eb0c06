package apply

import (
	"fmt"
	"time"

	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/wire"
)

// Restored is what a restore has done.
type Restored struct {
	// ApplyResult is what a whole restore answers; of one that failed only Writes counts.
	wire.ApplyResult
	// Begun: the kernel may have been written, also when the restore failed. Writes are those that are known of.
	Begun bool
	// Nothing says why there was nothing to do; "" when there was something.
	Nothing string
	// Warning is about the journal's end; "" for none.
	Warning string
	// Fence and Written (RFC 3339) are those of the state that was restored.
	Fence   wire.Fence
	Written string
}

// Restore rebuilds what the journal says and the kernel lacks, within the policy as it is now: virtual servers with their real
// servers first, then the VIPs. It edits and removes nothing, so that on a running director it changes nothing. What is restored
// is ours. The error is set when that was not done, or not all of it; Begun and Writes tell how far it came.
func (e *Engine) Restore() (Restored, *wire.Error) {
	grant, err := e.Policy()
	if err != nil {
		return Restored{}, &wire.Error{Class: wire.ClassPolicy, Message: err.Error()}
	}
	release, err := e.Lock.Acquire()
	if err != nil {
		return Restored{}, lockFailure(err)
	}
	defer release()
	record, err := e.Ledger.Read()
	if err != nil {
		return Restored{}, failure("read the ledger", err)
	}
	told, err := e.told()
	if err != nil {
		return Restored{}, journalFailure(err)
	}
	result := Restored{Warning: e.lostEnd(), Fence: told.Fence, Written: told.Written.UTC().Format(time.RFC3339)}
	switch {
	case told.Written.IsZero():
		result.Nothing = "there is no journal yet: nothing to restore"
		return result, nil
	case told.Fence.Less(record.Fence):
		return Restored{}, &wire.Error{Class: wire.ClassPermanent, Message: "since it booted this director has accepted a newer state than the journal has: nothing is restored; the operator's next full apply puts the journal right"}
	}
	j := newJob(grant, record)
	j.memory.told, j.memory.restoring = told, true
	j.limits = plan.Limits{VirtualServers: grant.MaxVirtualServers}
	e.requestOf(j)
	begun, refusal := e.restore(j)
	if refusal == nil {
		result.ApplyResult, refusal = e.answer(j)
	}
	if refusal != nil {
		return Restored{Begun: begun, ApplyResult: wire.ApplyResult{Writes: j.around.writes + len(j.changes)}}, refusal
	}
	result.Begun = begun
	return result, nil
}

// lostEnd says what is missing at the journal's end.
func (e *Engine) lostEnd() string {
	if e.Journal == nil || e.Journal.Lost() == 0 {
		return ""
	}
	return fmt.Sprintf("the last %d bytes of journal %s are no whole record and are left out: this is the last whole state before them", e.Journal.Lost(), e.Journal.Path())
}

// requestOf makes a request of the journal, held against the policy as it is now.
func (e *Engine) requestOf(j *job) {
	told := j.memory.told
	j.sent = wire.Apply{Fence: told.Fence, Scope: wire.ScopeAll, Host: told.Host}
	for _, key := range told.Keys() {
		sent, err := told.Entries[key].Sent()
		if err != nil {
			j.reject(wireKey(key), wire.ClassObject, err)
			continue
		}
		if err := j.grant.CheckInterface(told.InterfaceOf(key.Address)); key.FirewallMark == 0 && err != nil {
			j.reject(wireKey(key), wire.ClassPolicy, err)
			continue
		}
		j.sent.VirtualServers = append(j.sent.VirtualServers, sent)
	}
	j.parse(e.now())
	j.request.OnlyAdd, j.request.Interfaces = true, told.Interfaces()
}

// restore reports whether the kernel may have been written.
func (e *Engine) restore(j *job) (begun bool, refusal *wire.Error) {
	if err := e.observe(j); err != nil {
		return false, failure("read the kernel's table", err)
	}
	j.takeOver()
	if refusal := e.prepare(j); refusal != nil {
		return j.around.writes > 0, refusal
	}
	return true, e.converge(j)
}
