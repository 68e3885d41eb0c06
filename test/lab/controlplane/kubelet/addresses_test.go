package kubelet

import (
	"net"
	"testing"
)

func rangesOf(t *testing.T, texts ...string) *addressRanges {
	t.Helper()
	var ranges []*net.IPNet
	for _, text := range texts {
		_, parsed, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		ranges = append(ranges, parsed)
	}
	return newAddressRanges(ranges)
}

func TestAddressesOfBothFamiliesShareTheHostNumber(t *testing.T) {
	addresses := rangesOf(t, "198.18.129.0/24", "2001:db8:5:1::/64")
	number, err := addresses.take()
	if err != nil {
		t.Fatal(err)
	}
	got := addresses.at(number)
	if got[0].String() != "198.18.129.2" || got[1].String() != "2001:db8:5:1::2" {
		t.Errorf("got %s", got)
	}
}

func TestAnAddressIsUsedAgainOnlyWhenAllOthersWere(t *testing.T) {
	addresses := rangesOf(t, "198.18.129.0/24")
	first, _ := addresses.take()
	addresses.release(first)
	for range lastPodNumber - firstPodNumber {
		if number, err := addresses.take(); err != nil || number == first {
			t.Fatalf("took %d (%v) while others were free", number, err)
		}
	}
	if again, err := addresses.take(); err != nil || again != first {
		t.Errorf("took %d (%v), not the one that was given back", again, err)
	}
	if _, err := addresses.take(); err == nil {
		t.Error("an address of a full range")
	}
}
