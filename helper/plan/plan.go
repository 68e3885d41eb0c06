package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/vip"
)

// Request is what shall be, validated and allowed by policy.
type Request struct {
	Owner     string
	Interface string
	// All makes Desired the owner's whole table; else only Desired and Absent are looked at.
	All     bool
	Desired []table.VirtualServer
	Absent  []ipvs.ServiceKey
	// Settle are keys of which only the drains are to go on.
	Settle []ipvs.ServiceKey
	// Now is when the request is carried out.
	Now drain.Moment
	// Kept are keys that were asked for but refused: what is in the kernel under them stays as it is.
	Kept []ipvs.ServiceKey
	// Remove are virtual servers that are to go although we did not make them: orphans that were named.
	Remove []ipvs.ServiceKey
	// Interfaces of VIPs that are to be on another interface than Interface.
	Interfaces map[netip.Addr]string
	// OnlyAdd leaves out of the plan whatever changes or removes something that exists.
	OnlyAdd bool
}

// InterfaceOf is the interface that shall carry a VIP.
func (r Request) InterfaceOf(vip netip.Addr) string {
	if named, exists := r.Interfaces[vip]; exists {
		return named
	}
	return r.Interface
}

// Ownership is what this owner made (from the ledger) and where it may write (from the policy).
type Ownership struct {
	Keys      map[ipvs.ServiceKey]bool
	Addresses map[address.Assigned]bool
	// ByVIP has Keys and Addresses by VIP.
	ByVIP   *vip.Index
	Drains  map[drain.Key]drain.Term
	InRange func(netip.Addr) bool
	// LocalPrefixes are ranges of VIPs that get one local route instead of an address for each.
	LocalPrefixes []netip.Prefix
	// MarkInRange is nil when no firewall mark may be written.
	MarkInRange func(uint32) bool
	// Named are firewall marks that somebody has named: by that alone they can be orphans.
	Named map[ipvs.ServiceKey]bool
}

// MayWrite reports whether a virtual server is within our ranges.
func (o Ownership) MayWrite(key ipvs.ServiceKey) bool {
	if key.FirewallMark != 0 {
		return o.MarkInRange != nil && o.MarkInRange(key.FirewallMark)
	}
	return o.InRange(key.Address)
}

// Owns reports whether a virtual server is ours: made by us, and within our ranges.
func (o Ownership) Owns(key ipvs.ServiceKey) bool { return o.Keys[key] && o.MayWrite(key) }

// IsOrphan reports whether a virtual server is within our ranges but was not made by us. A firewall mark never is: marks are
// numbers that any rule of the host may use, so that only what we made ourselves is ours; unless it was named.
func (o Ownership) IsOrphan(key ipvs.ServiceKey) bool {
	return !o.Keys[key] && (key.FirewallMark == 0 || o.Named[key]) && o.MayWrite(key)
}

// Observed is what was read from the kernel: of the virtual servers in question those that exist, and of the addresses in
// question those that are held.
type Observed struct {
	VirtualServers map[ipvs.ServiceKey]table.VirtualServer
	Addresses      map[address.Assigned]bool
}

// Limits are the policy's limits on a request; 0 is no limit.
type Limits struct {
	VirtualServers int
	Deletions      int
}

// Refusal is one virtual server that stays as it is, and why.
type Refusal struct {
	Key       ipvs.ServiceKey
	Collision bool // else the policy's limit
	Message   string
}

// Plan is the outcome: changes in order, what was refused, what was found as wanted and becomes ours without a write.
type Plan struct {
	Changes  []Change
	Refusals []Refusal
	Adopted  []ipvs.ServiceKey
	// Draining begin to drain or get another term; Returned are wanted again. Both are to be recorded before anything is
	// written: whoever finds the record after an interruption does the right thing.
	Draining map[drain.Key]drain.Term
	Returned []drain.Key
}

type planner struct {
	request  Request
	owned    Ownership
	observed Observed
	limits   Limits
	plan     Plan
	deleted  map[ipvs.ServiceKey]bool
	desired  map[ipvs.ServiceKey]bool // those that shall be and are not refused
}

// Make compares and decides. The order of Desired, and of real servers in it, does not matter.
func Make(request Request, owned Ownership, observed Observed, limits Limits) Plan {
	p := &planner{request: request, owned: owned, observed: observed, limits: limits,
		plan: Plan{Draining: map[drain.Key]drain.Term{}}, deleted: map[ipvs.ServiceKey]bool{}, desired: make(map[ipvs.ServiceKey]bool, len(request.Desired))}
	sorted := inOrder(request.Desired)
	p.makeRoom()
	p.planDeletions()
	room := p.room()
	for index := range sorted {
		p.planVirtualServer(sorted[index], &room)
	}
	p.limitDeletions()
	p.settleDrains()
	p.planAddresses()
	if request.OnlyAdd {
		p.keepAdditions()
	}
	p.plan.Changes = inPhases(p.plan.Changes)
	return p.plan
}

// inOrder copies only what is not in canonical order; the operator sends it so.
func inOrder(virtualServers []table.VirtualServer) []table.VirtualServer {
	for index := 1; index < len(virtualServers); index++ {
		if virtualServers[index-1].ServiceKey.Compare(virtualServers[index].ServiceKey) > 0 {
			return slices.SortedFunc(slices.Values(virtualServers), func(a, b table.VirtualServer) int { return a.ServiceKey.Compare(b.ServiceKey) })
		}
	}
	return virtualServers
}

// inPhases puts the changes of one phase behind those of the phase before, in the order in which they were found.
func inPhases(changes []Change) []Change {
	sorted := true
	for index := 1; index < len(changes) && sorted; index++ {
		sorted = changes[index-1].Phase <= changes[index].Phase
	}
	if sorted {
		return changes
	}
	ordered := make([]Change, 0, len(changes))
	for phase := PhaseNewVirtualServers; phase <= PhaseDeleteVirtualServers; phase++ {
		for index := range changes {
			if changes[index].Phase == phase {
				ordered = append(ordered, changes[index])
			}
		}
	}
	return ordered
}

// makeRoom allocates for virtual servers that do not exist yet at once: a full load is tens of thousands of changes.
func (p *planner) makeRoom() {
	count := 0
	for index := range p.request.Desired {
		if _, exists := p.observed.VirtualServers[p.request.Desired[index].ServiceKey]; !exists {
			count += 2 + len(p.request.Desired[index].Destinations) // itself, and perhaps its address
		}
	}
	p.plan.Changes = make([]Change, 0, count)
}

func (p *planner) planDeletions() {
	for _, key := range p.unwanted() {
		if _, exists := p.observed.VirtualServers[key]; !exists {
			continue
		}
		if !p.owned.Owns(key) {
			p.refuseCollision(key, "shall be absent, but was not made by owner %s and is left alone: remove it by hand (ipvsadm -D) if nobody needs it")
			continue
		}
		p.deleted[key] = true
		p.deleteVirtualServer(key)
	}
	for _, key := range slices.SortedFunc(slices.Values(p.request.Remove), ipvs.ServiceKey.Compare) {
		if _, exists := p.observed.VirtualServers[key]; exists && p.owned.IsOrphan(key) {
			p.deleteVirtualServer(key)
		}
	}
}

func (p *planner) deleteVirtualServer(key ipvs.ServiceKey) {
	p.add(Change{Kind: DeleteVirtualServer, Phase: PhaseDeleteVirtualServers, Service: p.observed.VirtualServers[key].Service})
}

// keepAdditions takes out of the plan whatever is no addition.
func (p *planner) keepAdditions() {
	p.plan.Changes = slices.DeleteFunc(p.plan.Changes, func(change Change) bool {
		return change.Kind != AddVirtualServer && change.Kind != AddRealServer && change.Kind != AddAddress
	})
	clear(p.plan.Draining)
	p.plan.Returned = nil
}

// unwanted lists the keys to remove, in canonical order.
func (p *planner) unwanted() []ipvs.ServiceKey {
	if !p.request.All {
		return slices.SortedFunc(slices.Values(p.request.Absent), ipvs.ServiceKey.Compare)
	}
	if len(p.observed.VirtualServers) == 0 {
		return nil
	}
	wanted := make(map[ipvs.ServiceKey]bool, len(p.request.Desired))
	for index := range p.request.Desired {
		wanted[p.request.Desired[index].ServiceKey] = true
	}
	for _, key := range p.request.Kept {
		wanted[key] = true
	}
	var keys []ipvs.ServiceKey
	for key := range p.observed.VirtualServers {
		if p.owned.Owns(key) && !wanted[key] {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, ipvs.ServiceKey.Compare)
	return keys
}

// room is how many virtual servers may still be added; negative for no limit.
func (p *planner) room() int {
	if p.limits.VirtualServers == 0 {
		return -1
	}
	return max(0, p.limits.VirtualServers-len(p.owned.Keys)+len(p.deleted))
}

func (p *planner) planVirtualServer(wanted table.VirtualServer, room *int) {
	key := wanted.ServiceKey
	existing, exists := p.observed.VirtualServers[key]
	switch {
	case exists && !p.owned.Owns(key) && key.FirewallMark != 0:
		p.refuseCollision(key, "exists on this director and was not made by owner %s: remove it (ipvsadm -D) or use another mark")
		return
	case exists && !p.owned.Owns(key) && !table.Same(wanted, existing):
		p.refuseCollision(key, "exists on this director with other contents and was not made by owner %s: remove it (ipvsadm -D) or ask for another address")
		return
	case exists && !p.owned.Owns(key):
		p.plan.Adopted = append(p.plan.Adopted, key)
	case exists:
		p.planEdits(wanted, existing)
	case *room == 0 && !p.owned.Keys[key]:
		p.refuse(Refusal{Key: key, Message: fmt.Sprintf("policy rule owners.%s.maxVirtualServers (%d) forbids one more virtual server", p.request.Owner, p.limits.VirtualServers)})
		return
	default:
		if !p.owned.Keys[key] {
			*room--
		}
		p.planNew(wanted)
	}
	p.desired[key] = true
}

func (p *planner) planNew(wanted table.VirtualServer) {
	p.add(Change{Kind: AddVirtualServer, Phase: PhaseNewVirtualServers, Service: wanted.Service})
	for index := range wanted.Destinations {
		p.add(Change{Kind: AddRealServer, Phase: PhaseNewVirtualServers, Service: wanted.Service, Destination: wanted.Destinations[index]})
	}
}

func (p *planner) planEdits(wanted, existing table.VirtualServer) {
	if !table.SameService(wanted.Service, existing.Service) {
		p.add(Change{Kind: EditVirtualServer, Phase: PhaseEditVirtualServers, Service: wanted.Service, Before: &Before{Service: existing.Service}})
	}
	for index := range wanted.Destinations {
		destination := &wanted.Destinations[index]
		before := existing.Find(destination.DestinationKey, index)
		switch {
		case before == nil:
			p.add(Change{Kind: AddRealServer, Phase: PhaseRealServers, Service: wanted.Service, Destination: *destination})
		case p.owned.Draining(wanted.ServiceKey, destination.DestinationKey):
			p.takeBack(wanted, before, destination)
		case !table.SameDestination(before, destination):
			phase := PhaseRealServers
			if destination.Weight == 0 && before.Weight > 0 {
				phase = PhaseDrains
			}
			p.add(Change{Kind: EditRealServer, Phase: phase, Service: wanted.Service, Destination: *destination, Before: &Before{Destination: *before}})
		}
	}
	for index := range existing.Destinations {
		destination := &existing.Destinations[index]
		if wanted.Find(destination.DestinationKey, index) == nil {
			p.planLeaving(wanted, *destination)
		}
	}
}

// limitDeletions takes all deletions out of the plan when there are more than the policy allows: which of them would be
// right nobody can know here. A drain counts when it begins, and not when it ends: it is a deletion, only later.
func (p *planner) limitDeletions() {
	isDeletion := func(change *Change) bool {
		switch change.Kind {
		case DeleteVirtualServer, DrainRealServer:
			return true
		case DeleteRealServer:
			return !p.owned.Draining(change.Service.ServiceKey, change.Destination.DestinationKey)
		}
		return false
	}
	count := 0
	for index := range p.plan.Changes {
		if isDeletion(&p.plan.Changes[index]) {
			count++
		}
	}
	if p.limits.Deletions == 0 || count <= p.limits.Deletions {
		return
	}
	refused := map[ipvs.ServiceKey]bool{}
	for index := range p.plan.Changes {
		change := &p.plan.Changes[index]
		if key := change.Service.ServiceKey; isDeletion(change) && !refused[key] {
			refused[key] = true
			p.refuse(Refusal{Key: key, Message: fmt.Sprintf("policy rule owners.%s.maxDeletionsPerRequest (%d) forbids the %d deletions of this request; none was carried out",
				p.request.Owner, p.limits.Deletions, count)})
		}
	}
	p.plan.Changes = slices.DeleteFunc(p.plan.Changes, func(change Change) bool { return isDeletion(&change) })
	clear(p.deleted)
	clear(p.plan.Draining)
}

func (p *planner) add(change Change) { p.plan.Changes = append(p.plan.Changes, change) }

func (p *planner) refuse(refusal Refusal) { p.plan.Refusals = append(p.plan.Refusals, refusal) }

func (p *planner) refuseCollision(key ipvs.ServiceKey, format string) {
	p.refuse(Refusal{Key: key, Collision: true, Message: key.String() + " " + fmt.Sprintf(format, p.request.Owner)})
}
