// Package address puts VIPs on a network interface of the host and announces them: the Kernel interface, the real one over
// rtnetlink and packet sockets, and one in memory.
package address

import (
	"fmt"
	"net/netip"
	"strings"
)

// Assigned is a VIP on an interface, as /32 or /128.
type Assigned struct {
	Interface string
	Address   netip.Addr
}

// String is "203.0.113.10 on lo".
func (a Assigned) String() string { return a.Address.String() + " on " + a.Interface }

// Compare orders by address, then interface.
func (a Assigned) Compare(other Assigned) int {
	if order := a.Address.Compare(other.Address); order != 0 {
		return order
	}
	return strings.Compare(a.Interface, other.Interface)
}

// Parse reads what String writes.
func Parse(text string) (Assigned, error) {
	first, name, found := strings.Cut(text, " on ")
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
	// Add assigns the address as /32 or /128, IPv6 without duplicate address detection; EEXIST when it is there.
	Add(assigned Assigned) error
	// Delete removes the /32 or /128; EADDRNOTAVAIL when it is not there.
	Delete(assigned Assigned) error
	// Announce tells the neighbours where the address is now (gratuitous ARP, unsolicited neighbour advertisement). On an
	// interface without neighbours (lo, dummy) it does nothing. It returns after the first announcement; four more follow in the next
	// second while the address stays.
	Announce(assigned Assigned) error
	// Wait returns when all announcements are made. A process that ends takes those that are left with it.
	Wait()
	// Close releases the kernel's resources.
	Close() error
}
