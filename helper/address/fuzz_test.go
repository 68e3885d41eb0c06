package address

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// between is a message with other bytes of the same buffer behind it, as messages stand in a datagram.
func between(message []byte, other byte) []byte {
	buffer := append(bytes.Clone(message), bytes.Repeat([]byte{other}, 64)...)
	return buffer[:len(message)]
}

// attribute is one attribute of an rtnetlink message, padded.
func attribute(kind uint16, value ...byte) []byte {
	encoded := binary.NativeEndian.AppendUint16(nil, uint16(unix.NLA_HDRLEN+len(value)))
	encoded = append(binary.NativeEndian.AppendUint16(encoded, kind), value...)
	return append(encoded, make([]byte, -len(encoded)&(unix.NLA_ALIGNTO-1))...)
}

func message(header []byte, attributes ...[]byte) []byte {
	return append(header, bytes.Join(attributes, nil)...)
}

var index7 = binary.NativeEndian.AppendUint32(nil, 7)

// Whatever the kernel says about addresses, reading it ends in an address or in an error, and depends on nothing beside the message.
func FuzzDecodeAddress(f *testing.F) {
	four, six := netip.MustParseAddr("203.0.113.10").AsSlice(), netip.MustParseAddr("2001:db8::10").AsSlice()
	header := append([]byte{unix.AF_INET, 32, 0, 0}, index7...)
	f.Add(message(header, attribute(unix.IFA_ADDRESS, four...), attribute(unix.IFA_LOCAL, four...)))
	f.Add(message(append([]byte{unix.AF_INET6, 128, 0, 0}, index7...), attribute(unix.IFA_ADDRESS, six...), attribute(unix.IFA_FLAGS, 2, 0, 0, 0)))
	f.Add(message(header, attribute(unix.IFA_LOCAL, 203, 0, 113), attribute(unix.IFA_ADDRESS)))
	f.Add(message(header, []byte{255, 255, 2, 0}))
	f.Add(header[:7])
	f.Fuzz(func(t *testing.T, data []byte) {
		index, found, err := decodeAddress(between(data, 0))
		again, same, errAgain := decodeAddress(between(data, 255))
		if index != again || found != same || (err == nil) != (errAgain == nil) {
			t.Fatalf("%d %s %v, with other bytes behind it %d %s %v", index, found, err, again, same, errAgain)
		}
		if err == nil && index != binary.NativeEndian.Uint32(data[4:]) {
			t.Fatalf("index %d", index)
		}
		if found.IsValid() && !bytes.Contains(data, found.AsSlice()) {
			t.Fatalf("%s stands nowhere in the message", found)
		}
	})
}

// The same for routes, both when one is looked up and when all are listed; what counts as ours to see is a whole local range.
func FuzzDecodeRoute(f *testing.F) {
	header := func(bits byte) []byte {
		return []byte{unix.AF_INET, bits, 0, 0, unix.RT_TABLE_LOCAL, routeProtocol, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0}
	}
	f.Add(message(header(24), attribute(unix.RTA_DST, 203, 0, 113, 0), attribute(unix.RTA_OIF, index7...)))
	f.Add(message(header(32), attribute(unix.RTA_DST, 203, 0, 113, 10), attribute(unix.RTA_OIF, index7...)))
	f.Add(message(header(0), attribute(unix.RTA_OIF, index7...)))
	f.Add(message(header(129), attribute(unix.RTA_DST, 203, 0, 113, 0), attribute(unix.RTA_OIF, 7)))
	f.Add(message(header(24), attribute(unix.RTA_DST, 1, 2), []byte{3, 0, 4, 0}))
	f.Add(header(24)[:11])
	link := link{index: 7}
	f.Fuzz(func(t *testing.T, data []byte) {
		prefix, isLocal, err := decodeRoute(link, between(data, 0))
		same, isLocalAgain, errAgain := decodeRoute(link, between(data, 255))
		if prefix != same || isLocal != isLocalAgain || (err == nil) != (errAgain == nil) {
			t.Fatalf("%s %t %v, with other bytes behind it %s %t %v", prefix, isLocal, err, same, isLocalAgain, errAgain)
		}
		if isLocal && (!prefix.IsValid() || prefix.Bits() != int(data[1]) || !bytes.Contains(data, prefix.Addr().AsSlice())) {
			t.Fatalf("a local route to %s", prefix)
		}
		on, err := isLocalOn(link, between(data, 0))
		onAgain, errAgain := isLocalOn(link, between(data, 255))
		if on != onAgain || (err == nil) != (errAgain == nil) || on && data[1] != 32 {
			t.Fatalf("on the interface: %t %v, with other bytes behind it %t %v", on, err, onAgain, errAgain)
		}
	})
}
