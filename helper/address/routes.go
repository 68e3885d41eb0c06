package address

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/rawnetlink"
)

// routeProtocol marks our routes for whoever looks at them (rtnetlink(7): above RTPROT_STATIC a number means what administrators agree
// on), and keeps us from deleting another's.
const routeProtocol = 200

// LocalRoutes implements Kernel: it reads the interface's part of table local.
func (n *Netlink) LocalRoutes(interfaceName string, ranges []netip.Prefix) (map[netip.Prefix]bool, error) {
	link, err := findLink(interfaceName)
	if err != nil {
		return nil, err
	}
	held := map[netip.Prefix]bool{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		asked := map[netip.Prefix]bool{}
		for _, each := range ranges {
			if each.Addr().Is6() == (family == unix.AF_INET6) {
				asked[each] = true
			}
		}
		if len(asked) == 0 {
			continue
		}
		err := n.dumpLocal(link, family, func(found netip.Prefix) {
			if asked[found] {
				held[found] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return held, nil
}

func (n *Netlink) dumpLocal(link link, family uint8, visit func(netip.Prefix)) error {
	body, err := encodeRoute(link, family, netip.Prefix{})
	if err != nil {
		return err
	}
	request := netlink.Message{Header: netlink.Header{Type: unix.RTM_GETROUTE}, Data: body}
	var failure error
	for range dumpTries {
		failure = n.routes.Dump(request, func(data []byte) error {
			found, isLocal, err := decodeRoute(link, data)
			if isLocal {
				visit(found)
			}
			return err
		})
		if !errors.Is(failure, rawnetlink.ErrInterrupted) && !errors.Is(failure, rawnetlink.ErrOutcomeUnknown) {
			break
		}
	}
	if errors.Is(failure, unix.EOPNOTSUPP) || errors.Is(failure, unix.EAFNOSUPPORT) || errors.Is(failure, unix.ENOENT) {
		return nil // no IPv6, or no such table yet
	}
	return failure
}

// encodeRouteChange makes the message that adds or deletes the route of a range, as RTM_NEWADDR or RTM_DELADDR says. Without NLM_F_EXCL a
// route of the range through another interface is no obstacle (fib_table_insert, fib6_add_rt2node): it answers EEXIST to the same route only, so
// that a range moves to another interface without a moment in which it has none.
func encodeRouteChange(command netlink.HeaderType, link link, prefix netip.Prefix) (netlink.Message, error) {
	family := uint8(unix.AF_INET)
	if prefix.Addr().Is6() {
		family = unix.AF_INET6
	}
	header := netlink.Header{Type: unix.RTM_NEWROUTE, Flags: netlink.Create}
	if command == unix.RTM_DELADDR {
		header = netlink.Header{Type: unix.RTM_DELROUTE}
	}
	body, err := encodeRoute(link, family, prefix)
	return netlink.Message{Header: header, Data: body}, err
}

// encodeRoute makes struct rtmsg (family, dst_len, src_len, tos, table, protocol, scope, type, flags) and attributes of a local route;
// without a prefix it is the filter of a dump, which may name no protocol: others' routes count as well.
func encodeRoute(link link, family uint8, prefix netip.Prefix) ([]byte, error) {
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[4], header[7] = family, unix.RT_TABLE_LOCAL, unix.RTN_LOCAL
	attributes := netlink.NewAttributeEncoder()
	if prefix.IsValid() {
		header[1], header[5], header[6] = uint8(prefix.Bits()), routeProtocol, unix.RT_SCOPE_HOST
		attributes.Bytes(unix.RTA_DST, prefix.Addr().AsSlice())
	}
	attributes.Uint32(unix.RTA_OIF, link.index)
	encoded, err := attributes.Encode()
	return append(header, encoded...), err
}

// decodeRoute reads a route; an older kernel sends all that it has.
func decodeRoute(link link, data []byte) (prefix netip.Prefix, isLocal bool, err error) {
	if len(data) < unix.SizeofRtMsg {
		return netip.Prefix{}, false, fmt.Errorf("%w: route of %d bytes", rawnetlink.ErrMalformed, len(data))
	}
	attributes, err := netlink.NewAttributeDecoder(data[unix.SizeofRtMsg:])
	if err != nil {
		return netip.Prefix{}, false, fmt.Errorf("%w: %w", rawnetlink.ErrMalformed, err)
	}
	var index uint32
	for attributes.Next() {
		switch attributes.Type() {
		case unix.RTA_DST:
			address, _ := netip.AddrFromSlice(attributes.Bytes())
			prefix = netip.PrefixFrom(address, int(data[1]))
		case unix.RTA_OIF:
			index = attributes.Uint32()
		}
	}
	isLocal = index == link.index && data[4] == unix.RT_TABLE_LOCAL && data[7] == unix.RTN_LOCAL && prefix.IsValid()
	return prefix, isLocal, attributes.Err()
}
