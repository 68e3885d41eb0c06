// Package table holds virtual servers whole (with their real servers), their canonical order, equality and digest. Pure.
package table

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"ipvs-operator.io/helper/ipvs"
)

// VirtualServer is a virtual server with its destinations in canonical order (address, port).
type VirtualServer struct {
	ipvs.Service
	Destinations []ipvs.Destination
	// Drain is how long a destination that leaves may stay at weight 0. The kernel does not know it; it never counts as a
	// difference.
	Drain time.Duration
	// Gone are destinations that do not drain when they leave, because nobody is there any more. No difference either.
	Gone []ipvs.DestinationKey
}

// IsGone reports whether the destination does not drain.
func (v VirtualServer) IsGone(key ipvs.DestinationKey) bool { return slices.Contains(v.Gone, key) }

// New puts the destinations into canonical order.
func New(service ipvs.Service, destinations []ipvs.Destination) VirtualServer {
	return Keep(service, slices.Clone(destinations))
}

// Keep is New for destinations that nobody else uses. The kernel lists those first that were added last: mostly that is the canonical order
// backwards.
func Keep(service ipvs.Service, destinations []ipvs.Destination) VirtualServer {
	if last := len(destinations) - 1; last > 0 && destinations[0].DestinationKey.Compare(destinations[last].DestinationKey) > 0 {
		slices.Reverse(destinations)
	}
	inOrder := true
	for index := 1; index < len(destinations) && inOrder; index++ {
		inOrder = destinations[index-1].DestinationKey.Compare(destinations[index].DestinationKey) <= 0
	}
	if !inOrder {
		slices.SortFunc(destinations, func(a, b ipvs.Destination) int { return a.DestinationKey.Compare(b.DestinationKey) })
	}
	return VirtualServer{Service: service, Destinations: destinations}
}

// Without is the virtual server without the destinations of these keys.
func (v VirtualServer) Without(leaving func(ipvs.DestinationKey) bool) VirtualServer {
	v.Destinations = slices.DeleteFunc(slices.Clone(v.Destinations), func(destination ipvs.Destination) bool {
		return leaving(destination.DestinationKey)
	})
	return v
}

// Destination finds a real server by its key.
func (v VirtualServer) Destination(key ipvs.DestinationKey) (ipvs.Destination, bool) {
	found := v.Find(key, 0)
	if found == nil {
		return ipvs.Destination{}, false
	}
	return *found, true
}

// Find is Destination in place; nil when there is none. It looks at the hint first: where it stands when nothing has changed.
func (v *VirtualServer) Find(key ipvs.DestinationKey, hint int) *ipvs.Destination {
	if hint < len(v.Destinations) && v.Destinations[hint].DestinationKey == key {
		return &v.Destinations[hint]
	}
	low, high := 0, len(v.Destinations)
	for low < high {
		middle := (low + high) / 2
		switch order := v.Destinations[middle].DestinationKey.Compare(key); {
		case order == 0:
			return &v.Destinations[middle]
		case order < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return nil
}

// SameService compares what a user sets on a virtual server. The kernel's own flag and the counters do not count, nor do
// timeout and prefix without persistence: the kernel keeps them then, but does nothing with them.
func SameService(a, b ipvs.Service) bool {
	return comparableService(a) == comparableService(b)
}

func comparableService(service ipvs.Service) ipvs.Service {
	service.Flags &= ipvs.OwnFlags
	service.Stats = ipvs.Stats{}
	if service.Flags&ipvs.FlagPersistent == 0 {
		service.Timeout, service.PrefixLength = 0, 0
	}
	return service
}

// SameDestination compares what a user sets on a real server; connections and counters do not count.
func SameDestination(a, b *ipvs.Destination) bool {
	return a.DestinationKey == b.DestinationKey && sameContents(a, b)
}

// sameContents is SameDestination but for the key.
func sameContents(a, b *ipvs.Destination) bool {
	return a.ForwardingMethod == b.ForwardingMethod && a.Weight == b.Weight &&
		a.UpperThreshold == b.UpperThreshold && a.LowerThreshold == b.LowerThreshold && a.Tunnel == b.Tunnel
}

// Same reports whether two virtual servers are equal in everything a user sets.
func Same(a, b VirtualServer) bool {
	if !SameService(a.Service, b.Service) || len(a.Destinations) != len(b.Destinations) {
		return false
	}
	for index := range a.Destinations {
		if !SameDestination(&a.Destinations[index], &b.Destinations[index]) {
			return false
		}
	}
	return true
}

// Digest is a hash over everything a user sets on a virtual server: equal exactly when Same.
func Digest(v VirtualServer) [sha256.Size]byte {
	service := comparableService(v.Service)
	var room [1 << 10]byte
	text := append(append(room[:0], v.ServiceKey.String()...), ' ')
	text = strconv.AppendUint(append(append(text, service.Scheduler...), " 0x"...), uint64(service.Flags), 16)
	text = strconv.AppendUint(append(text, ' '), uint64(service.Timeout), 10)
	text = strconv.AppendUint(append(text, '/'), uint64(service.PrefixLength), 10)
	text = append(strconv.AppendQuote(append(text, ' '), service.PersistenceEngine), '\n')
	start, end := 0, 0 // of what the text says about the destination before
	for index := range v.Destinations {
		destination := &v.Destinations[index]
		text = netip.AddrPortFrom(destination.Address, destination.Port).AppendTo(text)
		if index == 0 || !sameContents(destination, &v.Destinations[index-1]) {
			start = len(text)
			text = appendContents(text, destination)
			end = len(text)
			continue
		}
		text = append(text, text[start:end]...) // as most of them
	}
	return sha256.Sum256(text)
}

func appendContents(text []byte, destination *ipvs.Destination) []byte {
	for _, number := range [...]uint32{uint32(destination.ForwardingMethod), destination.Weight, destination.UpperThreshold, destination.LowerThreshold} {
		text = strconv.AppendUint(append(text, ' '), uint64(number), 10)
	}
	return append(append(append(text, ' '), destination.Tunnel.String()...), '\n')
}
