package main

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/rawnetlink"
)

// batch is how many messages go into one sendmsg, as the helper does it.
const batch = 64

// bareLoop sends the table's messages, encoded and packed before the clock starts, and waits until all are carried out: what nobody who
// uses this kernel interface can be faster than. As in the helper, only the last message of a datagram is acknowledged.
func bareLoop(table testTable) (spent, error) {
	family, err := familyNumber()
	if err != nil {
		return spent{}, err
	}
	var bodies [][]byte
	for _, operation := range table.operations {
		body, err := ipvs.EncodeOperation(operation)
		if err != nil {
			return spent{}, err
		}
		bodies = append(bodies, body)
	}
	ipvsDatagrams := pack(family, unix.NLM_F_REQUEST, bodies, batch)
	lo, err := net.InterfaceByName(interfaceName)
	if err != nil {
		return spent{}, err
	}
	bodies = nil
	for _, assigned := range table.addresses {
		bodies = append(bodies, newAddress(lo.Index, assigned.Address.AsSlice()))
	}
	addressDatagrams := pack(unix.RTM_NEWADDR, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL, bodies, batch)
	return measure(func() error {
		if err := sendAll(unix.NETLINK_GENERIC, ipvsDatagrams); err != nil {
			return err
		}
		return sendAll(unix.NETLINK_ROUTE, addressDatagrams)
	})
}

// datagram is some messages ready to be sent, and the number of the last.
type datagram struct {
	bytes []byte
	last  uint32
}

func pack(kind uint16, flags uint16, bodies [][]byte, atOnce int) []datagram {
	var datagrams []datagram
	for index, body := range bodies {
		if index%atOnce == 0 {
			datagrams = append(datagrams, datagram{})
		}
		last := &datagrams[len(datagrams)-1]
		last.last = uint32(index + 1)
		acknowledge := uint16(0)
		if index%atOnce == atOnce-1 || index == len(bodies)-1 {
			acknowledge = unix.NLM_F_ACK
		}
		last.bytes = binary.NativeEndian.AppendUint32(last.bytes, uint32(unix.SizeofNlMsghdr+len(body)))
		last.bytes = binary.NativeEndian.AppendUint16(last.bytes, kind)
		last.bytes = binary.NativeEndian.AppendUint16(last.bytes, flags|acknowledge)
		last.bytes = binary.NativeEndian.AppendUint32(last.bytes, last.last)
		last.bytes = binary.NativeEndian.AppendUint32(last.bytes, 0)
		last.bytes = append(last.bytes, body...)
		last.bytes = append(last.bytes, make([]byte, -len(body)&(unix.NLMSG_ALIGNTO-1))...)
	}
	return datagrams
}

func sendAll(protocol int, datagrams []datagram) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	buffer := make([]byte, 64<<10)
	for _, next := range datagrams {
		if err := unix.Sendto(fd, next.bytes, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		for ended := false; !ended; {
			count, err := unix.Read(fd, buffer)
			if err != nil {
				return err
			}
			answers, err := rawnetlink.Parse(buffer[:count])
			if err != nil {
				return err
			}
			for _, answer := range answers {
				if code := int32(binary.NativeEndian.Uint32(answer.Data)); code != 0 {
					return fmt.Errorf("message %d: %w", answer.Header.Sequence, unix.Errno(-code))
				}
				ended = ended || answer.Header.Sequence == next.last
			}
		}
	}
	return nil
}

// newAddress is the body of RTM_NEWADDR for a /32, as the helper sends it.
func newAddress(index int, address []byte) []byte {
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0], header[1] = unix.AF_INET, 32
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	attributes, _ := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.IFA_LOCAL, Data: address}, {Type: unix.IFA_ADDRESS, Data: address}})
	return append(header, attributes...)
}

// familyNumber asks for the number of the generic netlink family IPVS.
func familyNumber() (uint16, error) {
	name, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.CTRL_ATTR_FAMILY_NAME, Data: []byte("IPVS\x00")}})
	if err != nil {
		return 0, err
	}
	answer, err := rawnetlink.New(unix.NETLINK_GENERIC).Get(netlink.Message{
		Header: netlink.Header{Type: unix.GENL_ID_CTRL}, Data: append([]byte{unix.CTRL_CMD_GETFAMILY, 1, 0, 0}, name...)})
	if err != nil {
		return 0, fmt.Errorf("family IPVS: %w", err)
	}
	attributes, err := netlink.UnmarshalAttributes(answer[4:])
	if err != nil {
		return 0, err
	}
	for _, attribute := range attributes {
		if attribute.Type == unix.CTRL_ATTR_FAMILY_ID {
			return binary.NativeEndian.Uint16(attribute.Data), nil
		}
	}
	return 0, fmt.Errorf("family IPVS has no number")
}
