package nft

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
)

// The table consists of parts, one for each feature and address family. A part is there only while a virtual server needs it:
// conntrack, which masquerading brings along, costs a director of direct routing nothing. Whatever the number of virtual
// servers, a part has a rule or two; what grows are its sets.

type feature string

const (
	admission    feature = "admit"
	masquerading feature = "masquerade"
	segments     feature = "mss"
)

type part struct {
	feature feature
	family  ipvs.Family
}

var parts = []part{
	{admission, ipvs.IPv4}, {admission, ipvs.IPv6},
	{masquerading, ipvs.IPv4}, {masquerading, ipvs.IPv6},
	{segments, ipvs.IPv4}, {segments, ipvs.IPv6},
}

func (p part) suffix() string {
	if p.family == ipvs.IPv4 {
		return "4"
	}
	return "6"
}

// Where a packet is in the registers: each component of a key takes whole registers of 4 bytes.
const (
	firstRegister = unix.NFT_REG32_00
	markRegister  = unix.NFT_REG32_15
)

// masqueradeMark is the bit of the connection mark (ct mark) that says that a connection came to a virtual server which asks for
// masquerading. It is set before IPVS sees the packet; behind IPVS the address that the client used is gone.
const masqueradeMark = 0x01000000

// TCP flags, and the option of the segment size: kind 2, its value behind kind and length (RFC 9293).
const (
	tcpSYN, tcpRST        = 0x02, 0x04
	tcpFlagsOffset        = 13
	tcpOptionMSS          = 2
	tcpOptionValue        = 2
	sourcePort, targetPrt = 0, 2
)

// sets are those of the part; each is keyed by protocol, address and port of the virtual server.
func (p part) sets(table *nftables.Table) map[string]*nftables.Set {
	address := nftables.TypeIPAddr
	if p.family == ipvs.IPv6 {
		address = nftables.TypeIP6Addr
	}
	server := nftables.MustConcatSetType(nftables.TypeInetProto, address, nftables.TypeInetService)
	set := func(name string, key nftables.SetDatatype) *nftables.Set {
		return &nftables.Set{Table: table, Name: name + p.suffix(), KeyType: key, Concatenation: true, KeyByteOrder: binaryutil.BigEndian}
	}
	switch p.feature {
	case admission:
		sources := set("sources", nftables.MustConcatSetType(nftables.TypeInetProto, address, nftables.TypeInetService, address))
		sources.Interval = true
		return map[string]*nftables.Set{"restricted": set("restricted", server), "sources": sources}
	case masquerading:
		return map[string]*nftables.Set{"masqueraded": set("masqueraded", server)}
	}
	limits := set("mss", server)
	limits.IsMap, limits.DataType = true, nftables.TypeInetService
	return map[string]*nftables.Set{"mss": limits}
}

// chain is one base chain of a part with its one rule.
type chain struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	rule     []expr.Any
}

// IPVS takes packets out of the input hook at priority 99; whatever has to see the client's packet comes before.
func (p part) chains(sets map[string]*nftables.Set) []chain {
	name := string(p.feature) + p.suffix()
	switch p.feature {
	case admission:
		rule := p.key(p.target(), targetPrt)
		rule = append(rule, lookup(sets["restricted"]), p.load(p.source(), p.lastRegister()+1))
		outside := lookup(sets["sources"])
		outside.Invert = true
		return []chain{{name, nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter,
			append(rule, outside, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})}}
	case masquerading:
		mark := append(p.key(p.target(), targetPrt), lookup(sets["masqueraded"]),
			&expr.Ct{Key: expr.CtKeyMARK, Register: markRegister},
			&expr.Bitwise{SourceRegister: markRegister, DestRegister: markRegister, Len: 4, Mask: native(^uint32(masqueradeMark)), Xor: native(masqueradeMark)},
			&expr.Ct{Key: expr.CtKeyMARK, Register: markRegister, SourceRegister: true})
		masquerade := append(p.guard(),
			&expr.Ct{Key: expr.CtKeyMARK, Register: markRegister},
			&expr.Bitwise{SourceRegister: markRegister, DestRegister: markRegister, Len: 4, Mask: native(masqueradeMark), Xor: native(0)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: markRegister, Data: native(masqueradeMark)},
			&expr.Counter{}, &expr.Masq{})
		return []chain{{name + "-mark", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter, mark},
			{name, nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, masquerade}}
	}
	return []chain{
		{name + "-in", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter, p.clamp(sets["mss"], p.target(), targetPrt)},
		{name + "-out", nftables.ChainTypeFilter, nftables.ChainHookPostrouting, nftables.ChainPriorityMangle, p.clamp(sets["mss"], p.source(), sourcePort)},
	}
}

// guard lets pass packets of the family only.
func (p part) guard() []expr.Any {
	family := byte(unix.NFPROTO_IPV4)
	if p.family == ipvs.IPv6 {
		family = unix.NFPROTO_IPV6
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: firstRegister},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: []byte{family}}}
}

// key loads protocol, address and port from the first register on.
func (p part) key(address uint32, port uint32) []expr.Any {
	return append(p.guard(), &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: firstRegister}, p.load(address, firstRegister+1),
		&expr.Payload{DestRegister: p.lastRegister(), Base: expr.PayloadBaseTransportHeader, Offset: port, Len: 2})
}

// clamp writes the limit of the virtual server into a SYN; the kernel never raises what is there.
func (p part) clamp(limits *nftables.Set, address, port uint32) []expr.Any {
	rule := append(p.guard(), &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: firstRegister},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: firstRegister, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: firstRegister, DestRegister: firstRegister, Len: 1, Mask: []byte{tcpSYN | tcpRST}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: []byte{tcpSYN}})
	rule = append(rule, p.key(address, port)[len(p.guard()):]...)
	found := lookup(limits)
	found.DestRegister, found.IsDestRegSet = markRegister, true
	return append(rule, found, &expr.Exthdr{SourceRegister: markRegister, Type: tcpOptionMSS, Offset: tcpOptionValue, Len: 2, Op: expr.ExthdrOpTcpopt})
}

// source and target are the offsets of the addresses in the IP header.
func (p part) source() uint32 {
	if p.family == ipvs.IPv4 {
		return 12
	}
	return 8
}

func (p part) target() uint32 {
	if p.family == ipvs.IPv4 {
		return 16
	}
	return 24
}

// lastRegister is the one of the port.
func (p part) lastRegister() uint32 { return firstRegister + 1 + uint32(p.family.Bits()/32) }

func (p part) load(offset, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(p.family.Bits() / 8)}
}

func lookup(set *nftables.Set) *expr.Lookup {
	return &expr.Lookup{SourceRegister: firstRegister, SetName: set.Name, SetID: set.ID}
}

func native(value uint32) []byte { return binary.NativeEndian.AppendUint32(nil, value) }
