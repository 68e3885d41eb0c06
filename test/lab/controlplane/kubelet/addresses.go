package kubelet

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
)

// addressRanges hands out pod addresses of one node: the same host number in the range of each family.
// Number 1 is the gateway; an address that was given back is not handed out again until all others were.
type addressRanges struct {
	mutex  sync.Mutex
	ranges []*net.IPNet
	used   map[uint32]bool
	last   uint32
}

const (
	gatewayNumber  = 1
	firstPodNumber = 2
	lastPodNumber  = 254
)

func newAddressRanges(ranges []*net.IPNet) *addressRanges {
	return &addressRanges{ranges: ranges, used: map[uint32]bool{}, last: firstPodNumber - 1}
}

// take reserves a number; release gives it back.
func (a *addressRanges) take() (number uint32, err error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	const count = lastPodNumber - firstPodNumber + 1
	for step := uint32(1); step <= count; step++ {
		number := firstPodNumber + (a.last-firstPodNumber+step)%count
		if !a.used[number] {
			a.used[number], a.last = true, number
			return number, nil
		}
	}
	return 0, fmt.Errorf("all %d addresses of pod range %s are taken", count, a.ranges[0])
}

func (a *addressRanges) release(number uint32) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	delete(a.used, number)
}

// at is the address with this number in each range.
func (a *addressRanges) at(number uint32) []net.IP {
	addresses := make([]net.IP, 0, len(a.ranges))
	for _, ipRange := range a.ranges {
		address := append(net.IP{}, ipRange.IP...)
		tail := address[len(address)-4:]
		binary.BigEndian.PutUint32(tail, binary.BigEndian.Uint32(tail)+number)
		addresses = append(addresses, address)
	}
	return addresses
}
