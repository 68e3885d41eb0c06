package address

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/rawnetlink"
)

// Netlink is the addresses of the network namespace in which it is first used, over rtnetlink. Not safe for concurrent use.
type Netlink struct {
	socket    *rawnetlink.Socket
	routes    *rawnetlink.Socket
	announcer announcer
}

// NewNetlink prepares a connection; nothing is opened before the first use.
func NewNetlink() *Netlink {
	return &Netlink{socket: rawnetlink.New(unix.NETLINK_ROUTE), routes: rawnetlink.NewStrict(unix.NETLINK_ROUTE)}
}

// dumpTries bounds how often a dump is repeated that was interrupted by a change.
const dumpTries = 30

// manyAddresses is where reading the interface whole becomes cheaper than asking for each address.
const manyAddresses = 64

// Held implements Kernel. Few addresses are asked for one by one; only when the answer is no, and IPv4 cannot tell for sure,
// the interface is read whole.
func (n *Netlink) Held(interfaceName string, addresses []netip.Addr) (map[netip.Addr]bool, error) {
	link, err := findLink(interfaceName)
	if err != nil {
		return nil, err
	}
	return n.heldOn(link, addresses)
}

func (n *Netlink) heldOn(link link, addresses []netip.Addr) (map[netip.Addr]bool, error) {
	if len(addresses) > manyAddresses {
		return n.heldOf(link, addresses, unix.AF_UNSPEC)
	}
	held := map[netip.Addr]bool{}
	var doubtful []netip.Addr
	for _, address := range addresses {
		ask := n.askIPv4
		if address.Is6() {
			ask = n.askIPv6
		}
		answer, err := ask(link, address)
		switch {
		case err != nil:
			return nil, err
		case answer:
			held[address] = true
		case address.Is4():
			doubtful = append(doubtful, address)
		}
	}
	if len(doubtful) == 0 {
		return held, nil
	}
	more, err := n.heldOf(link, doubtful, unix.AF_INET)
	maps.Copy(held, more)
	return held, err
}

// heldOf reads the interface's addresses of the family and picks those that were asked for.
func (n *Netlink) heldOf(link link, addresses []netip.Addr, family uint8) (map[netip.Addr]bool, error) {
	all, err := n.list(link, family)
	held := map[netip.Addr]bool{}
	for _, address := range addresses {
		if all[address] {
			held[address] = true
		}
	}
	return held, err
}

// askIPv6 is RTM_GETADDR for one address (inet6_rtm_getaddr). Without IPv6 in the kernel nothing is held.
func (n *Netlink) askIPv6(link link, address netip.Addr) (bool, error) {
	body, err := encodeAddress(link, address, nil)
	if err != nil {
		return false, err
	}
	_, err = n.socket.Get(netlink.Message{Header: netlink.Header{Type: unix.RTM_GETADDR}, Data: body})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return false, nil
	}
	return err == nil, err
}

// askIPv4 looks the address up in the routing table, because IPv4 has no request for one address: an address of the
// interface shows as a local /32 on it. No is not certain (an interface that is down has no routes, two interfaces may
// hold the address).
func (n *Netlink) askIPv4(link link, address netip.Addr) (bool, error) {
	attributes := netlink.NewAttributeEncoder()
	attributes.Bytes(unix.RTA_DST, address.AsSlice())
	encoded, err := attributes.Encode()
	if err != nil {
		return false, err
	}
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[1] = unix.AF_INET, 32
	binary.NativeEndian.PutUint32(header[8:], unix.RTM_F_LOOKUP_TABLE|unix.RTM_F_FIB_MATCH)
	answer, err := n.socket.Get(netlink.Message{Header: netlink.Header{Type: unix.RTM_GETROUTE}, Data: append(header, encoded...)})
	var errno unix.Errno
	if errors.As(err, &errno) {
		return false, nil // no route, blackhole, prohibited …
	}
	if err != nil {
		return false, err
	}
	return isLocalOn(link, answer)
}

// isLocalOn reads struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
func isLocalOn(link link, answer []byte) (bool, error) {
	if len(answer) < unix.SizeofRtMsg {
		return false, fmt.Errorf("%w: route of %d bytes", rawnetlink.ErrMalformed, len(answer))
	}
	if answer[1] != 32 || answer[7] != unix.RTN_LOCAL {
		return false, nil
	}
	attributes, err := netlink.NewAttributeDecoder(answer[unix.SizeofRtMsg:])
	if err != nil {
		return false, fmt.Errorf("%w: %w", rawnetlink.ErrMalformed, err)
	}
	var index uint32
	for attributes.Next() {
		if attributes.Type() == unix.RTA_OIF {
			index = attributes.Uint32()
		}
	}
	return index == link.index, attributes.Err()
}

// list reads all addresses of the interface, of one family or (AF_UNSPEC) of all.
func (n *Netlink) list(link link, family uint8) (map[netip.Addr]bool, error) {
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0] = family
	request := netlink.Message{Header: netlink.Header{Type: unix.RTM_GETADDR}, Data: header}
	var failure error
	for range dumpTries {
		addresses := map[netip.Addr]bool{}
		failure = n.socket.Dump(request, func(data []byte) error {
			index, address, err := decodeAddress(data)
			if index == link.index && address.IsValid() {
				addresses[address] = true
			}
			return err
		})
		if failure == nil {
			return addresses, nil
		}
		if !errors.Is(failure, rawnetlink.ErrInterrupted) && !errors.Is(failure, rawnetlink.ErrOutcomeUnknown) {
			break
		}
	}
	return nil, failure
}

// decodeAddress reads struct ifaddrmsg (family, prefixlen, flags, scope, index) and the address itself: IFA_LOCAL for IPv4
// (IFA_ADDRESS is the other end of a point-to-point link), IFA_ADDRESS for IPv6, which has IFA_LOCAL only on such links.
func decodeAddress(data []byte) (index uint32, address netip.Addr, err error) {
	if len(data) < unix.SizeofIfAddrmsg {
		return 0, netip.Addr{}, fmt.Errorf("%w: address of %d bytes", rawnetlink.ErrMalformed, len(data))
	}
	attributes, err := netlink.NewAttributeDecoder(data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return 0, netip.Addr{}, fmt.Errorf("%w: %w", rawnetlink.ErrMalformed, err)
	}
	var local bool
	for attributes.Next() {
		isLocal := attributes.Type() == unix.IFA_LOCAL
		if isLocal || attributes.Type() == unix.IFA_ADDRESS && !local {
			address, _ = netip.AddrFromSlice(attributes.Bytes())
			local = local || isLocal
		}
	}
	return binary.NativeEndian.Uint32(data[4:]), address, attributes.Err()
}

// Add implements Kernel.
func (n *Netlink) Add(assigned ...Assigned) []error {
	return n.change(unix.RTM_NEWADDR, assigned)
}

// Delete implements Kernel.
func (n *Netlink) Delete(assigned ...Assigned) []error {
	for _, each := range assigned {
		n.announcer.withdraw(each)
	}
	return n.change(unix.RTM_DELADDR, assigned)
}

// change sends one message for each that can be said.
func (n *Netlink) change(command netlink.HeaderType, assigned []Assigned) []error {
	results := make([]error, len(assigned))
	messages, sent := make([]netlink.Message, 0, len(assigned)), make([]int, 0, len(assigned))
	links := links{}
	for index, each := range assigned {
		message, err := encodeChange(command, links, each)
		if err != nil {
			results[index] = err
			continue
		}
		messages, sent = append(messages, message), append(sent, index)
	}
	for index, err := range n.socket.Batch(messages) {
		results[sent[index]] = err
	}
	return results
}

func encodeChange(command netlink.HeaderType, links links, assigned Assigned) (netlink.Message, error) {
	link, err := links.find(assigned.Interface)
	if err != nil {
		return netlink.Message{}, err
	}
	if assigned.IsRoute() {
		return encodeRouteChange(command, link, assigned.Prefix())
	}
	body, err := encodeAddress(link, assigned.Address, func(attributes *netlink.AttributeEncoder) {
		if assigned.Address.Is6() && command == unix.RTM_NEWADDR {
			// Duplicate address detection would keep a VIP silent for seconds, and refuse it while another director has it.
			attributes.Uint32(unix.IFA_FLAGS, unix.IFA_F_NODAD)
		}
	})
	var flags netlink.HeaderFlags
	if command == unix.RTM_NEWADDR {
		flags = netlink.Create | netlink.Excl
	}
	return netlink.Message{Header: netlink.Header{Type: command, Flags: flags}, Data: body}, err
}

func encodeAddress(link link, address netip.Addr, more func(*netlink.AttributeEncoder)) ([]byte, error) {
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0], header[1] = unix.AF_INET, 32
	if address.Is6() {
		header[0], header[1] = unix.AF_INET6, 128
	}
	binary.NativeEndian.PutUint32(header[4:], link.index)
	attributes := netlink.NewAttributeEncoder()
	attributes.Bytes(unix.IFA_LOCAL, address.AsSlice())
	attributes.Bytes(unix.IFA_ADDRESS, address.AsSlice())
	if more != nil {
		more(attributes)
	}
	encoded, err := attributes.Encode()
	return append(header, encoded...), err
}

// Announce implements Kernel.
func (n *Netlink) Announce(assigned ...Assigned) []error {
	results := make([]error, len(assigned))
	links := links{}
	for index, each := range assigned {
		link, err := links.find(each.Interface)
		if err == nil && link.hasNeighbours() {
			err = n.announcer.begin(each, link)
		}
		results[index] = err
	}
	return results
}

// Wait implements Kernel.
func (n *Netlink) Wait() { n.announcer.wait() }

// Close implements Kernel.
func (n *Netlink) Close() error { return errors.Join(n.socket.Close(), n.routes.Close()) }
