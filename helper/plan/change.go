// Package plan computes what has to change in the kernel so that it becomes as desired: changes as data, in the order in
// which they are safe. Pure: it sees values and returns values.
package plan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
)

// Kind is what a change does; the spelling is the wire's.
type Kind string

// The kinds of change.
const (
	AddVirtualServer    Kind = "addVirtualServer"
	EditVirtualServer   Kind = "editVirtualServer"
	DeleteVirtualServer Kind = "deleteVirtualServer"
	AddRealServer       Kind = "addRealServer"
	EditRealServer      Kind = "editRealServer"
	DeleteRealServer    Kind = "deleteRealServer"
	DrainRealServer     Kind = "drainRealServer"
	UndrainRealServer   Kind = "undrainRealServer"
	AddAddress          Kind = "addAddress"
	DeleteAddress       Kind = "deleteAddress"
)

// Phase orders the changes of one request (dataplane 9.1): whatever brings capacity comes before whatever takes it away,
// a VIP goes up after the virtual servers behind it and comes down before them.
type Phase int

// The phases, in order.
const (
	PhaseNewVirtualServers Phase = iota
	PhaseRealServers
	PhaseEditVirtualServers
	PhaseAddAddresses
	PhaseDrains
	PhaseDeleteRealServers
	PhaseDeleteAddresses
	PhaseDeleteVirtualServers
)

// Change is one write to the kernel. Service is set but for addresses; Destination for real servers; Address for addresses.
type Change struct {
	Kind        Kind
	Phase       Phase
	Service     ipvs.Service
	Destination ipvs.Destination
	Address     address.Assigned
	// Before is set for changes of what exists; a pointer, because a full load is tens of thousands of changes without.
	Before *Before
	// Deadline of a drain that begins, in words.
	Deadline string
	// Gone is why a real server is deleted at once instead of draining.
	Gone bool
}

// Before is the entry that an edit replaces, as it was read.
type Before struct {
	Service     ipvs.Service
	Destination ipvs.Destination
}

// Identity tells which thing a change is about and what it does to it.
type Identity struct {
	Kind        Kind
	Service     ipvs.ServiceKey
	Destination ipvs.DestinationKey
	Address     address.Assigned
}

// Identity is comparable; two changes of one plan never share one.
func (c Change) Identity() Identity {
	return Identity{c.Kind, c.Service.ServiceKey, c.Destination.DestinationKey, c.Address}
}

// Object names what the change is about: a virtual server, also for its real servers, or an address.
func (c Change) Object() string {
	if c.Kind == AddAddress || c.Kind == DeleteAddress {
		return c.Address.Name()
	}
	return c.Service.ServiceKey.String()
}

// OfObject is equal for changes that have the same Object.
func (c *Change) OfObject() Identity {
	if c.Kind == AddAddress || c.Kind == DeleteAddress {
		return Identity{Address: c.Address}
	}
	return Identity{Service: c.Service.ServiceKey}
}

// Sentence says the change in words.
func (c Change) Sentence() string { return string(c.AppendSentence(nil, c.Object())) }

// sentenceAbout says all changes but those that add a server.
func (c *Change) sentenceAbout(object string) string {
	switch c.Kind {
	case EditVirtualServer:
		return fmt.Sprintf("change virtual server %s from %s to %s", object, describeService(c.Before.Service), describeService(c.Service))
	case DeleteVirtualServer:
		return "delete virtual server " + object
	case EditRealServer:
		return fmt.Sprintf("change real server %s of %s: %s", c.Destination.DestinationKey, object, describeEdit(c.Before.Destination, c.Destination))
	case DeleteRealServer:
		if c.Gone {
			return fmt.Sprintf("delete real server %s from %s at once: it is gone", c.Destination.DestinationKey, object)
		}
		return fmt.Sprintf("delete real server %s from %s", c.Destination.DestinationKey, object)
	case DrainRealServer:
		return fmt.Sprintf("drain real server %s of %s: weight %d to 0, delete it when nothing is left on it, at the latest at %s",
			c.Destination.DestinationKey, object, c.Before.Destination.Weight, c.Deadline)
	case UndrainRealServer:
		return fmt.Sprintf("take real server %s of %s back: %s", c.Destination.DestinationKey, object, describeEdit(c.Before.Destination, c.Destination))
	case AddAddress:
		if c.Address.IsRoute() {
			return fmt.Sprintf("add local route %s to interface %s", c.Address.Name(), c.Address.Interface)
		}
		return fmt.Sprintf("add address %s to interface %s", c.Address.Address, c.Address.Interface)
	case DeleteAddress:
		if c.Address.IsRoute() {
			return fmt.Sprintf("delete local route %s from interface %s", c.Address.Name(), c.Address.Interface)
		}
		return fmt.Sprintf("delete address %s from interface %s", c.Address.Address, c.Address.Interface)
	}
	return string(c.Kind)
}

// AppendSentence is Sentence behind what is there, for who knows the Object already.
func (c *Change) AppendSentence(text []byte, object string) []byte {
	switch c.Kind {
	case AddVirtualServer:
		return append(append(append(append(text, "add virtual server "...), object...), " with "...), describeService(c.Service)...)
	case AddRealServer:
		return c.appendNewRealServer(text, object)
	}
	return append(text, c.sentenceAbout(object)...)
}

// appendNewRealServer is without fmt where it can: a full load has tens of thousands of them.
func (c *Change) appendNewRealServer(text []byte, object string) []byte {
	text = append(text, "add real server "...)
	text = netip.AddrPortFrom(c.Destination.Address, c.Destination.Port).AppendTo(text)
	text = strconv.AppendUint(append(text, " weight "...), uint64(c.Destination.Weight), 10)
	if c.Destination.ForwardingMethod != ipvs.DirectRouting {
		text = append(append(text, " by "...), c.Destination.MethodText()...)
	}
	if c.Destination.UpperThreshold != 0 {
		text = fmt.Appendf(text, " thresholds %d/%d", c.Destination.UpperThreshold, c.Destination.LowerThreshold)
	}
	return append(append(text, " to "...), object...)
}

func describeService(service ipvs.Service) string {
	parts := []string{"scheduler " + service.Scheduler}
	if names := ipvs.SchedulerFlagNames(service.Scheduler, service.Flags); len(names) > 0 {
		parts[0] += " (" + strings.Join(names, ",") + ")"
	}
	if service.Flags&ipvs.FlagPersistent != 0 {
		parts = append(parts, fmt.Sprintf("persistence %d s per /%d", service.Timeout, service.PrefixLength))
	}
	if service.Flags&ipvs.FlagOnePacket != 0 {
		parts = append(parts, "one-packet scheduling")
	}
	if service.PersistenceEngine != "" {
		parts = append(parts, "persistence engine "+service.PersistenceEngine)
	}
	return strings.Join(parts, ", ")
}

func describeEdit(before, after ipvs.Destination) string {
	var parts []string
	if before.Weight != after.Weight {
		parts = append(parts, fmt.Sprintf("weight %d to %d", before.Weight, after.Weight))
	}
	if before.ForwardingMethod != after.ForwardingMethod || before.Tunnel != after.Tunnel {
		parts = append(parts, fmt.Sprintf("forwarding method %s to %s", before.MethodText(), after.MethodText()))
	}
	if before.UpperThreshold != after.UpperThreshold || before.LowerThreshold != after.LowerThreshold {
		parts = append(parts, fmt.Sprintf("thresholds %d/%d to %d/%d", before.UpperThreshold, before.LowerThreshold, after.UpperThreshold, after.LowerThreshold))
	}
	return strings.Join(parts, ", ")
}
