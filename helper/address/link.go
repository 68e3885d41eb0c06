package address

import (
	"net"

	"golang.org/x/sys/unix"
)

// link is what there is to know of an interface.
type link struct {
	index    uint32
	flags    uint16
	ethernet bool
	hardware net.HardwareAddr
}

// hasNeighbours: lo and dummy (IFF_NOARP) have nobody to tell where an address is.
func (l link) hasNeighbours() bool {
	return l.ethernet && l.flags&(unix.IFF_LOOPBACK|unix.IFF_NOARP) == 0
}

// findLink asks for one interface by name (netdevice(7)), whatever the number of interfaces; ENODEV when there is none.
func findLink(name string) (link, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return link{}, unix.ENODEV // no interface has such a name
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return link{}, err
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return link{}, err
	}
	found := link{index: request.Uint32()}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
		return link{}, err
	}
	found.flags = request.Uint16()
	hardware, err := hardwareAddress(fd, name)
	found.hardware, found.ethernet = hardware, hardware != nil
	return found, err
}

// links are those that one call has asked for: there may be thousands of addresses, mostly on one interface.
type links map[string]link

func (l links) find(name string) (link, error) {
	if known, asked := l[name]; asked {
		return known, nil
	}
	found, err := findLink(name)
	if err == nil {
		l[name] = found
	}
	return found, err
}
