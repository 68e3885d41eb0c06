// Package address puts VIPs on a network interface of the host and announces them: the Kernel interface, the real one over
// rtnetlink and packet sockets, and one in memory.
package address

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// Assigned is a VIP on an interface, as /32 or /128; or a range of VIPs that one route of type local brings to it.
type Assigned struct {
	Interface string
	// Address is the VIP, or the first address of the range.
	Address netip.Addr
	// Bits is the length of the range's prefix; 0 for a VIP.
	Bits uint8
}

// IsRoute tells a range from a VIP.
func (a Assigned) IsRoute() bool { return a.Bits != 0 }

// Prefix is the range, or the VIP as a range of one.
func (a Assigned) Prefix() netip.Prefix {
	if a.IsRoute() {
		return netip.PrefixFrom(a.Address, int(a.Bits))
	}
	return netip.PrefixFrom(a.Address, a.Address.BitLen())
}

// Name is the VIP, or the range in CIDR notation.
func (a Assigned) Name() string {
	if a.IsRoute() {
		return a.Prefix().String()
	}
	return a.Address.String()
}

// String is "203.0.113.10 on lo" or "203.0.113.0/24 on lo".
func (a Assigned) String() string { return a.Name() + " on " + a.Interface }

// Compare orders by address, then interface; a VIP before a range.
func (a Assigned) Compare(other Assigned) int {
	return cmp.Or(a.Address.Compare(other.Address), strings.Compare(a.Interface, other.Interface), cmp.Compare(a.Bits, other.Bits))
}

// Parse reads what String writes.
func Parse(text string) (Assigned, error) {
	first, name, found := strings.Cut(text, " on ")
	prefix, err := netip.ParsePrefix(first)
	if err == nil && found && name != "" && prefix == prefix.Masked() && prefix.Bits() > 0 {
		return Assigned{Interface: name, Address: prefix.Addr(), Bits: uint8(prefix.Bits())}, nil
	}
	parsed, err := netip.ParseAddr(first)
	if !found || err != nil || name == "" {
		return Assigned{}, fmt.Errorf("%q is not an address on an interface", text)
	}
	return Assigned{Interface: name, Address: parsed}, nil
}

// Kernel is the addresses of one network namespace. Errors carry the kernel's errno (a unix.Errno under errors.As);
// ENODEV means that the interface does not exist.
type Kernel interface {
	// Held says which of the addresses are on the interface now, whatever their prefix length. The cost depends on the
	// number asked for, not on how many the interface has.
	Held(interfaceName string, addresses []netip.Addr) (map[netip.Addr]bool, error)
	// LocalRoutes says which of the ranges a route of type local brings to the interface now, whoever made it.
	LocalRoutes(interfaceName string, ranges []netip.Prefix) (map[netip.Prefix]bool, error)
	// Add assigns each address as /32 or /128, IPv6 without duplicate address detection, or adds the range's route to table local. One
	// result for each, in order: nil, or the errno; EEXIST when it is there.
	Add(assigned ...Assigned) []error
	// Delete removes each /32 or /128, or the route that we made. One result for each, in order: nil, or the errno; EADDRNOTAVAIL when the
	// address is not there, ESRCH when the route is not.
	Delete(assigned ...Assigned) []error
	// Announce tells the neighbours where each address is now (gratuitous ARP, unsolicited neighbour advertisement), one result for each,
	// in order. On an interface without neighbours (lo, dummy) it does nothing. It returns after the first announcement; four more follow
	// in the next second while the address stays.
	Announce(assigned ...Assigned) []error
	// Wait returns when all announcements are made. A process that ends takes those that are left with it.
	Wait()
	// Close releases the kernel's resources.
	Close() error
}
