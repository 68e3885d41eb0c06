package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ErrMalformed says that the kernel's answer could not be understood.
var ErrMalformed = errors.New("malformed answer of the kernel's IPVS")

// decodeServiceMessage reads the body of an IPVS_CMD_NEW_SERVICE answer.
func decodeServiceMessage(body []byte, service *Service) error {
	attributes, err := findNested(body, cmdAttrService)
	if err != nil {
		return err
	}
	return malformed(decodeService(attributes, service))
}

// decodeDestinationMessage reads the body of an IPVS_CMD_NEW_DEST answer. Kernels before 3.18 do not send the
// destination's family; it is the virtual server's then.
func decodeDestinationMessage(body []byte, family Family, destination *Destination) error {
	attributes, err := findNested(body, cmdAttrDest)
	if err != nil {
		return err
	}
	return malformed(decodeDestination(attributes, family, destination))
}

func malformed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// findNested is what is inside the attribute of a message's body.
func findNested(body []byte, wanted uint16) ([]byte, error) {
	if len(body) < 4 {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(body))
	}
	for rest := body[4:]; len(rest) > 0; {
		kind, value, after, err := cutAttribute(rest)
		if err != nil {
			return nil, malformed(err)
		}
		if kind == wanted {
			return value, nil
		}
		rest = after
	}
	return nil, fmt.Errorf("%w: attribute %d is missing", ErrMalformed, wanted)
}

func decodeService(attributes []byte, service *Service) error {
	var rawAddress, rawNetmask []byte
	var counted counters
	err := eachAttribute(attributes, func(kind uint16, value []byte) error {
		switch kind {
		case svcAttrAF:
			return decodeNumber(value, &service.Family)
		case svcAttrProtocol:
			return decodeNumber(value, &service.Protocol)
		case svcAttrAddr:
			rawAddress = value
		case svcAttrPort:
			return decodePort(value, &service.Port)
		case svcAttrFwmark:
			return decodeNumber(value, &service.FirewallMark)
		case svcAttrSchedName:
			service.Scheduler = decodeName(value)
		case svcAttrFlags:
			return decodeFlags(value, &service.Flags)
		case svcAttrTimeout:
			return decodeNumber(value, &service.Timeout)
		case svcAttrNetmask:
			rawNetmask = value
		case svcAttrPEName:
			service.PersistenceEngine = decodeName(value)
		case svcAttrStats:
			counted.narrow = value
		case svcAttrStats64:
			counted.wide = value
		}
		return nil
	})
	if err == nil {
		err = counted.decode(&service.Stats)
	}
	if err != nil {
		return err
	}
	return completeService(service, rawAddress, rawNetmask)
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

// decodeDestination goes through the attributes by itself: a large table has hundreds of thousands of them.
func decodeDestination(attributes []byte, family Family, destination *Destination) error {
	var rawAddress []byte
	var counted counters
	for rest := attributes; len(rest) > 0; {
		length := attributeLength(rest)
		if length == 0 {
			return notWhole(rest)
		}
		kind, value, understood := attributeKind(rest), rest[unix.SizeofNlAttr:length], true
		rest = rest[min(alignAttribute(length), len(rest)):]
		switch kind {
		case destAttrAddrFamily:
			understood = takeNumber(value, &family)
		case destAttrAddr:
			rawAddress = value
		case destAttrPort:
			understood = takePort(value, &destination.Port)
		case destAttrFwdMethod:
			understood = takeNumber(value, &destination.ForwardingMethod)
		case destAttrWeight:
			understood = takeNumber(value, &destination.Weight)
		case destAttrUThresh:
			understood = takeNumber(value, &destination.UpperThreshold)
		case destAttrLThresh:
			understood = takeNumber(value, &destination.LowerThreshold)
		case destAttrActiveConns:
			understood = takeNumber(value, &destination.Connections.Active)
		case destAttrInactConns:
			understood = takeNumber(value, &destination.Connections.Inactive)
		case destAttrPersistConns:
			understood = takeNumber(value, &destination.Connections.Persistent)
		case destAttrTunType:
			understood = takeNumber(value, &destination.Tunnel.Type)
		case destAttrTunPort:
			understood = takePort(value, &destination.Tunnel.Port)
		case destAttrTunFlags:
			understood = takeNumber(value, &destination.Tunnel.Flags)
		case destAttrStats:
			counted.narrow = value
		case destAttrStats64:
			counted.wide = value
		}
		if !understood {
			return fmt.Errorf("attribute %d of %d bytes", kind, len(value))
		}
	}
	if err := counted.decode(&destination.Stats); err != nil {
		return err
	}
	destination.ForwardingMethod &= forwardingMask
	if destination.ForwardingMethod != Tunneling {
		destination.Tunnel = Tunnel{} // the kernel keeps and reports the last ones, without use
	}
	var err error
	destination.Address, err = decodeAddress(family, rawAddress)
	return err
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

func decodePort(raw []byte, port *uint16) error {
	if !takePort(raw, port) {
		return fmt.Errorf("port of %d bytes", len(raw))
	}
	return nil
}

func takePort(raw []byte, port *uint16) bool {
	if len(raw) != 2 {
		return false
	}
	*port = binary.BigEndian.Uint16(raw)
	return true
}

// decodeFlags reads struct ip_vs_flags {flags, mask}.
func decodeFlags(raw []byte, flags *Flags) error {
	if len(raw) != 8 {
		return fmt.Errorf("flags of %d bytes", len(raw))
	}
	*flags = Flags(binary.NativeEndian.Uint32(raw))
	return nil
}
