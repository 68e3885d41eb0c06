// Package packets is what happens to a virtual server's packets beside IPVS: clients outside its source ranges are dropped,
// what goes to its real servers is masqueraded, TCP segments are kept small. Values, plan and a table in memory; package nft
// has the kernel's.
package packets

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// Rules are those of one virtual server; the zero value is none.
type Rules struct {
	Masquerade bool
	// Restricted lets in only clients of SourceRanges, in canonical order, none within another; it may be none at all.
	Restricted   bool
	SourceRanges []netip.Prefix
	// MSS is the greatest TCP segment to announce; 0 leaves it alone.
	MSS uint16
}

// Equal reports whether two sets of rules do the same.
func (r Rules) Equal(other Rules) bool {
	return r.Masquerade == other.Masquerade && r.Restricted == other.Restricted && r.MSS == other.MSS && slices.Equal(r.SourceRanges, other.SourceRanges)
}

// IsZero reports whether there are no rules.
func (r Rules) IsZero() bool { return r.Equal(Rules{}) }

// String says the rules in words.
func (r Rules) String() string {
	var parts []string
	if r.Restricted {
		ranges := "nobody"
		if len(r.SourceRanges) > 0 {
			ranges = "only " + strings.Trim(fmt.Sprint(r.SourceRanges), "[]")
		}
		parts = append(parts, "let in "+ranges)
	}
	if r.Masquerade {
		parts = append(parts, "masquerade")
	}
	if r.MSS != 0 {
		parts = append(parts, fmt.Sprintf("TCP segments of at most %d bytes", r.MSS))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// The least is what every IPv4 host takes (RFC 879); the greatest fits into an IPv4 packet.
const minMSS, maxMSS = 536, 65495

// Parse validates the rules of a virtual server. Ranges of the other address family are left out: no client of the virtual
// server has such an address, yet a list of nothing else lets in nobody. The error is a sentence.
func Parse(key ipvs.ServiceKey, sent wire.PacketRules, realServers []ipvs.Destination) (Rules, error) {
	rules := Rules{Masquerade: sent.Masquerade, Restricted: len(sent.SourceRanges) > 0, MSS: uint16(sent.MSSClamp)}
	if key.FirewallMark != 0 && (sent.Masquerade || rules.Restricted || sent.MSSClamp != 0) {
		return Rules{}, fmt.Errorf("masquerade, sourceRanges and mssClamp need an address: a firewall mark has its own rules")
	}
	if sent.MSSClamp != 0 && (sent.MSSClamp < minMSS || sent.MSSClamp > maxMSS) {
		return Rules{}, fmt.Errorf("mssClamp %d is outside %d … %d", sent.MSSClamp, minMSS, maxMSS)
	}
	if sent.MSSClamp != 0 && key.Protocol != ipvs.TCP {
		return Rules{}, fmt.Errorf("mssClamp works with TCP only, not with %s", key.Protocol)
	}
	for index := range realServers {
		realServer := &realServers[index]
		if sent.Masquerade && realServer.ForwardingMethod != ipvs.Masquerading {
			return Rules{}, fmt.Errorf("masquerade works with forwarding method Masquerading only: real server %s has %s", realServer.DestinationKey, realServer.ForwardingMethod)
		}
	}
	for _, text := range sent.SourceRanges {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() {
			return Rules{}, fmt.Errorf("source range %q is not a CIDR range", text)
		}
		if prefix != prefix.Masked() {
			return Rules{}, fmt.Errorf("source range %s has bits behind its prefix: write %s", text, prefix.Masked())
		}
		if ipvs.FamilyOf(prefix.Addr()) == key.Family {
			rules.SourceRanges = append(rules.SourceRanges, prefix)
		}
	}
	rules.SourceRanges = Canonical(rules.SourceRanges)
	return rules, nil
}

// Canonical sorts ranges and leaves out what lies within another: the kernel's sets refuse overlaps.
func Canonical(ranges []netip.Prefix) []netip.Prefix {
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b netip.Prefix) int {
		if order := a.Addr().Compare(b.Addr()); order != 0 {
			return order
		}
		return a.Bits() - b.Bits()
	})
	var kept []netip.Prefix
	for _, prefix := range sorted {
		if len(kept) == 0 || !kept[len(kept)-1].Overlaps(prefix) {
			kept = append(kept, prefix)
		}
	}
	return kept
}
