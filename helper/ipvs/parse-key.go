package ipvs

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseServiceKey reads what ServiceKey.String writes.
func ParseServiceKey(text string) (ServiceKey, error) {
	if key, isMark := parseFirewallMark(text); isMark {
		return key, nil
	}
	name, endpoint, _ := strings.Cut(text, " ")
	for _, protocol := range []Protocol{TCP, UDP, SCTP} {
		if protocol.String() != name {
			continue
		}
		parsed, err := netip.ParseAddrPort(endpoint)
		if err != nil {
			return ServiceKey{}, fmt.Errorf("%q is not a virtual server: %w", text, err)
		}
		return ServiceKey{Family: FamilyOf(parsed.Addr()), Protocol: protocol, Address: parsed.Addr(), Port: parsed.Port()}, nil
	}
	return ServiceKey{}, fmt.Errorf("%q is not a virtual server: it does not begin with TCP, UDP, SCTP or firewall mark", text)
}

// parseFirewallMark takes nothing but the exact spelling of ServiceKey.String.
func parseFirewallMark(text string) (ServiceKey, bool) {
	for _, family := range []Family{IPv4, IPv6} {
		number, isMark := strings.CutPrefix(text, "firewall mark ")
		number, isFamily := strings.CutSuffix(number, " ("+family.String()+")")
		mark, err := strconv.ParseUint(number, 10, 32)
		key := ServiceKey{Family: family, FirewallMark: uint32(mark)}
		if isMark && isFamily && err == nil && key.String() == text {
			return key, true
		}
	}
	return ServiceKey{}, false
}

// ParseDestinationKey reads what DestinationKey.String writes.
func ParseDestinationKey(text string) (DestinationKey, error) {
	parsed, err := netip.ParseAddrPort(text)
	if err != nil {
		return DestinationKey{}, fmt.Errorf("%q is not a real server: %w", text, err)
	}
	return DestinationKey{Address: parsed.Addr(), Port: parsed.Port()}, nil
}
