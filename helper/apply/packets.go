package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/packets/nft"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// conntrackSysctl must be 1 for masquerading: without it IPVS hides its connections from conntrack, and so from nftables.
const conntrackSysctl = "net.ipv4.vs.conntrack"

// parsePackets reads the packet rules of a virtual server that is valid otherwise.
func (j *job) parsePackets(virtualServer table.VirtualServer, sent wire.PacketRules) error {
	rules, err := packets.Parse(virtualServer.ServiceKey, sent, virtualServer.Destinations)
	if err != nil {
		return err
	}
	if j.around.rules == nil {
		j.around.rules = make(map[ipvs.ServiceKey]packets.Rules, len(j.sent.VirtualServers))
	}
	j.around.rules[virtualServer.ServiceKey] = rules
	return nil
}

// readPackets reads the owner's packet rules. A kernel without nftables has none.
func (e *Engine) readPackets() (packets.State, error) {
	var state packets.State
	err := repeated(func() (err error) { state, err = e.Packets.Read(); return err })
	if errors.Is(err, nft.ErrUnavailable) {
		return packets.State{}, nil
	}
	return state, err
}

// planPackets says what has to change before the table does. Rules are there before their virtual server, so that nobody gets
// in who shall not.
func (e *Engine) planPackets(j *job) ([]packets.Change, packets.State, error) {
	state, err := e.readPackets()
	if err != nil {
		return nil, state, err
	}
	if len(state.Rules) == 0 && !state.Damaged && j.wantsNoRules() {
		return nil, state, nil
	}
	for _, refusal := range j.plan().Refusals {
		delete(j.around.rules, refusal.Key)
	}
	changes := packets.Plan(state, j.around.rules)
	if state.Damaged && (j.request.All || len(j.around.rules) > 0) {
		changes = append([]packets.Change{{Kind: packets.RepairRules, Table: e.Packets.Name()}}, changes...)
	}
	return changes, state, nil
}

func (j *job) wantsNoRules() bool {
	for _, rules := range j.around.rules {
		if !rules.IsZero() {
			return false
		}
	}
	return true
}

// applyPackets writes the changes in one batch. Where it fails, the virtual servers concerned stay as they are: they must not be
// open to everyone meanwhile.
func (e *Engine) applyPackets(j *job, state packets.State, changes []packets.Change, done *[]wire.Change) *wire.Error {
	if len(changes) == 0 {
		return nil
	}
	if err := e.record(j, ledger.Delta{Fence: j.sent.Fence}); err != nil {
		return failure("record the request before writing", err)
	}
	if err := e.writePackets(state, changes); err != nil {
		for _, change := range changes {
			j.refusePackets(change, err)
		}
		return nil
	}
	for _, change := range changes {
		*done = append(*done, describePackets(change))
	}
	j.around.writes += len(changes)
	if err := e.record(j, ledger.Delta{Writes: uint64(len(changes))}); err != nil {
		return failure("record what was written", err)
	}
	return e.confirmPackets(j, changes)
}

// confirmPackets reports what the kernel acknowledged and did not keep.
func (e *Engine) confirmPackets(j *job, changes []packets.Change) *wire.Error {
	state, err := e.readPackets()
	if err != nil {
		return failure("read back the packet rules", err)
	}
	for _, change := range changes {
		if change.Kind != packets.RepairRules && !state.Rules[change.Key].Equal(change.After) || state.Damaged {
			j.refusePackets(change, fmt.Errorf("they were read back from the kernel other than they were written: %s", state.Rules[change.Key]))
		}
	}
	return nil
}

func (j *job) refusePackets(change packets.Change, err error) {
	refusal := wire.Error{Class: wire.ClassPermanent, Object: change.Object(), Message: fmt.Sprintf("%s: %s", change.Sentence(), describe(err))}
	errno, known := errnoOf(err)
	if known {
		refusal.Errno = unix.ErrnoName(errno)
	}
	switch {
	case isTransient(err) || !known && !errors.Is(err, nft.ErrUnavailable):
		refusal.Class = wire.ClassRetry
	case errno == unix.EPERM:
		refusal.Message += "; give the helper its capabilities: setcap cap_net_admin,cap_net_raw+ep"
	case errno == unix.ENOENT || errno == unix.EOPNOTSUPP:
		refusal.Message += "; the kernel may lack a module: nft_ct, nft_masq, nft_chain_nat"
	}
	j.around.errors = append(j.around.errors, refusal)
	if change.Kind == packets.RepairRules {
		return
	}
	j.around.failed = appendNew(j.around.failed, wireKey(change.Key))
	j.replan()
	j.request.Desired = slices.DeleteFunc(j.request.Desired, func(virtualServer table.VirtualServer) bool { return virtualServer.ServiceKey == change.Key })
	j.request.Kept = append(j.request.Kept, change.Key)
}

// isGone asks the kernel about virtual servers that the request did not look at. In doubt one exists: without its rules it would be open to
// everyone.
func (e *Engine) isGone(j *job, key ipvs.ServiceKey) bool {
	if _, exists := j.seen.VirtualServers[key]; exists || j.seen.complete || slices.Contains(j.looked(), key) {
		return !exists
	}
	_, err := e.service(key)
	return errors.Is(err, unix.ESRCH)
}

// staleRules are those of virtual servers that are gone, and nobody wants back.
func (j *job) staleRules(state packets.State, isGone func(ipvs.ServiceKey) bool) []packets.Change {
	stale := map[ipvs.ServiceKey]packets.Rules{}
	for key := range state.Rules {
		_, wanted := j.around.rules[key]
		inScope := j.request.All || slices.Contains(j.request.Absent, key) || !j.owned.Keys[key]
		if inScope && !wanted && !slices.Contains(j.request.Kept, key) && isGone(key) {
			stale[key] = packets.Rules{}
		}
	}
	return packets.Plan(state, stale)
}

// cleanPackets takes away the rules of virtual servers that the request has removed.
func (e *Engine) cleanPackets(j *job) *wire.Error {
	state, err := e.readPackets()
	if err != nil {
		return failure("read the packet rules", err)
	}
	if len(state.Rules) == 0 {
		return nil
	}
	gone := func(key ipvs.ServiceKey) bool { return e.isGone(j, key) }
	return e.applyPackets(j, state, j.staleRules(state, gone), &j.around.after)
}

// announcePackets lists the rules that a dry run would change: those of virtual servers that it would delete at the end.
func (j *job) announcePackets(state packets.State, changes []packets.Change) {
	for _, change := range changes {
		j.around.before = append(j.around.before, describePackets(change))
	}
	refused := map[ipvs.ServiceKey]bool{}
	for _, refusal := range j.plan().Refusals {
		refused[refusal.Key] = true
	}
	for _, change := range j.staleRules(state, func(key ipvs.ServiceKey) bool { return !refused[key] }) {
		j.around.after = append(j.around.after, describePackets(change))
	}
}

func describePackets(change packets.Change) wire.Change {
	return wire.Change{Kind: string(change.Kind), Object: change.Object(), Sentence: change.Sentence()}
}

// checkConntrack reports virtual servers that ask for masquerading on a director whose IPVS keeps conntrack out.
func (e *Engine) checkConntrack(j *job) {
	for key, rules := range j.around.rules {
		if !rules.Masquerade {
			continue
		}
		if value, err := e.Host.Sysctl(conntrackSysctl); err == nil && value == "1" || j.sent.DryRun && j.around.wanted.Sysctls[conntrackSysctl] == "1" {
			return
		}
		j.around.refuse(wire.ClassPermanent, key.String(), fmt.Errorf("%s: masquerading needs sysctl %s=1 on this director: set it there, or in the request's host.sysctls", key, conntrackSysctl))
		j.around.failed = appendNew(j.around.failed, wireKey(key))
	}
}

// prepare plans what goes before the table, and writes it unless this is a dry run.
func (e *Engine) prepare(j *job) *wire.Error {
	settingsChanges, err := e.planHost(j)
	if err != nil {
		return failure("read the director's settings", err)
	}
	packetChanges, state, err := e.planPackets(j)
	if err != nil {
		return failure("read the packet rules", err)
	}
	if j.sent.DryRun {
		j.around.announce(settingsChanges)
		j.announcePackets(state, packetChanges)
		e.checkConntrack(j)
		return nil
	}
	if refusal := e.remember(j); refusal != nil {
		return refusal
	}
	if refusal := e.applyHost(j, settingsChanges); refusal != nil {
		return refusal
	}
	e.checkConntrack(j)
	return e.applyPackets(j, state, packetChanges, &j.around.before)
}

// tableHash is the virtual servers', and the packet rules' where there are any.
func (e *Engine) tableHash() (string, error) {
	state, err := e.readPackets()
	if err != nil {
		return "", err
	}
	return hashOf(e.tally.sum, state), nil
}

func hashOf(sum table.Sum, rules packets.State) string {
	digest := rules.Digest()
	if digest == "" {
		return sum.String()
	}
	both := sha256.Sum256([]byte(sum.String() + digest))
	return hex.EncodeToString(both[:16])
}

// describeRules puts packet rules beside the virtual servers that were read.
func describeRules(virtualServer wire.ObservedVirtualServer, rules packets.Rules) wire.ObservedVirtualServer {
	virtualServer.Masquerade = rules.Masquerade
	virtualServer.MSSClamp = int64(rules.MSS)
	for _, prefix := range rules.SourceRanges {
		virtualServer.SourceRanges = append(virtualServer.SourceRanges, prefix.String())
	}
	return virtualServer
}
