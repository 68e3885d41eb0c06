// Package policy reads the host's policy file: what the host's administrator grants to each owner. The helper obeys it on
// every request, whatever the operator says.
package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
)

// DefaultPath is where serve looks for the policy file.
const DefaultPath = "/etc/ipvs-operator/policy.json"

// Grant is what one owner may do. Missing optional limits are 0: no limit.
type Grant struct {
	Host HostGrant

	Owner          string
	VirtualServers []netip.Prefix
	RealServers    []netip.Prefix
	// LocalPrefixes are ranges of VIPs that get one local route instead of an address for each.
	LocalPrefixes     []netip.Prefix
	Ports             []PortRange
	ForwardingMethods []string
	Interfaces        []string
	// FirewallMarks whose virtual servers the owner may write; none unless the file grants some.
	FirewallMarks      []MarkRange
	MaxVirtualServers  int
	MaxRealServers     int
	MaxDeletions       int
	anyForwarding      bool
	anyPort            bool
	virtualServersText string
	realServersText    string
}

// PortRange is a closed range of ports.
type PortRange struct {
	First, Last uint16
}

// MarkRange is a closed range of firewall marks.
type MarkRange struct {
	First, Last uint32
}

type file struct {
	Owners map[string]*fileGrant `json:"owners"`
}

type fileGrant struct {
	Host HostGrant `json:"host"`

	VirtualServers                 []string `json:"virtualServers"`
	LocalPrefixes                  []string `json:"localPrefixes"`
	RealServers                    []string `json:"realServers"`
	Ports                          []string `json:"ports"`
	ForwardingMethods              []string `json:"forwardingMethods"`
	Interfaces                     []string `json:"interfaces"`
	FirewallMarks                  []string `json:"firewallMarks"`
	MaxVirtualServers              int      `json:"maxVirtualServers"`
	MaxRealServersPerVirtualServer int      `json:"maxRealServersPerVirtualServer"`
	MaxDeletionsPerRequest         int      `json:"maxDeletionsPerRequest"`
}

// Load reads the owner's grant from the file. The error is a sentence with a remedy.
func Load(path, owner string) (Grant, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Grant{}, fmt.Errorf("policy file %s does not exist: write one that grants owner %s its address ranges", path, owner)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("policy file %s cannot be read: %w; make it readable for the helper's user", path, errors.Unwrap(err))
	}
	grant, err := Parse(content, owner)
	if err != nil {
		return Grant{}, fmt.Errorf("policy file %s %w", path, err)
	}
	return grant, nil
}

// Owners are those that the file grants something to, sorted. The error is a sentence with a remedy.
func Owners(path string) ([]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("policy file %s cannot be read: %w; make it readable for the helper's user", path, err)
	}
	decoded, err := decode(content)
	if err != nil {
		return nil, fmt.Errorf("policy file %s %w", path, err)
	}
	return slices.Sorted(maps.Keys(decoded.Owners)), nil
}

// Parse decodes a policy strictly: whatever is not understood is refused, because it may be a limit that was misspelt.
func Parse(content []byte, owner string) (Grant, error) {
	decoded, err := decode(content)
	if err != nil {
		return Grant{}, err
	}
	sent := decoded.Owners[owner]
	if sent == nil {
		return Grant{}, fmt.Errorf("has no entry for owner %s: add %q under \"owners\"", owner, owner)
	}
	grant, err := sent.parse(owner)
	if err != nil {
		return Grant{}, fmt.Errorf("is not valid: owners.%s.%w; correct it", owner, err)
	}
	return grant, nil
}

func decode(content []byte) (file, error) {
	var decoded file
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&decoded); err != nil {
		return file{}, fmt.Errorf("is not valid: %s; correct it", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return file{}, errors.New("is not valid: data follows the object; correct it")
	}
	return decoded, nil
}

func (sent *fileGrant) parse(owner string) (Grant, error) {
	grant := Grant{
		Owner: owner, ForwardingMethods: sent.ForwardingMethods, Interfaces: sent.Interfaces,
		MaxVirtualServers: sent.MaxVirtualServers, MaxRealServers: sent.MaxRealServersPerVirtualServer, MaxDeletions: sent.MaxDeletionsPerRequest,
		anyForwarding: sent.ForwardingMethods == nil, anyPort: sent.Ports == nil,
		virtualServersText: strings.Join(sent.VirtualServers, ", "), realServersText: strings.Join(sent.RealServers, ", "),
	}
	var err error
	if grant.VirtualServers, err = parsePrefixes("virtualServers", sent.VirtualServers); err != nil {
		return Grant{}, err
	}
	if grant.RealServers, err = parsePrefixes("realServers", sent.RealServers); err != nil {
		return Grant{}, err
	}
	if grant.LocalPrefixes, err = parseLocalPrefixes(sent.LocalPrefixes, grant.VirtualServers); err != nil {
		return Grant{}, err
	}
	if grant.Ports, err = parsePorts(sent.Ports); err != nil {
		return Grant{}, err
	}
	if grant.FirewallMarks, err = parseMarks(sent.FirewallMarks); err != nil {
		return Grant{}, err
	}
	grant.Host = sent.Host
	if err := grant.Host.check(); err != nil {
		return Grant{}, err
	}
	for _, method := range sent.ForwardingMethods {
		if !slices.Contains([]string{"DirectRouting", "Masquerading", "Tunneling", "Local"}, method) {
			return Grant{}, fmt.Errorf("forwardingMethods: %q is none of DirectRouting, Masquerading, Tunneling, Local", method)
		}
	}
	if len(sent.Interfaces) == 0 {
		return Grant{}, errors.New("interfaces: name at least one interface that may carry VIPs")
	}
	if sent.MaxVirtualServers < 0 || sent.MaxRealServersPerVirtualServer < 0 || sent.MaxDeletionsPerRequest < 0 {
		return Grant{}, errors.New("max…: a limit cannot be negative")
	}
	return grant, nil
}

func parsePrefixes(field string, texts []string) ([]netip.Prefix, error) {
	if len(texts) == 0 {
		return nil, fmt.Errorf("%s: name at least one range", field)
	}
	var prefixes []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%s: %q is not a CIDR range", field, text)
		}
		if prefix != prefix.Masked() {
			return nil, fmt.Errorf("%s: %s has bits behind its prefix: write %s", field, text, prefix.Masked())
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func parsePorts(texts []string) ([]PortRange, error) {
	var ranges []PortRange
	for _, text := range texts {
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		low, errLow := strconv.ParseUint(first, 10, 16)
		high, errHigh := strconv.ParseUint(last, 10, 16)
		if errLow != nil || errHigh != nil || low == 0 || low > high {
			return nil, fmt.Errorf("ports: %q is neither a port nor a range like 1-65535", text)
		}
		ranges = append(ranges, PortRange{uint16(low), uint16(high)})
	}
	return ranges, nil
}

func parseMarks(texts []string) ([]MarkRange, error) {
	var ranges []MarkRange
	for _, text := range texts {
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		low, errLow := strconv.ParseUint(first, 10, 32)
		high, errHigh := strconv.ParseUint(last, 10, 32)
		if errLow != nil || errHigh != nil || low == 0 || low > high {
			return nil, fmt.Errorf("firewallMarks: %q is neither a mark nor a range like 1-100", text)
		}
		ranges = append(ranges, MarkRange{uint32(low), uint32(high)})
	}
	return ranges, nil
}

// OwnsMark reports whether the owner may write virtual servers of a firewall mark.
func (g Grant) OwnsMark(mark uint32) bool {
	return slices.ContainsFunc(g.FirewallMarks, func(marks MarkRange) bool { return marks.First <= mark && mark <= marks.Last })
}

// Owns reports whether an address lies in the owner's ranges; what does not is foreign.
func (g Grant) Owns(address netip.Addr) bool { return contains(g.VirtualServers, address) }

// CheckInterface says which rule forbids VIPs on the interface, or nil.
func (g Grant) CheckInterface(name string) error {
	if slices.Contains(g.Interfaces, name) {
		return nil
	}
	return fmt.Errorf("policy rule owners.%s.interfaces (%s) forbids VIPs on interface %s", g.Owner, strings.Join(g.Interfaces, ", "), name)
}

// CheckKey says which rule forbids the virtual server whatever its contents, or nil.
func (g Grant) CheckKey(key ipvs.ServiceKey) error {
	if key.FirewallMark != 0 {
		if g.OwnsMark(key.FirewallMark) {
			return nil
		}
		return fmt.Errorf("policy rule owners.%s.firewallMarks does not grant mark %d", g.Owner, key.FirewallMark)
	}
	if !g.Owns(key.Address) {
		return fmt.Errorf("policy rule owners.%s.virtualServers (%s) forbids address %s", g.Owner, g.virtualServersText, key.Address)
	}
	if !g.anyPort && !slices.ContainsFunc(g.Ports, func(ports PortRange) bool { return ports.First <= key.Port && key.Port <= ports.Last }) {
		return fmt.Errorf("policy rule owners.%s.ports forbids port %d", g.Owner, key.Port)
	}
	return nil
}

// Check says which rule forbids the virtual server, or nil.
func (g Grant) Check(virtualServer table.VirtualServer) error {
	if err := g.CheckKey(virtualServer.ServiceKey); err != nil {
		return err
	}
	if g.MaxRealServers > 0 && len(virtualServer.Destinations) > g.MaxRealServers {
		return fmt.Errorf("policy rule owners.%s.maxRealServersPerVirtualServer (%d) forbids %d real servers", g.Owner, g.MaxRealServers, len(virtualServer.Destinations))
	}
	for index := range virtualServer.Destinations {
		destination := &virtualServer.Destinations[index]
		if !contains(g.RealServers, destination.Address) {
			return fmt.Errorf("policy rule owners.%s.realServers (%s) forbids real server %s", g.Owner, g.realServersText, destination.DestinationKey)
		}
		if g.anyForwarding {
			continue
		}
		if method := destination.ForwardingMethod.String(); !slices.Contains(g.ForwardingMethods, method) {
			return fmt.Errorf("policy rule owners.%s.forwardingMethods (%s) forbids %s", g.Owner, strings.Join(g.ForwardingMethods, ", "), method)
		}
	}
	return nil
}

func contains(prefixes []netip.Prefix, address netip.Addr) bool {
	for index := range prefixes {
		if prefixes[index].Contains(address) {
			return true
		}
	}
	return false
}
