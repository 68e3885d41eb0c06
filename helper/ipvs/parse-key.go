package ipvs

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParseServiceKey reads what ServiceKey.String writes for a virtual server that is not a firewall mark's.
func ParseServiceKey(text string) (ServiceKey, error) {
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
	return ServiceKey{}, fmt.Errorf("%q is not a virtual server: it does not begin with TCP, UDP or SCTP", text)
}

// ParseDestinationKey reads what DestinationKey.String writes.
func ParseDestinationKey(text string) (DestinationKey, error) {
	parsed, err := netip.ParseAddrPort(text)
	if err != nil {
		return DestinationKey{}, fmt.Errorf("%q is not a real server: %w", text, err)
	}
	return DestinationKey{Address: parsed.Addr(), Port: parsed.Port()}, nil
}
