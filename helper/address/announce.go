package address

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// announcement is what the neighbours on a link are told of an address.
type announcement struct {
	link    link
	address netip.Addr
}

// send tells it once: gratuitous ARP as request and as reply (RFC 5227 section 3; some hosts learn from one only), or an unsolicited
// neighbour advertisement with override (RFC 4861 section 7.2.6).
func (a announcement) send(fd int) error {
	if a.address.Is6() {
		allNodes := [8]byte{0x33, 0x33, 0, 0, 0, 1}
		return sendPacket(fd, a.link, unix.ETH_P_IPV6, allNodes, neighbourAdvertisement(a.address, a.link.hardware))
	}
	broadcast := [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	for _, operation := range []uint16{arpRequest, arpReply} {
		if err := sendPacket(fd, a.link, unix.ETH_P_ARP, broadcast, gratuitousARP(operation, a.address, a.link.hardware)); err != nil {
			return err
		}
	}
	return nil
}

const (
	arpRequest = 1
	arpReply   = 2
)

// gratuitousARP is an ARP packet of RFC 826 that has the address as sender and as target.
func gratuitousARP(operation uint16, address netip.Addr, hardware net.HardwareAddr) []byte {
	packet := []byte{0, 1, 0x08, 0x00, 6, 4} // Ethernet, IPv4, lengths
	packet = binary.BigEndian.AppendUint16(packet, operation)
	packet = append(packet, hardware...)
	packet = append(packet, address.AsSlice()...)
	if operation == arpReply {
		packet = append(packet, hardware...)
	} else {
		packet = append(packet, make([]byte, 6)...)
	}
	return append(packet, address.AsSlice()...)
}

// neighbourAdvertisement is an IPv6 packet (RFC 4861 section 4.4) from the address to all nodes, hop limit 255.
func neighbourAdvertisement(address netip.Addr, hardware net.HardwareAddr) []byte {
	allNodes := netip.MustParseAddr("ff02::1")
	const overrideFlag = 0x20
	message := []byte{136, 0, 0, 0, overrideFlag, 0, 0, 0} // type, code, checksum, flags
	message = append(message, address.AsSlice()...)
	message = append(message, 2, 1) // option: target link-layer address, 8 bytes
	message = append(message, hardware...)
	binary.BigEndian.PutUint16(message[2:], checksumICMPv6(address, allNodes, message))
	packet := []byte{0x60, 0, 0, 0}
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(message)))
	packet = append(packet, unix.IPPROTO_ICMPV6, 255)
	packet = append(packet, address.AsSlice()...)
	packet = append(packet, allNodes.AsSlice()...)
	return append(packet, message...)
}

// checksumICMPv6 is the Internet checksum over pseudo header and message (RFC 4443 section 2.3); the message's length is even.
func checksumICMPv6(source, target netip.Addr, message []byte) uint16 {
	covered := append(source.AsSlice(), target.AsSlice()...)
	covered = binary.BigEndian.AppendUint32(covered, uint32(len(message)))
	covered = append(covered, 0, 0, 0, unix.IPPROTO_ICMPV6)
	covered = append(covered, message...)
	var sum uint32
	for index := 0; index < len(covered); index += 2 {
		sum += uint32(binary.BigEndian.Uint16(covered[index:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// packetSocket needs CAP_NET_RAW. It belongs to the network namespace of the calling thread, whoever sends with it.
func packetSocket() (int, error) {
	return unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
}

func sendPacket(fd int, link link, protocol uint16, target [8]byte, packet []byte) error {
	networkOrder := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
	return unix.Sendto(fd, packet, 0, &unix.SockaddrLinklayer{Protocol: networkOrder, Ifindex: int(link.index), Halen: 6, Addr: target})
}

// hardwareAddress is the MAC address of an Ethernet interface, nil for another kind (netdevice(7), SIOCGIFHWADDR).
func hardwareAddress(fd int, name string) (net.HardwareAddr, error) {
	var request struct {
		name   [unix.IFNAMSIZ]byte
		family uint16
		data   [22]byte
	}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGIFHWADDR, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return nil, errno
	}
	if request.family != unix.ARPHRD_ETHER {
		return nil, nil
	}
	return net.HardwareAddr(request.data[:6]), nil
}
