package nft

import (
	"net/netip"
	"testing"

	"github.com/google/nftables"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
)

// What is written into sets is read out of them as the same rules.
func TestElementsRoundTrip(t *testing.T) {
	for _, row := range []struct {
		key    string
		ranges []string
	}{
		{"TCP 203.0.113.10:80", []string{"0.0.0.0/0"}},
		{"UDP 203.0.113.10:53", []string{"198.51.100.0/24", "198.51.101.7/32", "203.0.112.0/23"}},
		{"SCTP [2001:db8::10]:36412", []string{"2001:db8:9::/48", "2001:db8:a::1/128"}},
		{"TCP [2001:db8::10]:80", []string{"::/0"}},
		{"TCP [2001:db8::10]:443", nil},
	} {
		key, err := ipvs.ParseServiceKey(row.key)
		if err != nil {
			t.Fatal(err)
		}
		rules := packets.Rules{Masquerade: true, Restricted: true, MSS: 1400}
		for _, text := range row.ranges {
			rules.SourceRanges = append(rules.SourceRanges, netip.MustParsePrefix(text))
		}
		read := map[ipvs.ServiceKey]packets.Rules{}
		for _, part := range parts {
			for set, elements := range part.elements(key, rules) {
				for _, element := range elements {
					if err := decode(set, element, part.family, read); err != nil {
						t.Errorf("%s: %v", set, err)
					}
				}
			}
		}
		if len(read) != 1 || !read[key].Equal(rules) {
			t.Errorf("%s: wrote %v, read %v", row.key, rules, read)
		}
	}
}

func FuzzDecodeElement(f *testing.F) {
	f.Add("sources", []byte{6, 0, 0, 0, 203, 0, 113, 10, 0, 80, 0, 0, 198, 51, 100, 0}, []byte{6, 0, 0, 0, 203, 0, 113, 10, 0, 80, 0, 0, 198, 51, 100, 255}, []byte{})
	f.Add("mss", []byte{6, 0, 0, 0, 203, 0, 113, 10, 0, 80, 0, 0}, []byte{}, []byte{5, 120})
	f.Add("restricted", []byte{1}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, set string, key, end, value []byte) {
		for _, family := range []ipvs.Family{ipvs.IPv4, ipvs.IPv6} {
			read := map[ipvs.ServiceKey]packets.Rules{}
			err := decode(set, nftables.SetElement{Key: key, KeyEnd: end, Val: value}, family, read)
			if err == nil && len(read) != 1 {
				t.Errorf("no error and %d entries", len(read))
			}
		}
	})
}
