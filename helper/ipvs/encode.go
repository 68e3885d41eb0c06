package ipvs

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"
)

// genetlinkHeader is struct genlmsghdr: command, version, reserved.
func genetlinkHeader(command, version uint8) []byte { return []byte{command, version, 0, 0} }

// maxNameBytes is far above what the kernel takes, and keeps the length of a message within its 16 bits.
const maxNameBytes = 1 << 10

// EncodeOperation makes the body of one IPVS_CMD_* message: what Execute sends behind a netlink header.
func EncodeOperation(operation Operation) ([]byte, error) {
	return appendOperation(make([]byte, 0, 128), &operation)
}

// appendOperation writes behind what is there, which has a length that is a multiple of 4. The error is the kernel's for a name
// that is too long.
func appendOperation(buffer []byte, operation *Operation) ([]byte, error) {
	service := &operation.Service
	if len(service.Scheduler) > maxNameBytes || len(service.PersistenceEngine) > maxNameBytes {
		return buffer, fmt.Errorf("scheduler or persistence engine has a name of more than %d bytes: %w", maxNameBytes, unix.EINVAL)
	}
	buffer = append(buffer, uint8(operation.Kind), familyVersion, 0, 0)
	buffer, start := appendNested(buffer, cmdAttrService)
	buffer = appendServiceKey(buffer, service.ServiceKey)
	if operation.Kind == NewService || operation.Kind == SetService {
		buffer = appendServiceContents(buffer, service)
	}
	buffer = endNested(buffer, start)
	switch operation.Kind {
	case NewDestination, SetDestination, DeleteDestination:
		buffer, start = appendNested(buffer, cmdAttrDest)
		buffer = appendDestinationKey(buffer, operation.Destination.DestinationKey)
		if operation.Kind != DeleteDestination {
			buffer = appendDestinationContents(buffer, &operation.Destination)
		}
		buffer = endNested(buffer, start)
	}
	return buffer, nil
}

// encodeServiceRequest makes the body of a request about one virtual server (GET_SERVICE, GET_DEST).
func encodeServiceRequest(command uint8, key ServiceKey) []byte {
	buffer, start := appendNested(append(make([]byte, 0, 64), genetlinkHeader(command, familyVersion)...), cmdAttrService)
	return endNested(appendServiceKey(buffer, key), start)
}

func appendServiceKey(buffer []byte, key ServiceKey) []byte {
	buffer = appendUint16(buffer, svcAttrAF, uint16(key.Family))
	if key.FirewallMark != 0 {
		return appendUint32(buffer, svcAttrFwmark, key.FirewallMark)
	}
	buffer = appendUint16(buffer, svcAttrProtocol, uint16(key.Protocol))
	buffer = appendAddress(buffer, svcAttrAddr, key.Address)
	return appendPort(buffer, svcAttrPort, key.Port)
}

// appendServiceContents: the kernel wants scheduler, flags, timeout and netmask always, and replaces the whole entry.
func appendServiceContents(buffer []byte, service *Service) []byte {
	buffer = appendName(buffer, svcAttrSchedName, service.Scheduler)
	// struct ip_vs_flags {flags, mask}: with all bits in the mask the flags are replaced.
	buffer = appendHeader(buffer, svcAttrFlags, 8)
	buffer = binary.NativeEndian.AppendUint32(buffer, uint32(service.Flags&^FlagHashed))
	buffer = binary.NativeEndian.AppendUint32(buffer, math.MaxUint32)
	buffer = appendUint32(buffer, svcAttrTimeout, service.Timeout)
	// A be32 mask for IPv4, a plain prefix length for IPv6.
	if service.Family == IPv4 {
		buffer = appendHeader(buffer, svcAttrNetmask, 4)
		buffer = binary.BigEndian.AppendUint32(buffer, ^uint32(uint64(math.MaxUint32)>>service.PrefixLength))
	} else {
		buffer = appendUint32(buffer, svcAttrNetmask, uint32(service.PrefixLength))
	}
	if service.PersistenceEngine != "" {
		buffer = appendName(buffer, svcAttrPEName, service.PersistenceEngine)
	}
	return buffer
}

func appendDestinationKey(buffer []byte, key DestinationKey) []byte {
	buffer = appendUint16(buffer, destAttrAddrFamily, uint16(FamilyOf(key.Address)))
	buffer = appendAddress(buffer, destAttrAddr, key.Address)
	return appendPort(buffer, destAttrPort, key.Port)
}

func appendDestinationContents(buffer []byte, destination *Destination) []byte {
	buffer = appendUint32(buffer, destAttrFwdMethod, uint32(destination.ForwardingMethod))
	buffer = appendUint32(buffer, destAttrWeight, destination.Weight)
	buffer = appendUint32(buffer, destAttrUThresh, destination.UpperThreshold)
	buffer = appendUint32(buffer, destAttrLThresh, destination.LowerThreshold)
	if destination.ForwardingMethod == Tunneling {
		buffer = appendUint8(buffer, destAttrTunType, uint8(destination.Tunnel.Type))
		buffer = appendPort(buffer, destAttrTunPort, destination.Tunnel.Port)
		buffer = appendUint16(buffer, destAttrTunFlags, destination.Tunnel.Flags)
	}
	return buffer
}

// appendAddress writes 4 or 16 bytes, or none for the zero Addr.
func appendAddress(buffer []byte, kind uint16, address netip.Addr) []byte {
	if address.Is4() {
		raw := address.As4()
		return appendBytes(buffer, kind, raw[:])
	}
	if !address.IsValid() {
		return appendBytes(buffer, kind, nil)
	}
	raw := address.As16()
	return appendBytes(buffer, kind, raw[:])
}
