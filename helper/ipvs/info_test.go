package ipvs

import (
	"encoding/hex"
	"errors"
	"testing"
)

// The answer of a kernel to IPVS_CMD_GET_INFO (IPVS_CMD_SET_INFO), on little-endian hosts.
const goldenInfo = "0e010000" + "08000100" + "01020100" + "08000200" + "00100000"

func TestGoldenInfo(t *testing.T) {
	got, err := decodeInfo(bytesOf(t, goldenInfo))
	if want := (Info{Version: "1.2.1", ConnectionTableSize: 4096}); err != nil || got != want {
		t.Errorf("decoded %+v, %v; wanted %+v", got, err, want)
	}
	// From Linux 7.1 on there may be no table yet.
	got, err = decodeInfo(bytesOf(t, "0e010000"+"08000200"+"00000000"+"08000100"+"03027f00"))
	if want := (Info{Version: "127.2.3"}); err != nil || got != want {
		t.Errorf("decoded %+v, %v; wanted %+v", got, err, want)
	}
}

func TestDecodeRefusesInfoThatIsNotWhole(t *testing.T) {
	whole, err := hex.DecodeString(goldenInfo)
	if err != nil {
		t.Fatal(err)
	}
	for length := range whole {
		if got, err := decodeInfo(whole[:length]); !errors.Is(err, ErrMalformed) {
			t.Errorf("the first %d bytes are taken as %+v, %v", length, got, err)
		}
	}
	if got, err := decodeInfo(bytesOf(t, "0e010000"+"06000100"+"0102"+"0000"+"08000200"+"00100000")); !errors.Is(err, ErrMalformed) {
		t.Errorf("a version of two bytes is taken as %+v, %v", got, err)
	}
}
