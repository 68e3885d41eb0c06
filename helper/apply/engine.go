// Package apply makes the kernel equal to what was asked for: read, plan, write in batches, read back, record. One round is
// usual; when the kernel contradicts what was read, or an acknowledgement is lost, it reads and plans again, bounded.
package apply

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/desired"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/journal"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/policy"
	"ipvs-operator.io/helper/settings"
	"ipvs-operator.io/helper/wire"
)

// maxRounds bounds the repetitions inside one request; after that the answer says retry.
const maxRounds = 4

// Engine carries out requests of one owner. Not safe for concurrent use; several engines on one host serialise on the lock.
type Engine struct {
	IPVS      ipvs.Kernel
	Addresses address.Kernel
	Host      settings.Kernel
	Packets   packets.Kernel
	Ledger    *ledger.Ledger
	// Journal is nil where nothing outlives the process: a table in memory.
	Journal *journal.Journal
	Lock    *ledger.Lock
	// Policy reads the grant anew for each request, so that a change of the file counts at once.
	Policy func() (policy.Grant, error)
	// Now is drain.SystemClock when nil.
	Now func() drain.Moment

	tally   tally
	settled ipvs.ServiceKey // where the last look at drains ended
}

// job is one apply in progress.
type job struct {
	sent     wire.Apply
	grant    policy.Grant
	before   uint64 // the ledger revision at the start
	revision uint64 // and now
	request  plan.Request
	owned    plan.Ownership
	limits   plan.Limits
	seen     view
	planned  *plan.Plan // nil until it is asked for
	// bad are the keys that were asked for and cannot be as asked: invalid, forbidden.
	bad     []wire.Key
	refused []wire.Error
	changes []plan.Change
	errors  []wire.Error
	// newKeys and newAddresses were not ours before this request: should the kernel say that they exist, they are not.
	newKeys      map[ipvs.ServiceKey]bool
	newAddresses map[address.Assigned]bool
	// unannounced are VIPs of which the neighbours may not have been told.
	unannounced map[address.Assigned]bool
	// homeless are VIPs, and ranges of them, that stay where they were, because their new place could not be had.
	homeless []netip.Prefix
	around   around
	memory   memory
}

// Apply carries out one apply. The error is set when nothing was done at all.
func (e *Engine) Apply(sent wire.Apply) (wire.ApplyResult, *wire.Error) {
	grant, err := e.Policy()
	if err == nil {
		err = grant.CheckInterface(sent.Interface)
	}
	if err != nil {
		return wire.ApplyResult{}, &wire.Error{Class: wire.ClassPolicy, Message: err.Error()}
	}
	release, err := e.Lock.Acquire()
	if err != nil {
		return wire.ApplyResult{}, lockFailure(err)
	}
	defer release()
	record, err := e.Ledger.Read()
	if err != nil {
		return wire.ApplyResult{}, failure("read the ledger", err)
	}
	told, err := e.told()
	if err != nil && !sent.DryRun {
		return wire.ApplyResult{}, journalFailure(err)
	}
	if highest := later(record.Fence, told.Fence); !sent.DryRun && sent.Fence.Less(highest) {
		return wire.ApplyResult{}, fenced(sent.Fence, highest)
	}
	j := newJob(grant, record)
	j.sent, j.memory.told = sent, told
	j.limits = plan.Limits{VirtualServers: grant.MaxVirtualServers, Deletions: grant.MaxDeletions}
	j.parse(e.now())
	if err := e.observe(j); err != nil {
		return wire.ApplyResult{}, failure("read the kernel's table", err)
	}
	j.takeOver()
	if err := e.prepare(j); err != nil {
		return wire.ApplyResult{}, err
	}
	if sent.DryRun {
		return e.answerDryRun(j)
	}
	if err := e.converge(j); err != nil {
		return wire.ApplyResult{}, err
	}
	if err := e.cleanPackets(j); err != nil {
		return wire.ApplyResult{}, err
	}
	return e.answer(j)
}

func newJob(grant policy.Grant, record ledger.Record) *job {
	return &job{grant: grant, before: record.Revision, revision: record.Revision, owned: ownership(grant, record),
		newKeys: map[ipvs.ServiceKey]bool{}, newAddresses: map[address.Assigned]bool{}}
}

func ownership(grant policy.Grant, record ledger.Record) plan.Ownership {
	return plan.Ownership{Keys: record.Keys, Addresses: record.Addresses, ByVIP: record.ByVIP, Drains: record.Drains, LocalPrefixes: grant.LocalPrefixes,
		InRange: grant.Owns, MarkInRange: grant.OwnsMark}
}

func (e *Engine) now() drain.Moment {
	if e.Now != nil {
		return e.Now()
	}
	return drain.SystemClock()
}

func lockFailure(err error) *wire.Error {
	class := wire.ClassPermanent
	if errors.Is(err, ledger.ErrLockBusy) {
		class = wire.ClassRetry
	}
	return &wire.Error{Class: class, Message: err.Error()}
}

func fenced(sent, highest wire.Fence) *wire.Error {
	return &wire.Error{Class: wire.ClassFenced, Highest: &highest, Message: fmt.Sprintf(
		"epoch %d generation %d is older than epoch %d generation %d, which this director has accepted: a newer operator has written; stop writing",
		sent.Epoch, sent.Generation, highest.Epoch, highest.Generation)}
}

// parse validates what was sent and holds it against the policy. What does not pass is reported, and left as it is.
func (j *job) parse(now drain.Moment) {
	j.request = plan.Request{Owner: j.grant.Owner, Now: now, Interface: j.sent.Interface, All: j.sent.Scope == wire.ScopeAll}
	times := make(map[wire.Key]int, len(j.sent.VirtualServers))
	for _, sent := range j.sent.VirtualServers {
		times[sent.Key]++
	}
	for _, sent := range slices.Concat(j.sent.Absent, j.sent.Remove) {
		times[sent]++
	}
	for _, sent := range j.sent.VirtualServers {
		virtualServer, err := desired.Parse(sent)
		if err == nil {
			err = j.parsePackets(virtualServer, sent.PacketRules)
		}
		if err == nil && times[sent.Key] > 1 {
			err = errors.New("it is listed more than once")
		}
		if err != nil {
			j.reject(sent.Key, wire.ClassObject, err)
		} else if err := j.grant.Check(virtualServer); err != nil {
			j.reject(sent.Key, wire.ClassPolicy, err)
		} else {
			j.request.Desired = append(j.request.Desired, virtualServer)
			continue
		}
		delete(j.around.rules, virtualServer.ServiceKey)
	}
	for _, sent := range j.sent.Absent {
		key, err := desired.ParseKey(sent)
		switch {
		case err == nil && times[sent] > 1:
			j.reject(sent, wire.ClassObject, errors.New("it is listed more than once"))
		case err != nil:
			j.reject(sent, wire.ClassObject, err)
		case !j.owned.MayWrite(key):
			j.reject(sent, wire.ClassPolicy, j.grant.CheckKey(key))
		default:
			j.request.Absent = append(j.request.Absent, key)
		}
	}
	j.parseNamed(times)
	if j.request.All && j.hasNameless() {
		j.keepUnlisted()
	}
}

// hasNameless reports whether a virtual server was listed under a key that cannot be read.
func (j *job) hasNameless() bool {
	return slices.ContainsFunc(j.bad, func(key wire.Key) bool { _, err := desired.ParseKey(key); return err != nil })
}

// keepUnlisted lets everything of ours stay that the request does not list: one of them may be what could not be read.
func (j *job) keepUnlisted() {
	listed := make(map[ipvs.ServiceKey]bool, len(j.request.Desired))
	for index := range j.request.Desired {
		listed[j.request.Desired[index].ServiceKey] = true
	}
	for _, key := range slices.Concat(slices.Collect(maps.Keys(j.owned.Keys)), slices.Collect(maps.Keys(j.memory.told.Entries))) {
		if !listed[key] {
			j.request.Kept = append(j.request.Kept, key)
		}
	}
	j.replan()
}

func (j *job) reject(key wire.Key, class wire.Class, err error) {
	object := desired.Describe(key)
	j.replan()
	if parsed, err := desired.ParseKey(key); err == nil {
		j.request.Kept = append(j.request.Kept, parsed)
	}
	if !slices.Contains(j.bad, key) {
		j.bad = append(j.bad, key)
		j.refused = append(j.refused, wire.Error{Class: class, Message: object + ": " + err.Error(), Object: object})
	}
}

func (e *Engine) observe(j *job) error {
	var err error
	j.replan()
	if j.request.All {
		j.seen, err = e.observeAll(j.owned)
	} else {
		j.seen, err = e.observeKeys(j.looked())
	}
	if err != nil {
		return err
	}
	return e.observeAddresses(&j.seen, j.request, j.owned)
}

// looked are the keys that a request without scope all looks at.
func (j *job) looked() []ipvs.ServiceKey { return append(j.keys(), j.request.Settle...) }

// keys are the valid keys that were listed.
func (j *job) keys() []ipvs.ServiceKey {
	keys := slices.Concat(j.request.Absent, j.request.Remove, j.memory.adopt)
	for _, virtualServer := range j.request.Desired {
		keys = append(keys, virtualServer.ServiceKey)
	}
	return keys
}

// plan is made once, until something that it depends on changes: see replan.
func (j *job) plan() plan.Plan {
	if j.planned == nil {
		planned := plan.Make(j.request, j.owned, j.seen.Observed, j.limits)
		j.planned = &planned
	}
	return *j.planned
}

// replan is called whenever request, ownership or what was seen has changed.
func (j *job) replan() { j.planned = nil }

// CheckPolicy says why the host's policy file does not let this owner work, or nil.
func (e *Engine) CheckPolicy() error {
	_, err := e.Policy()
	return err
}

// Fence is the highest pair accepted, over all boots as far as the journal can be read; zero for none. The error is a sentence about
// ledger or lock.
func (e *Engine) Fence() (wire.Fence, error) {
	if err := e.Lock.Usable(); err != nil {
		return wire.Fence{}, err
	}
	record, err := e.Ledger.Read()
	told, _ := e.told() // CheckJournal says what is wrong with it
	return later(record.Fence, told.Fence), err
}
