package rawnetlink

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

func TestMessagesRoundTrip(t *testing.T) {
	var datagram []byte
	var want []netlink.Message
	for length := range 9 { // all paddings
		message := netlink.Message{Header: netlink.Header{Length: uint32(headerLength + length), Type: 30, Flags: netlink.Request | netlink.Acknowledge, Sequence: uint32(length), PID: 7},
			Data: bytes.Repeat([]byte{byte(length)}, length)}
		want = append(want, message)
		datagram = appendMessage(datagram, message)
	}
	got, err := Parse(datagram)
	if err != nil || len(got) != len(want) {
		t.Fatalf("parsed %d messages, %v", len(got), err)
	}
	for index := range want {
		if got[index].Header != want[index].Header || !bytes.Equal(got[index].Data, want[index].Data) {
			t.Errorf("message %d is %+v, wanted %+v", index, got[index], want[index])
		}
	}
}

func TestMalformedDatagrams(t *testing.T) {
	whole := appendMessage(nil, netlink.Message{Data: []byte{1, 2, 3, 4}})
	short, long := bytes.Clone(whole), bytes.Clone(whole)
	short[0], long[0] = 15, 21
	for name, datagram := range map[string][]byte{"cut header": whole[:10], "cut body": whole[:18], "length below the header's": short, "length beyond the datagram": long} {
		if _, err := Parse(datagram); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrnoOfAcknowledgements(t *testing.T) {
	for name, row := range map[string]struct {
		message netlink.Message
		want    error
	}{
		"success":           {netlink.Message{Header: netlink.Header{Type: netlink.Error}, Data: []byte{0, 0, 0, 0}}, nil},
		"EEXIST":            {netlink.Message{Header: netlink.Header{Type: netlink.Error}, Data: []byte{0xef, 0xff, 0xff, 0xff}}, unix.EEXIST},
		"no errno":          {netlink.Message{Header: netlink.Header{Type: netlink.Error}}, ErrMalformed},
		"end without errno": {netlink.Message{Header: netlink.Header{Type: netlink.Done}}, nil},
	} {
		if got := errnoIn(row.message); !errors.Is(got, row.want) {
			t.Errorf("%s: %v, wanted %v", name, got, row.want)
		}
	}
}

// A datagram is at most as long as the receive buffer; the most messages in it are headers without data.
func TestParsingIsBounded(t *testing.T) {
	datagram := bytes.Repeat(appendMessage(nil, netlink.Message{}), receiveBytes/headerLength)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	messages, err := Parse(datagram)
	runtime.ReadMemStats(&after)
	if err != nil || len(messages) != receiveBytes/headerLength {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 20*receiveBytes {
		t.Errorf("%d bytes allocated for a datagram of %d", allocated, len(datagram))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(appendMessage(appendMessage(nil, netlink.Message{Data: []byte{1}}), netlink.Message{}))
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{16, 0, 0, 0})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		messages, err := Parse(datagram)
		total := 0
		for _, message := range messages {
			total += headerLength + len(message.Data)
			_ = errnoIn(message)
		}
		if err == nil && total > len(datagram) {
			t.Fatalf("%d bytes out of %d", total, len(datagram))
		}
	})
}
