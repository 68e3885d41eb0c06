package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/rawnetlink"
)

func generation(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0, 8, 0, unix.NFTA_GEN_ID, 0}, number)
}

func TestGeneration(t *testing.T) {
	if number, err := decodeGeneration(generation(0x01020304)); err != nil || number != 0x01020304 {
		t.Errorf("%d, %v", number, err)
	}
	for length := range generation(7) {
		if _, err := decodeGeneration(generation(7)[:length]); !errors.Is(err, rawnetlink.ErrMalformed) {
			t.Errorf("cut after %d bytes: %v", length, err)
		}
	}
}

// Whatever the kernel says, reading it ends in a number that stands in the message, or in an error, and depends on nothing beside the
// message.
func FuzzDecodeGeneration(f *testing.F) {
	f.Add(generation(7))
	f.Add(generation(7)[:11])
	f.Add([]byte{0, 0, 0, 0, 5, 0, unix.NFTA_GEN_ID, 0, 7, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 255, 255, 9, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		with := func(other byte) []byte {
			return append(bytes.Clone(data), bytes.Repeat([]byte{other}, 64)...)[:len(data)]
		}
		number, err := decodeGeneration(with(0))
		again, errAgain := decodeGeneration(with(255))
		if number != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("%d %v, with other bytes behind it %d %v", number, err, again, errAgain)
		}
		if err == nil && !bytes.Contains(data, binary.BigEndian.AppendUint32(nil, number)) {
			t.Fatalf("%d stands nowhere in the message", number)
		}
	})
}
