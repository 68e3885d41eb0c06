package ipvs

import (
	"encoding/binary"
	"net"

	"github.com/mdlayher/netlink"
)

// genetlinkHeader is struct genlmsghdr: command, version, reserved.
func genetlinkHeader(command, version uint8) []byte { return []byte{command, version, 0, 0} }

// EncodeOperation makes the body of one IPVS_CMD_* message: what Execute sends behind a netlink header.
func EncodeOperation(operation Operation) ([]byte, error) {
	attributes := netlink.NewAttributeEncoder()
	attributes.Nested(cmdAttrService, func(nested *netlink.AttributeEncoder) error {
		encodeServiceKey(nested, operation.Service.ServiceKey)
		if operation.Kind == NewService || operation.Kind == SetService {
			encodeServiceContents(nested, operation.Service)
		}
		return nil
	})
	switch operation.Kind {
	case NewDestination, SetDestination, DeleteDestination:
		attributes.Nested(cmdAttrDest, func(nested *netlink.AttributeEncoder) error {
			encodeDestinationKey(nested, operation.Destination.DestinationKey)
			if operation.Kind != DeleteDestination {
				encodeDestinationContents(nested, operation.Destination)
			}
			return nil
		})
	}
	return encodeMessage(uint8(operation.Kind), attributes)
}

// encodeServiceRequest makes the body of a request about one virtual server (GET_SERVICE, GET_DEST).
func encodeServiceRequest(command uint8, key ServiceKey) ([]byte, error) {
	attributes := netlink.NewAttributeEncoder()
	attributes.Nested(cmdAttrService, func(nested *netlink.AttributeEncoder) error {
		encodeServiceKey(nested, key)
		return nil
	})
	return encodeMessage(command, attributes)
}

func encodeMessage(command uint8, attributes *netlink.AttributeEncoder) ([]byte, error) {
	body, err := attributes.Encode()
	if err != nil {
		return nil, err
	}
	return append(genetlinkHeader(command, familyVersion), body...), nil
}

func encodeServiceKey(attributes *netlink.AttributeEncoder, key ServiceKey) {
	attributes.Uint16(svcAttrAF, uint16(key.Family))
	if key.FirewallMark != 0 {
		attributes.Uint32(svcAttrFwmark, key.FirewallMark)
		return
	}
	attributes.Uint16(svcAttrProtocol, uint16(key.Protocol))
	attributes.Bytes(svcAttrAddr, key.Address.AsSlice())
	attributes.Bytes(svcAttrPort, bigEndian16(key.Port))
}

// encodeServiceContents: the kernel wants scheduler, flags, timeout and netmask always, and replaces the whole entry.
func encodeServiceContents(attributes *netlink.AttributeEncoder, service Service) {
	attributes.String(svcAttrSchedName, service.Scheduler)
	// struct ip_vs_flags {flags, mask}: with all bits in the mask the flags are replaced.
	flags := binary.NativeEndian.AppendUint32(nil, uint32(service.Flags&^FlagHashed))
	attributes.Bytes(svcAttrFlags, binary.NativeEndian.AppendUint32(flags, ^uint32(0)))
	attributes.Uint32(svcAttrTimeout, service.Timeout)
	// A be32 mask for IPv4, a plain prefix length for IPv6.
	if service.Family == IPv4 {
		attributes.Bytes(svcAttrNetmask, net.CIDRMask(int(service.PrefixLength), 32))
	} else {
		attributes.Uint32(svcAttrNetmask, uint32(service.PrefixLength))
	}
	if service.PersistenceEngine != "" {
		attributes.String(svcAttrPEName, service.PersistenceEngine)
	}
}

func encodeDestinationKey(attributes *netlink.AttributeEncoder, key DestinationKey) {
	attributes.Uint16(destAttrAddrFamily, uint16(FamilyOf(key.Address)))
	attributes.Bytes(destAttrAddr, key.Address.AsSlice())
	attributes.Bytes(destAttrPort, bigEndian16(key.Port))
}

func encodeDestinationContents(attributes *netlink.AttributeEncoder, destination Destination) {
	attributes.Uint32(destAttrFwdMethod, uint32(destination.ForwardingMethod))
	attributes.Uint32(destAttrWeight, destination.Weight)
	attributes.Uint32(destAttrUThresh, destination.UpperThreshold)
	attributes.Uint32(destAttrLThresh, destination.LowerThreshold)
	if destination.ForwardingMethod == Tunneling {
		attributes.Uint8(destAttrTunType, uint8(destination.Tunnel.Type))
		attributes.Bytes(destAttrTunPort, bigEndian16(destination.Tunnel.Port))
		attributes.Uint16(destAttrTunFlags, destination.Tunnel.Flags)
	}
}

func bigEndian16(value uint16) []byte { return binary.BigEndian.AppendUint16(nil, value) }
