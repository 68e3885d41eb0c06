package apply

import (
	"errors"
	"maps"
	"slices"
	"time"

	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/wire"
)

const (
	// drainInterval is how often one looks whether a draining real server may go.
	drainInterval = time.Second
	// settleAtOnce bounds how many virtual servers are looked at in one go (some 100 µs each), so that a request never waits long.
	settleAtOnce = 256
	// SettlePause is the answer of SettleDrains when it has not looked at all of them yet.
	SettlePause = 100 * time.Millisecond
)

// SettleDrains goes on with the drains that this owner's requests have begun, in this session or an earlier one: it deletes the
// real servers whose drain is over. It never waits for the lock. The answer is when to look again; 0: nothing drains.
func (e *Engine) SettleDrains() (time.Duration, *wire.Error) {
	release, err := e.Lock.TryAcquire()
	if errors.Is(err, ledger.ErrLockBusy) {
		return drainInterval, nil
	}
	if err != nil {
		return drainInterval, lockFailure(err)
	}
	defer release()
	record, err := e.Ledger.Read()
	if err != nil {
		return drainInterval, failure("read the ledger", err)
	}
	if len(record.Drains) == 0 {
		return 0, nil
	}
	grant, err := e.Policy()
	if err != nil {
		return drainInterval, &wire.Error{Class: wire.ClassPolicy, Message: err.Error()}
	}
	j := newJob(grant, record)
	keys, more := e.nextToSettle(record.Drains)
	j.request = plan.Request{Owner: grant.Owner, Settle: keys, Now: e.now()}
	if refusal := e.settle(j); refusal != nil {
		return drainInterval, refusal
	}
	switch {
	case more:
		return SettlePause, nil
	case len(j.owned.Drains) == 0:
		return 0, nil
	}
	return drainInterval, nil
}

func (e *Engine) settle(j *job) *wire.Error {
	if err := e.observe(j); err != nil {
		return failure("read the kernel's table", err)
	}
	if refusal := e.converge(j); refusal != nil {
		return refusal
	}
	if e.tally.known && e.tally.revision == j.before {
		if err := e.tally.update(e, j); err != nil {
			return failure("read the ledger", err)
		}
	}
	if len(j.errors) > 0 {
		return &j.errors[0]
	}
	return nil
}

// nextToSettle are the virtual servers to look at now, going round in canonical order, and whether this round has more.
func (e *Engine) nextToSettle(drains map[drain.Key]drain.Term) (keys []ipvs.ServiceKey, more bool) {
	draining := map[ipvs.ServiceKey]bool{}
	for key := range drains {
		draining[key.VirtualServer] = true
	}
	keys = slices.SortedFunc(maps.Keys(draining), ipvs.ServiceKey.Compare)
	start, found := slices.BinarySearchFunc(keys, e.settled, ipvs.ServiceKey.Compare)
	if found {
		start++
	}
	keys = keys[start:]
	if len(keys) <= settleAtOnce {
		e.settled = ipvs.ServiceKey{}
		return keys, false
	}
	e.settled = keys[settleAtOnce-1]
	return keys[:settleAtOnce], true
}
