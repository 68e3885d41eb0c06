package packets

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestCanonicalRangesDoNotOverlap(t *testing.T) {
	for given, want := range map[string]string{
		"":                                "",
		"198.51.100.0/24":                 "198.51.100.0/24",
		"198.51.100.0/24 198.51.100.0/24": "198.51.100.0/24",
		"198.51.100.128/25 198.51.100.0/25 198.51.100.0/26": "198.51.100.0/25 198.51.100.128/25",
		"203.0.113.7/32 0.0.0.0/0":                          "0.0.0.0/0",
		"2001:db8:1::/48 2001:db8::/32 2001:db9::/32":       "2001:db8::/32 2001:db9::/32",
	} {
		var ranges []netip.Prefix
		for _, text := range strings.Fields(given) {
			ranges = append(ranges, netip.MustParsePrefix(text))
		}
		if got := strings.Trim(fmt.Sprint(Canonical(ranges)), "[]"); got != want {
			t.Errorf("%q became %q, wanted %q", given, got, want)
		}
	}
}

func TestRulesInWords(t *testing.T) {
	for want, rules := range map[string]Rules{
		"none":          {},
		"let in nobody": {Restricted: true},
		"masquerade":    {Masquerade: true},
		"let in only 198.51.100.0/24, masquerade, TCP segments of at most 1400 bytes": {true, true, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, 1400},
	} {
		if rules.String() != want {
			t.Errorf("%+v reads %q, wanted %q", rules, rules, want)
		}
	}
}
