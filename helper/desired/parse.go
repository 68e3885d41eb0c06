// Package desired turns what the operator sent into kernel values, and refuses what the kernel would accept without
// complaint although it cannot work (dataplane: port 0, protocol 1, ports that direct routing cannot translate …). Pure.
package desired

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// ParseKey validates a virtual server's key. The error is a sentence.
func ParseKey(key wire.Key) (ipvs.ServiceKey, error) {
	if isMark(key) {
		return parseMark(key)
	}
	protocol, err := parseProtocol(key.Protocol)
	if err != nil {
		return ipvs.ServiceKey{}, err
	}
	address, err := parseAddress(key.Address)
	if err != nil {
		return ipvs.ServiceKey{}, err
	}
	if address.IsMulticast() || address.IsUnspecified() {
		return ipvs.ServiceKey{}, fmt.Errorf("address %s cannot be a VIP: use a unicast address", address)
	}
	port, err := parsePort(key.Port)
	if err != nil {
		return ipvs.ServiceKey{}, err
	}
	return ipvs.ServiceKey{Family: ipvs.FamilyOf(address), Protocol: protocol, Address: address, Port: port}, nil
}

// KeyOf is the key that ParseKey reads as this one.
func KeyOf(key ipvs.ServiceKey) wire.Key {
	if key.FirewallMark != 0 {
		return wire.Key{FirewallMark: int64(key.FirewallMark), Family: key.Family.String()}
	}
	return wire.Key{Address: key.Address.String(), Port: int64(key.Port), Protocol: key.Protocol.String()}
}

// isMark tells the two forms of a key apart. Without an address it is a mark's, also when the mark is 0.
func isMark(key wire.Key) bool { return key.FirewallMark != 0 || key.Family != "" }

func parseMark(key wire.Key) (ipvs.ServiceKey, error) {
	if key.FirewallMark < 1 || key.FirewallMark > math.MaxUint32 {
		return ipvs.ServiceKey{}, fmt.Errorf("firewall mark %d is outside 1 … 4294967295", key.FirewallMark)
	}
	for _, family := range []ipvs.Family{ipvs.IPv4, ipvs.IPv6} {
		if family.String() == key.Family {
			return ipvs.ServiceKey{Family: family, FirewallMark: uint32(key.FirewallMark)}, nil
		}
	}
	return ipvs.ServiceKey{}, fmt.Errorf("family %q is unknown: use IPv4 or IPv6", key.Family)
}

// Parse validates a virtual server, whole. The error is a sentence about the first thing that is wrong.
func Parse(sent wire.VirtualServer) (table.VirtualServer, error) {
	key, err := ParseKey(sent.Key)
	if err != nil {
		return table.VirtualServer{}, err
	}
	service := ipvs.Service{ServiceKey: key, Scheduler: sent.Scheduler, PrefixLength: uint8(key.Family.Bits())}
	if err := parseScheduling(sent, &service); err != nil {
		return table.VirtualServer{}, err
	}
	destinations := make([]ipvs.Destination, len(sent.RealServers))
	for index := range sent.RealServers {
		realServer := &sent.RealServers[index]
		if err := parseRealServer(key, realServer, &destinations[index]); err != nil {
			return table.VirtualServer{}, fmt.Errorf("real server %s: %w", describe(realServer.Address, realServer.Port), err)
		}
	}
	if sent.DrainSeconds < 0 || sent.DrainSeconds > maxDrainSeconds {
		return table.VirtualServer{}, fmt.Errorf("drain time %d is outside 0 … %d seconds", sent.DrainSeconds, maxDrainSeconds)
	}
	virtualServer := table.Keep(service, destinations)
	virtualServer.Drain = time.Duration(sent.DrainSeconds) * time.Second
	for index := 1; index < len(virtualServer.Destinations); index++ {
		if virtualServer.Destinations[index].DestinationKey == virtualServer.Destinations[index-1].DestinationKey {
			return table.VirtualServer{}, fmt.Errorf("real server %s is listed twice", virtualServer.Destinations[index].DestinationKey)
		}
	}
	virtualServer.Gone, err = parseGone(virtualServer, sent.Gone)
	return virtualServer, err
}

// Describe names a key as it was sent, valid or not, in the form of ServiceKey.String.
func Describe(key wire.Key) string {
	if isMark(key) {
		return fmt.Sprintf("firewall mark %d (%s)", key.FirewallMark, key.Family)
	}
	return key.Protocol + " " + describe(key.Address, key.Port)
}

func describe(address string, port int64) string {
	if strings.Contains(address, ":") {
		return fmt.Sprintf("[%s]:%d", address, port)
	}
	return fmt.Sprintf("%s:%d", address, port)
}

func parseScheduling(sent wire.VirtualServer, service *ipvs.Service) error {
	if !slices.Contains(ipvs.SchedulerNames, sent.Scheduler) {
		return fmt.Errorf("scheduler %q is unknown: use one of %s", sent.Scheduler, strings.Join(ipvs.SchedulerNames, ", "))
	}
	for _, name := range sent.SchedulerFlags {
		bit, scheduler, known := ipvs.SchedulerFlag(name)
		if !known {
			return fmt.Errorf("scheduler flag %q is unknown: use sh-fallback, sh-port, mh-fallback, mh-port, flag-1, flag-2 or flag-3", name)
		}
		if scheduler != "" && scheduler != sent.Scheduler {
			return fmt.Errorf("scheduler flag %s belongs to scheduler %s, not to %s", name, scheduler, sent.Scheduler)
		}
		service.Flags |= bit
	}
	if sent.OnePacket {
		if service.Protocol != ipvs.UDP && service.FirewallMark == 0 { // of a mark's packets, those of UDP are scheduled one by one
			return fmt.Errorf("one-packet scheduling works with UDP only, not with %s", service.Protocol)
		}
		service.Flags |= ipvs.FlagOnePacket
	}
	if sent.Persistence == nil {
		return nil
	}
	if sent.Persistence.TimeoutSeconds < 1 || sent.Persistence.TimeoutSeconds > maxPersistenceSeconds {
		return fmt.Errorf("persistence timeout %d is outside 1 … %d seconds", sent.Persistence.TimeoutSeconds, maxPersistenceSeconds)
	}
	if sent.Persistence.PrefixLength < 1 || sent.Persistence.PrefixLength > int64(service.Family.Bits()) {
		return fmt.Errorf("persistence prefix length %d is outside 1 … %d", sent.Persistence.PrefixLength, service.Family.Bits())
	}
	if err := parseEngine(sent.Persistence.Engine, service); err != nil {
		return err
	}
	service.Flags |= ipvs.FlagPersistent
	service.Timeout = uint32(sent.Persistence.TimeoutSeconds)
	service.PrefixLength = uint8(sent.Persistence.PrefixLength)
	return nil
}

// parseEngine: the kernel's only engine finds the call in SIP over UDP, and falls back to the client's address without a word
// where it cannot.
func parseEngine(name string, service *ipvs.Service) error {
	switch {
	case name == "":
		return nil
	case name != "sip":
		return fmt.Errorf("persistence engine %q is unknown: use sip, or none", name)
	case service.Protocol != ipvs.UDP:
		return fmt.Errorf("persistence engine sip works with UDP only")
	}
	service.PersistenceEngine = name
	return nil
}

// maxPersistenceSeconds is ipvsadm's limit (31 days). The kernel multiplies by HZ in 32 bits and wraps without a word.
const maxPersistenceSeconds = 31 * 24 * 3600

// maxDrainSeconds is a day: what has not ended by then is not waiting to end.
const maxDrainSeconds = 24 * 3600

func parseRealServer(key ipvs.ServiceKey, sent *wire.RealServer, destination *ipvs.Destination) error {
	address, err := parseAddress(sent.Address)
	if err != nil {
		return err
	}
	method, err := parseForwardingMethod(sent.ForwardingMethod)
	if err != nil {
		return err
	}
	port, err := parseRealServerPort(key, method, sent.Port)
	if err != nil {
		return err
	}
	tunnel, err := parseTunnel(method, sent.Tunnel)
	switch {
	case err != nil:
		return err
	case address.IsMulticast() || address.IsUnspecified() || address.IsLinkLocalUnicast() || address.IsLoopback() && method != ipvs.Local:
		return fmt.Errorf("address %s cannot be a real server: use a unicast address that can be routed", address)
	case ipvs.FamilyOf(address) != key.Family && method != ipvs.Tunneling:
		return fmt.Errorf("its address family differs from the virtual server's, which %s cannot translate: use Tunneling", method)
	case sent.Weight < 0 || sent.Weight > math.MaxInt32:
		return fmt.Errorf("weight %d is outside 0 … 2147483647", sent.Weight)
	case sent.UpperThreshold < 0 || sent.UpperThreshold > math.MaxUint32:
		return fmt.Errorf("upper threshold %d is outside 0 … 4294967295", sent.UpperThreshold)
	case sent.LowerThreshold < 0 || sent.LowerThreshold > sent.UpperThreshold:
		return fmt.Errorf("lower threshold %d is outside 0 … the upper threshold %d", sent.LowerThreshold, sent.UpperThreshold)
	}
	*destination = ipvs.Destination{
		DestinationKey:   ipvs.DestinationKey{Address: address, Port: port},
		ForwardingMethod: method,
		Weight:           uint32(sent.Weight),
		UpperThreshold:   uint32(sent.UpperThreshold),
		LowerThreshold:   uint32(sent.LowerThreshold),
		Tunnel:           tunnel,
	}
	return nil
}

// parseRealServerPort: only masquerading translates ports. Port 0 keeps the packet's own, and has a meaning for a firewall mark
// only, behind which there are many.
func parseRealServerPort(key ipvs.ServiceKey, method ipvs.ForwardingMethod, sent int64) (uint16, error) {
	if key.FirewallMark != 0 && sent == 0 {
		return 0, nil
	}
	port, err := parsePort(sent)
	switch {
	case err != nil || method == ipvs.Masquerading:
		return port, err
	case key.FirewallMark != 0:
		return 0, fmt.Errorf("its port is %d, which %s cannot translate to: use 0, the port of the packet", port, method)
	case port != key.Port:
		return 0, fmt.Errorf("its port differs from the virtual server's port %d, which %s cannot translate", key.Port, method)
	}
	return port, nil
}

func parseTunnel(method ipvs.ForwardingMethod, sent wire.Tunnel) (ipvs.Tunnel, error) {
	if method != ipvs.Tunneling {
		if sent != (wire.Tunnel{}) {
			return ipvs.Tunnel{}, fmt.Errorf("%s has no tunnel: leave it out, or use Tunneling", method)
		}
		return ipvs.Tunnel{}, nil
	}
	var tunnel ipvs.Tunnel
	switch sent.Type {
	case ipvs.TunnelIPIP.String():
		if sent.Checksum {
			return ipvs.Tunnel{}, fmt.Errorf("a tunnel of type ipip has no checksum: use gue or gre")
		}
	case ipvs.TunnelGUE.String():
		port, err := parsePort(sent.Port)
		if err != nil {
			return ipvs.Tunnel{}, fmt.Errorf("tunnel: %w", err)
		}
		if sent.Checksum && sent.RemoteChecksum { // the kernel takes both; ipvsadm -S crashes on them
			return ipvs.Tunnel{}, fmt.Errorf("a tunnel has checksum or remoteChecksum, which makes the outer checksum as well: leave checksum out")
		}
		return ipvs.Tunnel{Type: ipvs.TunnelGUE, Port: port, Flags: checksumFlags(sent)}, nil
	case ipvs.TunnelGRE.String():
		tunnel = ipvs.Tunnel{Type: ipvs.TunnelGRE, Flags: checksumFlags(sent)}
	case "":
		return ipvs.Tunnel{}, fmt.Errorf("Tunneling needs a tunnel: give it a type, ipip, gue or gre")
	default:
		return ipvs.Tunnel{}, fmt.Errorf("tunnel type %q is unknown: use ipip, gue or gre", sent.Type)
	}
	if sent.Port != 0 {
		return ipvs.Tunnel{}, fmt.Errorf("a tunnel of type %s has no port: leave it out, or use gue", sent.Type)
	}
	if sent.RemoteChecksum {
		return ipvs.Tunnel{}, fmt.Errorf("a tunnel of type %s has no remote checksum offload: leave remoteChecksum out, or use gue", sent.Type)
	}
	return tunnel, nil
}

func checksumFlags(sent wire.Tunnel) uint16 {
	var flags uint16
	if sent.Checksum {
		flags |= ipvs.TunnelChecksum
	}
	if sent.RemoteChecksum {
		flags |= ipvs.TunnelRemoteChecksum
	}
	return flags
}

func parseProtocol(text string) (ipvs.Protocol, error) {
	for _, protocol := range []ipvs.Protocol{ipvs.TCP, ipvs.UDP, ipvs.SCTP} {
		if protocol.String() == text {
			return protocol, nil
		}
	}
	return 0, fmt.Errorf("protocol %q is unknown: use TCP, UDP or SCTP", text)
}

func parseForwardingMethod(text string) (ipvs.ForwardingMethod, error) {
	switch text {
	case "DirectRouting":
		return ipvs.DirectRouting, nil
	case "Masquerading":
		return ipvs.Masquerading, nil
	case "Tunneling":
		return ipvs.Tunneling, nil
	case "Local":
		return ipvs.Local, nil
	}
	return 0, fmt.Errorf("forwarding method %q is unknown: use DirectRouting, Masquerading, Tunneling or Local", text)
}

// parseAddress wants the one canonical spelling, so that equal addresses are equal strings on the wire.
func parseAddress(text string) (netip.Addr, error) {
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" || address.Is4In6() {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 or IPv6 address", text)
	}
	if address.Is4() { // has one spelling only that ParseAddr takes
		return address, nil
	}
	var room [64]byte
	if string(address.AppendTo(room[:0])) != text {
		return netip.Addr{}, fmt.Errorf("address %s is not in canonical form: write %s", text, address)
	}
	return address, nil
}

func parsePort(port int64) (uint16, error) {
	if port < 1 || port > math.MaxUint16 {
		return 0, fmt.Errorf("port %d is outside 1 … 65535", port)
	}
	return uint16(port), nil
}
