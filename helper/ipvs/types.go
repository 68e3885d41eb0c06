// Package ipvs speaks to the kernel's IP Virtual Server over generic netlink: types, codec, and the Kernel interface with
// two implementations, the real one and an in-memory one that refuses nonsense with the kernel's errnos.
//
// Source of all numbers: include/uapi/linux/ip_vs.h and net/netfilter/ipvs/ip_vs_ctl.c.
package ipvs

import (
	"cmp"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Family is an address family as the kernel numbers it.
type Family uint16

// The families of IPVS.
const (
	IPv4 Family = unix.AF_INET
	IPv6 Family = unix.AF_INET6
)

// FamilyOf is the family of a parsed address.
func FamilyOf(address netip.Addr) Family {
	if address.Is4() {
		return IPv4
	}
	return IPv6
}

// String is "IPv4" or "IPv6", or the number of another family.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return fmt.Sprintf("address family %d", uint16(f))
}

// Bits is the length of an address of the family: 32 or 128.
func (f Family) Bits() int {
	if f == IPv4 {
		return 32
	}
	return 128
}

// Protocol is an IP protocol number.
type Protocol uint16

// The protocols that IPVS balances.
const (
	TCP  Protocol = unix.IPPROTO_TCP
	UDP  Protocol = unix.IPPROTO_UDP
	SCTP Protocol = unix.IPPROTO_SCTP
)

// String is the protocol's name, or its number when IPVS does not balance it.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case SCTP:
		return "SCTP"
	}
	return fmt.Sprintf("protocol %d", uint16(p))
}

// ServiceKey is the identity of a virtual server in the kernel: (family, protocol, address, port), or (family, mark)
// when FirewallMark is not 0; the other fields are zero then.
type ServiceKey struct {
	Family       Family
	Protocol     Protocol
	Address      netip.Addr
	Port         uint16
	FirewallMark uint32
}

// String is the key as people read it: "TCP 203.0.113.10:80", "UDP [2001:db8::1]:53" or "firewall mark 7 (IPv4)".
func (k ServiceKey) String() string {
	if k.FirewallMark != 0 {
		return fmt.Sprintf("firewall mark %d (%s)", k.FirewallMark, k.Family)
	}
	return k.Protocol.String() + " " + netip.AddrPortFrom(k.Address, k.Port).String()
}

// Compare orders keys as the operator sends them: by address (IPv4 before IPv6), port, protocol by name; firewall marks last.
func (k ServiceKey) Compare(other ServiceKey) int {
	if order := cmp.Or(cmp.Compare(k.FirewallMark, other.FirewallMark), cmp.Compare(k.Family, other.Family)); order != 0 {
		return order
	}
	if order := k.Address.Compare(other.Address); order != 0 {
		return order
	}
	if order := cmp.Compare(k.Port, other.Port); order != 0 || k.Protocol == other.Protocol {
		return order
	}
	return cmp.Compare(k.Protocol.String(), other.Protocol.String())
}

// Flags are the IP_VS_SVC_F_* bits of a virtual server.
type Flags uint32

// The flag bits. Hashed belongs to the kernel: it is always set on read and means nothing when compared.
const (
	FlagPersistent Flags = 0x01
	FlagHashed     Flags = 0x02
	FlagOnePacket  Flags = 0x04
	FlagScheduler1 Flags = 0x08
	FlagScheduler2 Flags = 0x10
	FlagScheduler3 Flags = 0x20

	// OwnFlags are the bits that a user sets.
	OwnFlags = FlagPersistent | FlagOnePacket | FlagScheduler1 | FlagScheduler2 | FlagScheduler3
)

// Service is a virtual server without its destinations.
type Service struct {
	ServiceKey
	// Scheduler as in ipvsadm(8), at most 15 bytes.
	Scheduler string
	Flags     Flags
	// Timeout of persistence in seconds; 0 without FlagPersistent.
	Timeout uint32
	// PrefixLength under which clients count as one with persistence; the full length otherwise.
	PrefixLength uint8
	// PersistenceEngine is the name of the engine ("sip"), empty for none.
	PersistenceEngine string
	// Stats is what the kernel counted; read only.
	Stats Stats
}

// ForwardingMethod is an IP_VS_CONN_F_* forwarding method.
type ForwardingMethod uint32

// The forwarding methods of ip_vs.h.
const (
	Masquerading  ForwardingMethod = 0
	Local         ForwardingMethod = 1
	Tunneling     ForwardingMethod = 2
	DirectRouting ForwardingMethod = 3
	Bypass        ForwardingMethod = 4
)

// String is the method's name in the operator's API.
func (m ForwardingMethod) String() string {
	switch m {
	case Masquerading:
		return "Masquerading"
	case Local:
		return "Local"
	case Tunneling:
		return "Tunneling"
	case DirectRouting:
		return "DirectRouting"
	case Bypass:
		return "Bypass"
	}
	return fmt.Sprintf("forwarding method %d", uint32(m))
}

// TunnelType is an IP_VS_CONN_F_TUNNEL_TYPE_* value.
type TunnelType uint8

// The tunnel types of ip_vs.h.
const (
	TunnelIPIP TunnelType = 0
	TunnelGUE  TunnelType = 1
	TunnelGRE  TunnelType = 2
)

// String is the type's name on the wire.
func (t TunnelType) String() string {
	switch t {
	case TunnelIPIP:
		return "ipip"
	case TunnelGUE:
		return "gue"
	case TunnelGRE:
		return "gre"
	}
	return fmt.Sprintf("tunnel type %d", uint8(t))
}

// The bits of Tunnel.Flags (IP_VS_TUNNEL_ENCAP_FLAG_*).
const (
	TunnelChecksum       uint16 = 1
	TunnelRemoteChecksum uint16 = 2
)

// Tunnel says how packets are wrapped when the forwarding method is Tunneling; zero otherwise.
type Tunnel struct {
	Type TunnelType
	// Port of GUE.
	Port uint16
	// Flags: 0 no checksum, TunnelChecksum, TunnelRemoteChecksum (offload; GUE only). The kernel takes both at once, though the second
	// makes the outer checksum, too (ip_vs_tunnel_xmit); ipvsadm sets one of them, and ipvsadm -S crashes on both.
	Flags uint16
}

// String is "ipip", "gue port 6080" or "gre with checksum".
func (t Tunnel) String() string {
	text := t.Type.String()
	if t.Port != 0 {
		text += fmt.Sprintf(" port %d", t.Port)
	}
	switch t.Flags {
	case 0:
	case TunnelChecksum:
		text += " with checksum"
	case TunnelRemoteChecksum:
		text += " with remote checksum offload"
	case TunnelChecksum | TunnelRemoteChecksum:
		text += " with checksum and remote checksum offload"
	default:
		text += fmt.Sprintf(" with flags %#x", t.Flags)
	}
	return text
}

// DestinationKey is the identity of a destination inside a virtual server. The forwarding method is not part of it.
type DestinationKey struct {
	Address netip.Addr
	Port    uint16
}

// String is "192.0.2.21:80" or "[2001:db8::21]:80".
func (k DestinationKey) String() string { return netip.AddrPortFrom(k.Address, k.Port).String() }

// Compare orders destinations by address, then port: the canonical order that makes mh tables equal on all directors.
func (k DestinationKey) Compare(other DestinationKey) int {
	if order := k.Address.Compare(other.Address); order != 0 {
		return order
	}
	return cmp.Compare(k.Port, other.Port)
}

// Destination is a real server of a virtual server.
type Destination struct {
	DestinationKey
	ForwardingMethod ForwardingMethod
	// Weight is 0 … 2^31-1.
	Weight         uint32
	UpperThreshold uint32
	LowerThreshold uint32
	Tunnel         Tunnel
	// Connections and Stats are read only.
	Connections Connections
	Stats       Stats
}

// MethodText is the forwarding method in words, with the tunnel where there is one: "Tunneling (gue port 6080)".
func (d Destination) MethodText() string {
	if d.ForwardingMethod != Tunneling {
		return d.ForwardingMethod.String()
	}
	return fmt.Sprintf("%s (%s)", d.ForwardingMethod, d.Tunnel)
}

// Connections are the connection counts of a destination.
type Connections struct {
	Active     uint32
	Inactive   uint32
	Persistent uint32
}

// Stats are 64-bit counters and rates (IPVS_SVC_ATTR_STATS64; from the 32-bit ones where the kernel lacks them). The rates are the
// kernel's own moving estimate, made every two seconds (ip_vs_est.c); they stand still while net.ipv4.vs.run_estimation is 0.
type Stats struct {
	Connections uint64
	InPackets   uint64
	OutPackets  uint64
	InBytes     uint64
	OutBytes    uint64

	ConnectionsPerSecond uint64
	InPacketsPerSecond   uint64
	OutPacketsPerSecond  uint64
	InBytesPerSecond     uint64
	OutBytesPerSecond    uint64
}
