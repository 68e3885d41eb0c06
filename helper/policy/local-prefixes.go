package policy

import (
	"fmt"
	"net/netip"
	"slices"
)

// parseLocalPrefixes wants ranges of more than one address, each within the owner's, none within another, none of everything: with that
// as a local route the host would take every packet for its own.
func parseLocalPrefixes(texts []string, granted []netip.Prefix) ([]netip.Prefix, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	prefixes, err := parsePrefixes("localPrefixes", texts)
	if err != nil {
		return nil, err
	}
	for index, prefix := range prefixes {
		isWithin := func(grant netip.Prefix) bool {
			return grant.Bits() <= prefix.Bits() && grant.Contains(prefix.Addr())
		}
		switch {
		case prefix.Bits() == 0:
			return nil, fmt.Errorf("localPrefixes: %s is every address, and this host would keep what it sends to others: name the ranges that are routed to it, like 203.0.113.0/24", prefix)
		case prefix.IsSingleIP():
			return nil, fmt.Errorf("localPrefixes: %s is a single address, which needs no route", prefix)
		case !slices.ContainsFunc(granted, isWithin):
			return nil, fmt.Errorf("localPrefixes: %s lies in none of virtualServers", prefix)
		case slices.ContainsFunc(prefixes[:index], prefix.Overlaps):
			return nil, fmt.Errorf("localPrefixes: %s overlaps another", prefix)
		}
	}
	return prefixes, nil
}
