package wire

import "fmt"

// Scope says how far an apply reaches.
type Scope string

// ScopeListed touches what is listed only; ScopeAll makes the listed virtual servers the owner's whole table.
const (
	ScopeListed Scope = "listed"
	ScopeAll    Scope = "all"
)

// What says how much a read answers.
type What string

// The depths of a read.
const (
	WhatFull     What = "full"
	WhatKeys     What = "keys"
	WhatCounters What = "counters"
	WhatDigest   What = "digest"
	WhatDrift    What = "drift"
)

// Request is one decoded request: exactly one of Ping, Preflight, Read and Apply is set.
type Request struct {
	ID        int64
	Ping      bool
	Preflight bool
	Read      *Read
	Apply     *Apply
}

// Read asks for the table.
type Read struct {
	What What
}

// Apply asks to make the kernel equal to what is sent, within the scope.
type Apply struct {
	Fence          Fence
	DryRun         bool
	Scope          Scope
	Interface      string
	VirtualServers []VirtualServer
	Absent         []Key
	// Host is nil when the director as a whole stays as it is.
	Host *Host
	// Adopt are orphans that become ours as they stand, Remove orphans that are to go.
	Adopt  []Key
	Remove []Key
}

// The shapes below are what arrives. Pointers tell "not sent" from zero: a real server whose weight was forgotten must
// not be drained.

type sentHeader struct {
	ID *int64  `json:"id"`
	Op *string `json:"op"`
}

type sentPing struct{ sentHeader }

type sentRead struct {
	sentHeader
	What *What `json:"what"`
}

type sentApply struct {
	sentHeader
	Epoch          *uint64              `json:"epoch"`
	Generation     *uint64              `json:"generation"`
	DryRun         *bool                `json:"dryRun"`
	Scope          *Scope               `json:"scope"`
	Interface      *string              `json:"interface"`
	VirtualServers *[]sentVirtualServer `json:"virtualServers"`
	Absent         *[]sentKey           `json:"absent"`
	Host           *sentHost            `json:"host"`
	Adopt          []sentKey            `json:"adopt"`
	Remove         []sentKey            `json:"remove"`
}

type sentKey struct {
	Address      *string `json:"address"`
	Port         *int64  `json:"port"`
	Protocol     *string `json:"protocol"`
	FirewallMark *int64  `json:"firewallMark"`
	Family       *string `json:"family"`
}

type sentPersistence struct {
	TimeoutSeconds *int64  `json:"timeoutSeconds"`
	PrefixLength   *int64  `json:"prefixLength"`
	Engine         *string `json:"engine"`
}

type sentTunnel struct {
	Type     *string `json:"type"`
	Port     *int64  `json:"port"`
	Checksum *bool   `json:"checksum"`

	RemoteChecksum bool `json:"remoteChecksum"`
}

type sentVirtualServer struct {
	sentKey
	sentPacketRules
	Scheduler      *string           `json:"scheduler"`
	SchedulerFlags *[]string         `json:"schedulerFlags"`
	Persistence    *sentPersistence  `json:"persistence"`
	OnePacket      *bool             `json:"onePacket"`
	DrainSeconds   *int64            `json:"drainSeconds"`
	RealServers    *[]sentRealServer `json:"realServers"`
	Gone           []sentEndpoint    `json:"gone"`
}

type sentEndpoint struct {
	Address *string `json:"address"`
	Port    *int64  `json:"port"`
}

type sentRealServer struct {
	Address          *string     `json:"address"`
	Port             *int64      `json:"port"`
	Weight           *int64      `json:"weight"`
	ForwardingMethod *string     `json:"forwardingMethod"`
	UpperThreshold   *int64      `json:"upperThreshold"`
	LowerThreshold   *int64      `json:"lowerThreshold"`
	Tunnel           *sentTunnel `json:"tunnel"`
}

// DecodeRequest reads one request strictly. The id is returned as far as it could be read (else 0), so that even a
// malformed request gets an answer that can be matched. The error is always of class protocol.
func DecodeRequest(body []byte) (Request, *Error) {
	if request, isPlain := decodePlain(body); isPlain {
		return request, nil
	}
	return decodeAny(body)
}

// decodeAny reads whatever may be sent, and says what is wrong with it.
func decodeAny(body []byte) (Request, *Error) {
	var header sentHeader
	members, err := checkSpelling(body)
	if err != nil {
		return Request{ID: decodeID(body, &header)}, malformed(err)
	}
	request := Request{ID: decodeID(members, &header)}
	if header.ID == nil || header.Op == nil {
		return request, malformed(fmt.Errorf("id (a number) and op (a string) are required"))
	}
	switch *header.Op {
	case "ping":
		request.Ping = true
		err = decodeStrictly(body, &sentPing{})
	case "preflight":
		request.Preflight = true
		err = decodeStrictly(body, &sentPing{})
	case "read":
		request.Read, err = decodeRead(body)
	case "apply":
		request.Apply, err = decodeApply(body)
	default:
		err = fmt.Errorf("op %q is unknown: use ping, preflight, read or apply", *header.Op)
	}
	if err != nil {
		return Request{ID: request.ID}, malformed(err)
	}
	return request, nil
}

func malformed(cause error) *Error {
	return &Error{Class: ClassProtocol, Message: "request is malformed: " + cause.Error()}
}

func decodeRead(body []byte) (*Read, error) {
	var sent sentRead
	if err := decodeStrictly(body, &sent); err != nil {
		return nil, err
	}
	if sent.What == nil {
		return nil, missing("what")
	}
	switch *sent.What {
	case WhatFull, WhatKeys, WhatCounters, WhatDigest, WhatDrift:
		return &Read{What: *sent.What}, nil
	}
	return nil, fmt.Errorf("what %q is unknown: use full, keys, counters, digest or drift", *sent.What)
}

func decodeApply(body []byte) (*Apply, error) {
	var sent sentApply
	if err := decodeStrictly(body, &sent); err != nil {
		return nil, err
	}
	for name, absent := range map[string]bool{
		"epoch": sent.Epoch == nil, "generation": sent.Generation == nil, "dryRun": sent.DryRun == nil, "scope": sent.Scope == nil,
		"interface": sent.Interface == nil, "virtualServers": sent.VirtualServers == nil, "absent": sent.Absent == nil,
	} {
		if absent {
			return nil, missing(name)
		}
	}
	if *sent.Scope != ScopeListed && *sent.Scope != ScopeAll {
		return nil, fmt.Errorf("scope %q is unknown: use listed or all", *sent.Scope)
	}
	if *sent.Scope == ScopeAll && len(*sent.Absent) > 0 {
		return nil, fmt.Errorf("absent must be empty with scope all, which removes whatever is not listed")
	}
	apply := &Apply{Fence: Fence{*sent.Epoch, *sent.Generation}, DryRun: *sent.DryRun, Scope: *sent.Scope, Interface: *sent.Interface}
	var err error
	if apply.Host, err = sent.Host.complete(); err != nil {
		return nil, err
	}
	for index, virtualServer := range *sent.VirtualServers {
		complete, err := virtualServer.complete()
		if err != nil {
			return nil, fmt.Errorf("virtualServers[%d]: %w", index, err)
		}
		apply.VirtualServers = append(apply.VirtualServers, complete)
	}
	if apply.Absent, err = completeKeys("absent", *sent.Absent); err != nil {
		return nil, err
	}
	if apply.Adopt, err = completeKeys("adopt", sent.Adopt); err != nil {
		return nil, err
	}
	apply.Remove, err = completeKeys("remove", sent.Remove)
	return apply, err
}

func completeKeys(field string, sent []sentKey) ([]Key, error) {
	var keys []Key
	for index, key := range sent {
		complete, err := key.complete()
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, index, err)
		}
		keys = append(keys, complete)
	}
	return keys, nil
}

func missing(field string) error { return fmt.Errorf("field %q is missing", field) }

func (sent sentKey) complete() (Key, error) {
	if sent.FirewallMark != nil {
		return sent.completeMark()
	}
	switch {
	case sent.Family != nil:
		return Key{}, fmt.Errorf("field \"family\" belongs to firewallMark: an address has its own")
	case sent.Address == nil:
		return Key{}, missing("address")
	case sent.Port == nil:
		return Key{}, missing("port")
	case sent.Protocol == nil:
		return Key{}, missing("protocol")
	}
	return Key{Address: *sent.Address, Port: *sent.Port, Protocol: *sent.Protocol}, nil
}

func (sent sentKey) completeMark() (Key, error) {
	switch {
	case sent.Address != nil || sent.Port != nil || sent.Protocol != nil:
		return Key{}, fmt.Errorf("field \"firewallMark\" stands in place of address, port and protocol, not beside them")
	case sent.Family == nil:
		return Key{}, missing("family")
	}
	return Key{FirewallMark: *sent.FirewallMark, Family: *sent.Family}, nil
}

func (sent sentVirtualServer) complete() (VirtualServer, error) {
	key, err := sent.sentKey.complete()
	switch {
	case err != nil:
		return VirtualServer{}, err
	case sent.Scheduler == nil:
		return VirtualServer{}, missing("scheduler")
	case sent.SchedulerFlags == nil:
		return VirtualServer{}, missing("schedulerFlags")
	case sent.OnePacket == nil:
		return VirtualServer{}, missing("onePacket")
	case sent.RealServers == nil:
		return VirtualServer{}, missing("realServers")
	}
	virtualServer := VirtualServer{Key: key, Scheduler: *sent.Scheduler, SchedulerFlags: *sent.SchedulerFlags, OnePacket: *sent.OnePacket}
	virtualServer.PacketRules = PacketRules(sent.sentPacketRules)
	if sent.Persistence != nil {
		if sent.Persistence.TimeoutSeconds == nil || sent.Persistence.PrefixLength == nil {
			return VirtualServer{}, missing("persistence.timeoutSeconds or persistence.prefixLength")
		}
		virtualServer.Persistence = &Persistence{TimeoutSeconds: *sent.Persistence.TimeoutSeconds, PrefixLength: *sent.Persistence.PrefixLength}
		if sent.Persistence.Engine != nil {
			virtualServer.Persistence.Engine = *sent.Persistence.Engine
		}
	}
	if sent.DrainSeconds != nil {
		virtualServer.DrainSeconds = *sent.DrainSeconds
	}
	for index, realServer := range *sent.RealServers {
		complete, err := realServer.complete()
		if err != nil {
			return VirtualServer{}, fmt.Errorf("realServers[%d]: %w", index, err)
		}
		virtualServer.RealServers = append(virtualServer.RealServers, complete)
	}
	for index, gone := range sent.Gone {
		if gone.Address == nil || gone.Port == nil {
			return VirtualServer{}, fmt.Errorf("gone[%d]: %w", index, missing("address or port"))
		}
		virtualServer.Gone = append(virtualServer.Gone, Endpoint{Address: *gone.Address, Port: *gone.Port})
	}
	return virtualServer, nil
}

func (sent sentRealServer) complete() (RealServer, error) {
	switch {
	case sent.Address == nil:
		return RealServer{}, missing("address")
	case sent.Port == nil:
		return RealServer{}, missing("port")
	case sent.Weight == nil:
		return RealServer{}, missing("weight")
	case sent.ForwardingMethod == nil:
		return RealServer{}, missing("forwardingMethod")
	case sent.UpperThreshold == nil:
		return RealServer{}, missing("upperThreshold")
	case sent.LowerThreshold == nil:
		return RealServer{}, missing("lowerThreshold")
	}
	realServer := RealServer{Address: *sent.Address, Port: *sent.Port, Weight: *sent.Weight, ForwardingMethod: *sent.ForwardingMethod,
		UpperThreshold: *sent.UpperThreshold, LowerThreshold: *sent.LowerThreshold}
	if sent.Tunnel != nil {
		if sent.Tunnel.Type == nil || sent.Tunnel.Checksum == nil {
			return RealServer{}, missing("tunnel.type or tunnel.checksum")
		}
		realServer.Tunnel = Tunnel{Type: *sent.Tunnel.Type, Checksum: *sent.Tunnel.Checksum, RemoteChecksum: sent.Tunnel.RemoteChecksum}
		if sent.Tunnel.Port != nil {
			realServer.Tunnel.Port = *sent.Tunnel.Port
		}
	}
	return realServer, nil
}
