package address

import (
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Fake is the interfaces of a host in memory, with the kernel's errnos. Safe for concurrent use.
type Fake struct {
	mutex      sync.Mutex
	interfaces []string
	held       map[Assigned]bool
	announced  []Assigned
}

// NewFake is a host with the named interfaces and no address.
func NewFake(interfaces ...string) *Fake {
	return &Fake{interfaces: interfaces, held: map[Assigned]bool{}}
}

// Held implements Kernel.
func (f *Fake) Held(interfaceName string, addresses []netip.Addr) (map[netip.Addr]bool, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if !slices.Contains(f.interfaces, interfaceName) {
		return nil, unix.ENODEV
	}
	found := map[netip.Addr]bool{}
	for _, address := range addresses {
		if f.held[Assigned{Interface: interfaceName, Address: address}] {
			found[address] = true
		}
	}
	return found, nil
}

// LocalRoutes implements Kernel.
func (f *Fake) LocalRoutes(interfaceName string, ranges []netip.Prefix) (map[netip.Prefix]bool, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if !slices.Contains(f.interfaces, interfaceName) {
		return nil, unix.ENODEV
	}
	found := map[netip.Prefix]bool{}
	for _, each := range ranges {
		if f.held[Assigned{Interface: interfaceName, Address: each.Addr(), Bits: uint8(each.Bits())}] {
			found[each] = true
		}
	}
	return found, nil
}

// Add implements Kernel.
func (f *Fake) Add(assigned ...Assigned) []error { return f.each(assigned, f.add) }

// Delete implements Kernel.
func (f *Fake) Delete(assigned ...Assigned) []error { return f.each(assigned, f.delete) }

// Announce implements Kernel: it remembers the address.
func (f *Fake) Announce(assigned ...Assigned) []error {
	return f.each(assigned, func(each Assigned) error {
		f.announced = append(f.announced, each)
		return nil
	})
}

func (f *Fake) each(assigned []Assigned, do func(Assigned) error) []error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	results := make([]error, len(assigned))
	for index, each := range assigned {
		if !slices.Contains(f.interfaces, each.Interface) {
			results[index] = unix.ENODEV
		} else {
			results[index] = do(each)
		}
	}
	return results
}

func (f *Fake) add(assigned Assigned) error {
	if f.held[assigned] {
		return unix.EEXIST
	}
	f.held[assigned] = true
	return nil
}

func (f *Fake) delete(assigned Assigned) error {
	switch {
	case f.held[assigned]:
		delete(f.held, assigned)
		return nil
	case assigned.IsRoute():
		return unix.ESRCH
	}
	return unix.EADDRNOTAVAIL
}

// Announced lists what was announced, in order.
func (f *Fake) Announced() []Assigned {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return slices.Clone(f.announced)
}

// Wait implements Kernel.
func (f *Fake) Wait() {}

// Close implements Kernel.
func (f *Fake) Close() error { return nil }
