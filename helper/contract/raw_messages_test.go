package contract

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/rawnetlink"
	"ipvs-operator.io/helper/wire"
)

// Messages that our codec never makes, and answers that it does not interpret here: written by the numbers of
// include/uapi/linux/ip_vs.h, without it.
type raw struct {
	socket *rawnetlink.Socket
	family uint16
}

const (
	rawNewService, rawGetService, rawNewDest, rawGetDest = 1, 4, 5, 8
	rawNestedService, rawNestedDest                      = 1, 2
	rawFlags                                             = 7
)

func newRaw(t *testing.T) raw {
	t.Helper()
	r := raw{socket: rawnetlink.New(unix.NETLINK_GENERIC), family: unix.GENL_ID_CTRL}
	t.Cleanup(func() { _ = r.socket.Close() })
	answer, err := r.get(unix.CTRL_CMD_GETFAMILY, func(attributes *netlink.AttributeEncoder) {
		attributes.String(unix.CTRL_ATTR_FAMILY_NAME, "IPVS")
	})
	if err != nil {
		t.Fatal(err)
	}
	r.family = binary.NativeEndian.Uint16(attributesOf(t, answer[4:])[unix.CTRL_ATTR_FAMILY_ID])
	return r
}

func (r raw) get(command uint8, encode func(*netlink.AttributeEncoder)) ([]byte, error) {
	attributes := netlink.NewAttributeEncoder()
	encode(attributes)
	body, err := attributes.Encode()
	if err != nil {
		return nil, err
	}
	return r.socket.Get(netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(r.family)}, Data: append([]byte{command, 1, 0, 0}, body...)})
}

func attributesOf(t *testing.T, body []byte) map[uint16][]byte {
	t.Helper()
	decoder, err := netlink.NewAttributeDecoder(body)
	if err != nil {
		t.Fatal(err)
	}
	found := map[uint16][]byte{}
	for decoder.Next() {
		found[decoder.Type()] = decoder.Bytes()
	}
	return found
}

// rawKey is TCP 203.0.113.10:80, or another port.
func rawKey(port uint16) func(*netlink.AttributeEncoder) error {
	return func(nested *netlink.AttributeEncoder) error {
		nested.Uint16(1, unix.AF_INET)
		nested.Uint16(2, unix.IPPROTO_TCP)
		nested.Bytes(3, netip.MustParseAddr("203.0.113.10").AsSlice())
		nested.Bytes(4, binary.BigEndian.AppendUint16(nil, port))
		return nil
	}
}

// contents are scheduler, flags, timeout and netmask, but for one.
func contents(without uint16) func(*netlink.AttributeEncoder) {
	return func(nested *netlink.AttributeEncoder) {
		for kind, value := range map[uint16][]byte{6: []byte("rr\x00"), rawFlags: make([]byte, 8), 8: make([]byte, 4), 9: {255, 255, 255, 255}} {
			if kind != without {
				nested.Bytes(kind, value)
			}
		}
	}
}

func TestKernelRawMessages(t *testing.T) {
	kernelOnly(t)
	w := realWorld(t)
	r := newRaw(t)
	service := func(command uint8, port uint16, more func(*netlink.AttributeEncoder)) error {
		_, err := r.get(command, func(attributes *netlink.AttributeEncoder) {
			attributes.Nested(rawNestedService, func(nested *netlink.AttributeEncoder) error {
				_ = rawKey(port)(nested)
				more(nested)
				return nil
			})
		})
		return err
	}
	destination := func(without uint16) error {
		_, err := r.get(rawNewDest, func(attributes *netlink.AttributeEncoder) {
			attributes.Nested(rawNestedService, rawKey(80))
			attributes.Nested(rawNestedDest, func(nested *netlink.AttributeEncoder) error {
				nested.Bytes(1, netip.MustParseAddr("192.0.2.21").AsSlice())
				nested.Bytes(2, binary.BigEndian.AppendUint16(nil, 80))
				for kind, value := range map[uint16]uint32{3: 3, 4: 1, 5: 0, 6: 0} {
					if kind != without {
						nested.Uint32(kind, value)
					}
				}
				return nil
			})
		})
		return err
	}
	want := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: %s, wanted %s", what, show(got), show(want))
		}
	}
	for _, attribute := range []uint16{6, rawFlags, 8, 9} {
		want("new service without a mandatory attribute", service(rawNewService, 80, contents(attribute)), unix.EINVAL)
	}
	unknown := func(nested *netlink.AttributeEncoder) {
		contents(0)(nested)
		nested.Uint32(60, 1)
	}
	want("new service with an unknown attribute", service(rawNewService, 80, unknown), nil)
	for _, attribute := range []uint16{3, 4, 5, 6} {
		want("new destination without a mandatory attribute", destination(attribute), unix.EINVAL)
	}
	want("new destination", destination(0), nil)
	want("get destinations without a dump", service(rawGetDest, 80, func(*netlink.AttributeEncoder) {}), unix.EOPNOTSUPP)
	want("unknown command", service(99, 80, func(*netlink.AttributeEncoder) {}), unix.EOPNOTSUPP)
	want("get a service that is missing", service(rawGetService, 81, func(*netlink.AttributeEncoder) {}), unix.ESRCH)
	w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s rr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
}

// ipvsadm never prints the third flag of sh and mh: the kernel's answer has its bit.
func TestThirdFlagIsInTheKernel(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		web := virtualServer("203.0.113.10", 80)
		web.Scheduler, web.SchedulerFlags = "mh", []string{"flag-3"}
		d.all(t, web)
		if got := keyed(t, d.read(t), wire.Key{Address: "203.0.113.10", Port: 80, Protocol: "TCP"}); len(got.SchedulerFlags) != 1 {
			t.Errorf("read %v", got.SchedulerFlags)
		}
		if !w.real {
			return
		}
		answer, err := newRaw(t).get(rawGetService, func(attributes *netlink.AttributeEncoder) { attributes.Nested(rawNestedService, rawKey(80)) })
		if err != nil {
			t.Fatal(err)
		}
		nested := attributesOf(t, attributesOf(t, answer[4:])[rawNestedService])
		if flags := binary.NativeEndian.Uint32(nested[rawFlags]); flags&0x20 == 0 {
			t.Errorf("flags %#x", flags)
		}
	})
}
