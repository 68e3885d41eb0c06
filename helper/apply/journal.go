package apply

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/journal"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// memory is what a request has to do with the journal: what the owner was told before, and entries that become ours by it.
type memory struct {
	told journal.State
	// unreadable is why the journal could not be read.
	unreadable error
	// adopt are the valid keys that were named to be adopted, taken those of the kernel's entries that are ours from now on:
	// adopted, or known to the journal exactly as they are while the ledger was lost.
	adopt []ipvs.ServiceKey
	taken []ipvs.ServiceKey
	// restoring: what is carried out is the journal's own word.
	restoring bool
}

// told is what the owner was last told; empty without a journal.
func (e *Engine) told() (journal.State, error) {
	if e.Journal == nil {
		return journal.State{}, nil
	}
	return e.Journal.Read()
}

// CheckJournal says why the journal cannot be relied on, or nil.
func (e *Engine) CheckJournal() error {
	if e.Journal == nil {
		return nil
	}
	return e.Journal.Usable()
}

func later(a, b wire.Fence) wire.Fence {
	if a.Less(b) {
		return b
	}
	return a
}

// remember writes what was accepted into the journal, before the ledger and the kernel are touched: what the kernel holds is
// never newer than what a reboot brings back. What was refused is not accepted, and stays in the journal as it was.
func (e *Engine) remember(j *job) *wire.Error {
	if e.Journal != nil && !j.memory.restoring {
		if err := e.Journal.Write(j.accepted(), e.now().Wall); err != nil {
			return journalFailure(err)
		}
	}
	if len(j.memory.taken) > 0 {
		if err := e.record(j, ledger.Delta{Fence: j.sent.Fence, AddKeys: j.memory.taken}); err != nil {
			return failure("record the request before writing", err)
		}
	}
	return nil
}

// unsay takes out of the journal what turned out to be someone else's at the moment of writing.
func (e *Engine) unsay(j *job, foreign []ipvs.ServiceKey) *wire.Error {
	foreign = slices.DeleteFunc(slices.Clone(foreign), func(key ipvs.ServiceKey) bool { return !j.newKeys[key] })
	if e.Journal == nil || len(foreign) == 0 {
		return nil
	}
	if err := e.Journal.Write(journal.Told{Fence: j.sent.Fence, Interface: j.sent.Interface, Delete: foreign}, e.now().Wall); err != nil {
		return journalFailure(err)
	}
	return nil
}

// journalFailure: a full disk may have room again without anybody touching this director's set-up, so that trying again is
// right; for everything else somebody has to do something on the host.
func journalFailure(err error) *wire.Error {
	refusal := &wire.Error{Class: wire.ClassPermanent, Message: err.Error()}
	errno, known := errnoOf(err)
	if known {
		refusal.Errno = unix.ErrnoName(errno)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		refusal.Class = wire.ClassRetry
	}
	return refusal
}

// accepted is what of the request goes into the journal.
func (j *job) accepted() journal.Told {
	told := journal.Told{Fence: j.sent.Fence, All: j.request.All, Interface: j.sent.Interface, Host: j.acceptedHost(),
		Put: make(map[ipvs.ServiceKey][]byte, len(j.request.Desired)), Keep: map[ipvs.ServiceKey]bool{}}
	for _, key := range j.request.Kept {
		told.Keep[key] = true
	}
	refused := map[ipvs.ServiceKey]bool{}
	for _, refusal := range j.plan().Refusals {
		refused[refusal.Key] = true
		told.Keep[refusal.Key] = true
	}
	sent := make(map[wire.Key]*wire.VirtualServer, len(j.sent.VirtualServers))
	for index := range j.sent.VirtualServers {
		sent[j.sent.VirtualServers[index].Key] = &j.sent.VirtualServers[index]
	}
	for _, wanted := range j.request.Desired {
		key := wanted.ServiceKey
		if refused[key] && !j.owned.Owns(key) {
			continue
		}
		virtualServer := *sent[wireKey(key)]
		virtualServer.Gone = nil
		if refused[key] { // of its deletions: what it keeps is what stays
			virtualServer = withRealServers(virtualServer, wanted, j.seen.VirtualServers[key])
		}
		told.Put[key] = journal.Encode(virtualServer)
	}
	for _, key := range append(j.request.Absent, j.request.Remove...) {
		if !refused[key] || !j.exists(key) {
			told.Delete = append(told.Delete, key)
		}
	}
	told.Interfaces = j.interfacesOfAdopted(told.Put)
	for _, key := range j.memory.adopt {
		if _, listed := told.Put[key]; !listed && j.owned.Owns(key) {
			told.Put[key] = journal.Encode(sentForm(j.seen.VirtualServers[key]))
		}
	}
	return told
}

// interfacesOfAdopted: to adopt says nothing about where a VIP is. One that is known stays where it is, unless the request lists a virtual
// server of it; only one that is not known goes where the request says.
func (j *job) interfacesOfAdopted(listed map[ipvs.ServiceKey][]byte) map[netip.Addr]string {
	if len(j.memory.adopt) == 0 {
		return nil
	}
	interfaces := j.memory.told.Interfaces()
	for _, key := range j.memory.adopt {
		if _, known := interfaces[key.Address]; known || key.FirewallMark != 0 {
			continue
		}
		if places := j.owned.PlacesOf([]netip.Addr{key.Address}); len(places) > 0 {
			interfaces[key.Address] = places[0].Interface
		}
	}
	for key := range listed {
		delete(interfaces, key.Address)
	}
	return interfaces
}

func (j *job) exists(key ipvs.ServiceKey) bool {
	_, exists := j.seen.VirtualServers[key]
	return exists
}

// withRealServers adds the real servers that exist and are not listed.
func withRealServers(sent wire.VirtualServer, wanted, existing table.VirtualServer) wire.VirtualServer {
	left := existing.Without(func(key ipvs.DestinationKey) bool {
		_, listed := wanted.Destination(key)
		return listed
	})
	sent.RealServers = append(append([]wire.RealServer{}, sent.RealServers...), sentForm(left).RealServers...)
	return sent
}

// sentForm is what would have to be sent to get a virtual server as it was read.
func sentForm(virtualServer table.VirtualServer) wire.VirtualServer {
	described := observed(virtualServer, false)
	sent := wire.VirtualServer{Key: described.Key, PacketRules: described.PacketRules, Scheduler: described.Scheduler, SchedulerFlags: described.SchedulerFlags,
		Persistence: described.Persistence, OnePacket: described.OnePacket}
	for _, realServer := range described.RealServers {
		sent.RealServers = append(sent.RealServers, realServer.RealServer)
	}
	return sent
}

// acceptedHost is the host section without what was refused.
func (j *job) acceptedHost() *wire.Host {
	if j.sent.Host == nil {
		return nil
	}
	wanted, host := j.around.wanted, wire.Host{}
	host.Sysctls = maps.Clone(wanted.Sysctls)
	if wanted.Timeouts != nil {
		host.Timeouts = j.sent.Host.Timeouts
	}
	if wanted.Daemons != nil {
		host.SyncDaemons = j.sent.Host.SyncDaemons
	}
	return &host
}
