package journal

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"time"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// State is what the owner was last told, as far as it was accepted.
type State struct {
	// Fence is the highest pair accepted, over all boots; zero for none.
	Fence wire.Fence
	// Written is when that was, by the host's clock; zero for never.
	Written time.Time
	// Entries are the virtual servers. They belong to the journal: change them through Write only.
	Entries map[ipvs.ServiceKey]*Entry
	// Host is what shall hold for the director as a whole; nil for nothing.
	Host *wire.Host

	interfaces map[netip.Addr]string
}

func emptyState() State {
	return State{Entries: map[ipvs.ServiceKey]*Entry{}, interfaces: map[netip.Addr]string{}}
}

// InterfaceOf is the interface that was last named for a VIP; "" for an address that no entry has, and for firewall marks.
func (s State) InterfaceOf(vip netip.Addr) string { return s.interfaces[vip] }

// Interfaces are those of all VIPs.
func (s State) Interfaces() map[netip.Addr]string {
	interfaces := map[netip.Addr]string{}
	for key := range s.Entries {
		if key.FirewallMark == 0 {
			interfaces[key.Address] = s.interfaces[key.Address]
		}
	}
	return interfaces
}

// Keys are those of the entries in canonical order.
func (s State) Keys() []ipvs.ServiceKey {
	return slices.SortedFunc(maps.Keys(s.Entries), ipvs.ServiceKey.Compare)
}

// Told is what a request that was accepted says.
type Told struct {
	Fence wire.Fence
	// All: what is neither in Put nor in Keep is gone.
	All       bool
	Interface string
	// Interfaces are those of VIPs that are on another one than Interface; nil for none.
	Interfaces map[netip.Addr]string
	// Put are virtual servers as they were sent, encoded by Encode.
	Put    map[ipvs.ServiceKey][]byte
	Delete []ipvs.ServiceKey
	// Keep stay as they are: they were named, and refused.
	Keep map[ipvs.ServiceKey]bool
	Host *wire.Host
}

func (t Told) interfaceOf(vip netip.Addr) string {
	if name, exists := t.Interfaces[vip]; exists {
		return name
	}
	return t.Interface
}

// Encode is the form in which entries are kept.
func Encode(virtualServer wire.VirtualServer) []byte {
	return virtualServer.Append(make([]byte, 0, encodedBytes*(1+len(virtualServer.RealServers))))
}

// encodedBytes is about what a virtual server, and each of its real servers, takes.
const encodedBytes = 160

// change is what a request changes in a state.
type change struct {
	fence  wire.Fence
	put    []ipvs.ServiceKey // in canonical order
	drop   []ipvs.ServiceKey
	told   Told
	host   *wire.Host // set when it changes
	raised bool       // the fence
}

func (c change) isEmpty() bool {
	return !c.raised && len(c.put) == 0 && len(c.drop) == 0 && c.host == nil
}

// difference compares what was told with what is known.
func (s State) difference(told Told) (change, error) {
	found := change{fence: s.Fence, told: told, raised: s.Fence.Less(told.Fence)}
	if found.raised {
		found.fence = told.Fence
	}
	for key, raw := range told.Put {
		known, exists := s.Entries[key]
		moved := key.FirewallMark == 0 && s.interfaces[key.Address] != told.interfaceOf(key.Address)
		if !exists || moved || !bytes.Equal(known.raw, raw) {
			found.put = append(found.put, key)
		}
	}
	drop := func(key ipvs.ServiceKey) {
		if _, exists := s.Entries[key]; exists {
			found.drop = append(found.drop, key)
		}
	}
	for _, key := range told.Delete {
		drop(key)
	}
	if told.All {
		for key := range s.Entries {
			if _, stays := told.Put[key]; !stays && !told.Keep[key] && !slices.Contains(told.Delete, key) {
				drop(key)
			}
		}
	}
	slices.SortFunc(found.put, ipvs.ServiceKey.Compare)
	slices.SortFunc(found.drop, ipvs.ServiceKey.Compare)
	var err error
	found.host, err = changedHost(s.Host, told.Host)
	return found, err
}

// changedHost is the known host section with what was told put into it; nil when that changes nothing.
func changedHost(known, told *wire.Host) (*wire.Host, error) {
	if told == nil {
		return nil, nil
	}
	merged := wire.Host{}
	if known != nil {
		merged = *known
	}
	merged.Sysctls = maps.Clone(merged.Sysctls)
	if len(told.Sysctls) > 0 {
		if merged.Sysctls == nil {
			merged.Sysctls = map[string]string{}
		}
		maps.Copy(merged.Sysctls, told.Sysctls)
	}
	if told.Timeouts != nil {
		merged.Timeouts = told.Timeouts
	}
	if told.SyncDaemons != nil {
		merged.SyncDaemons = told.SyncDaemons
	}
	if known == nil {
		known = &wire.Host{}
	}
	before, err := json.Marshal(known)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(merged)
	if err != nil || bytes.Equal(before, after) {
		return nil, err
	}
	return &merged, nil
}

// accept makes the state what it is after the change.
func (s *State) accept(found change, now time.Time) {
	for _, key := range found.put {
		s.put(key, found.told.interfaceOf(key.Address), found.told.Put[key])
	}
	for _, key := range found.drop {
		delete(s.Entries, key)
	}
	if found.host != nil {
		s.Host = found.host
	}
	s.Fence, s.Written = found.fence, now
}

func (s *State) put(key ipvs.ServiceKey, interfaceName string, raw []byte) {
	s.Entries[key] = &Entry{key: key, raw: raw}
	if key.FirewallMark == 0 {
		s.interfaces[key.Address] = interfaceName
	}
}
