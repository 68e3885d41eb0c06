package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/mdlayher/netlink"
)

// ErrMalformed says that the kernel's answer could not be understood.
var ErrMalformed = errors.New("malformed answer of the kernel's IPVS")

// decodeServiceMessage reads the body of an IPVS_CMD_NEW_SERVICE answer.
func decodeServiceMessage(body []byte) (Service, error) {
	var service Service
	err := decodeNested(body, cmdAttrService, func(attributes *netlink.AttributeDecoder) error {
		var err error
		service, err = decodeService(attributes)
		return err
	})
	return service, err
}

// decodeDestinationMessage reads the body of an IPVS_CMD_NEW_DEST answer. Kernels before 3.18 do not send the
// destination's family; it is the virtual server's then.
func decodeDestinationMessage(body []byte, family Family) (Destination, error) {
	var destination Destination
	err := decodeNested(body, cmdAttrDest, func(attributes *netlink.AttributeDecoder) error {
		var err error
		destination, err = decodeDestination(attributes, family)
		return err
	})
	return destination, err
}

func decodeNested(body []byte, wanted uint16, decode func(*netlink.AttributeDecoder) error) error {
	if len(body) < 4 {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(body))
	}
	attributes, err := netlink.NewAttributeDecoder(body[4:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	found := false
	for attributes.Next() {
		if attributes.Type() == wanted && !found {
			found = true
			attributes.Nested(decode)
		}
	}
	if err := attributes.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !found {
		return fmt.Errorf("%w: attribute %d is missing", ErrMalformed, wanted)
	}
	return nil
}

func decodeService(attributes *netlink.AttributeDecoder) (Service, error) {
	var service Service
	var rawAddress, rawNetmask []byte
	var narrow, wide *Stats
	for attributes.Next() {
		switch attributes.Type() {
		case svcAttrAF:
			service.Family = Family(attributes.Uint16())
		case svcAttrProtocol:
			service.Protocol = Protocol(attributes.Uint16())
		case svcAttrAddr:
			rawAddress = attributes.Bytes()
		case svcAttrPort:
			attributes.Do(decodePort(&service.Port))
		case svcAttrFwmark:
			service.FirewallMark = attributes.Uint32()
		case svcAttrSchedName:
			service.Scheduler = attributes.String()
		case svcAttrFlags:
			attributes.Do(decodeFlags(&service.Flags))
		case svcAttrTimeout:
			service.Timeout = attributes.Uint32()
		case svcAttrNetmask:
			rawNetmask = attributes.Bytes()
		case svcAttrPEName:
			service.PersistenceEngine = attributes.String()
		case svcAttrStats:
			narrow = &Stats{}
			attributes.Nested(decodeStats(narrow))
		case svcAttrStats64:
			wide = &Stats{}
			attributes.Nested(decodeStats(wide))
		}
	}
	service.Stats = widest(narrow, wide)
	if err := attributes.Err(); err != nil {
		return Service{}, err
	}
	return service, completeService(&service, rawAddress, rawNetmask)
}

func completeService(service *Service, rawAddress, rawNetmask []byte) error {
	if service.Family != IPv4 && service.Family != IPv6 {
		return fmt.Errorf("address family %d", service.Family)
	}
	if len(rawNetmask) != 4 {
		return fmt.Errorf("netmask of %d bytes", len(rawNetmask))
	}
	if service.Family == IPv4 {
		mask := binary.BigEndian.Uint32(rawNetmask)
		service.PrefixLength = uint8(bits.LeadingZeros32(^mask))
		if mask<<service.PrefixLength != 0 {
			service.PrefixLength = 0 // not a prefix: equal to nothing that we would ask for
		}
	} else {
		service.PrefixLength = uint8(binary.NativeEndian.Uint32(rawNetmask))
	}
	if service.FirewallMark != 0 {
		service.Protocol, service.Port = 0, 0
		return nil
	}
	address, err := decodeAddress(service.Family, rawAddress)
	service.Address = address
	return err
}

func decodeDestination(attributes *netlink.AttributeDecoder, family Family) (Destination, error) {
	var destination Destination
	var rawAddress []byte
	var narrow, wide *Stats
	for attributes.Next() {
		switch attributes.Type() {
		case destAttrAddrFamily:
			family = Family(attributes.Uint16())
		case destAttrAddr:
			rawAddress = attributes.Bytes()
		case destAttrPort:
			attributes.Do(decodePort(&destination.Port))
		case destAttrFwdMethod:
			destination.ForwardingMethod = ForwardingMethod(attributes.Uint32() & forwardingMask)
		case destAttrWeight:
			destination.Weight = attributes.Uint32()
		case destAttrUThresh:
			destination.UpperThreshold = attributes.Uint32()
		case destAttrLThresh:
			destination.LowerThreshold = attributes.Uint32()
		case destAttrActiveConns:
			destination.Connections.Active = attributes.Uint32()
		case destAttrInactConns:
			destination.Connections.Inactive = attributes.Uint32()
		case destAttrPersistConns:
			destination.Connections.Persistent = attributes.Uint32()
		case destAttrTunType:
			destination.Tunnel.Type = TunnelType(attributes.Uint8())
		case destAttrTunPort:
			attributes.Do(decodePort(&destination.Tunnel.Port))
		case destAttrTunFlags:
			destination.Tunnel.Flags = attributes.Uint16()
		case destAttrStats:
			narrow = &Stats{}
			attributes.Nested(decodeStats(narrow))
		case destAttrStats64:
			wide = &Stats{}
			attributes.Nested(decodeStats(wide))
		}
	}
	destination.Stats = widest(narrow, wide)
	if err := attributes.Err(); err != nil {
		return Destination{}, err
	}
	if destination.ForwardingMethod != Tunneling {
		destination.Tunnel = Tunnel{} // the kernel keeps and reports the last ones, without use
	}
	address, err := decodeAddress(family, rawAddress)
	destination.Address = address
	return destination, err
}

// decodeAddress: the kernel always sends 16 bytes (union nf_inet_addr); IPv4 uses the first four.
func decodeAddress(family Family, raw []byte) (netip.Addr, error) {
	switch {
	case family == IPv4 && len(raw) >= 4:
		return netip.AddrFrom4([4]byte(raw[:4])), nil
	case family == IPv6 && len(raw) >= 16:
		return netip.AddrFrom16([16]byte(raw[:16])), nil
	}
	return netip.Addr{}, fmt.Errorf("address of %d bytes in family %d", len(raw), family)
}

func decodePort(port *uint16) func([]byte) error {
	return func(raw []byte) error {
		if len(raw) != 2 {
			return fmt.Errorf("port of %d bytes", len(raw))
		}
		*port = binary.BigEndian.Uint16(raw)
		return nil
	}
}

// decodeFlags reads struct ip_vs_flags {flags, mask}.
func decodeFlags(flags *Flags) func([]byte) error {
	return func(raw []byte) error {
		if len(raw) != 8 {
			return fmt.Errorf("flags of %d bytes", len(raw))
		}
		*flags = Flags(binary.NativeEndian.Uint32(raw))
		return nil
	}
}

// decodeStats reads IPVS_STATS_ATTR_*: connections and packets are 32 bit in STATS and 64 bit in STATS64.
func decodeStats(stats *Stats) func(*netlink.AttributeDecoder) error {
	return func(attributes *netlink.AttributeDecoder) error {
		fields := map[uint16]*uint64{
			statsAttrConns: &stats.Connections, statsAttrInPkts: &stats.InPackets, statsAttrOutPkts: &stats.OutPackets,
			statsAttrInBytes: &stats.InBytes, statsAttrOutBytes: &stats.OutBytes,
		}
		for attributes.Next() {
			if field := fields[attributes.Type()]; field != nil {
				attributes.Do(decodeCounter(field))
			}
		}
		return attributes.Err()
	}
}

func decodeCounter(counter *uint64) func([]byte) error {
	return func(raw []byte) error {
		switch len(raw) {
		case 4:
			*counter = uint64(binary.NativeEndian.Uint32(raw))
		case 8:
			*counter = binary.NativeEndian.Uint64(raw)
		default:
			return fmt.Errorf("counter of %d bytes", len(raw))
		}
		return nil
	}
}

func widest(narrow, wide *Stats) Stats {
	switch {
	case wide != nil:
		return *wide
	case narrow != nil:
		return *narrow
	}
	return Stats{}
}
