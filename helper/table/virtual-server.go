// Package table holds virtual servers whole (with their real servers), their canonical order, equality and digest. Pure.
package table

import (
	"crypto/sha256"
	"fmt"
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

// Keep is New for destinations that nobody else uses.
func Keep(service ipvs.Service, destinations []ipvs.Destination) VirtualServer {
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
	index, found := slices.BinarySearchFunc(v.Destinations, key, func(destination ipvs.Destination, key ipvs.DestinationKey) int {
		return destination.DestinationKey.Compare(key)
	})
	if !found {
		return ipvs.Destination{}, false
	}
	return v.Destinations[index], true
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
func SameDestination(a, b ipvs.Destination) bool {
	return comparableDestination(a) == comparableDestination(b)
}

func comparableDestination(destination ipvs.Destination) ipvs.Destination {
	destination.Connections, destination.Stats = ipvs.Connections{}, ipvs.Stats{}
	return destination
}

// Same reports whether two virtual servers are equal in everything a user sets.
func Same(a, b VirtualServer) bool {
	return SameService(a.Service, b.Service) && slices.EqualFunc(a.Destinations, b.Destinations, SameDestination)
}

// Digest is a hash over everything a user sets on a virtual server: equal exactly when Same.
func Digest(v VirtualServer) [sha256.Size]byte {
	service := comparableService(v.Service)
	text := make([]byte, 0, 64+64*len(v.Destinations))
	text = fmt.Appendf(text, "%s %s %#x %d/%d %q\n", v.ServiceKey, service.Scheduler, service.Flags, service.Timeout, service.PrefixLength, service.PersistenceEngine)
	for _, destination := range v.Destinations {
		text = netip.AddrPortFrom(destination.Address, destination.Port).AppendTo(text)
		for _, number := range []uint32{uint32(destination.ForwardingMethod), destination.Weight, destination.UpperThreshold, destination.LowerThreshold} {
			text = strconv.AppendUint(append(text, ' '), uint64(number), 10)
		}
		text = append(append(append(text, ' '), destination.Tunnel.String()...), '\n')
	}
	return sha256.Sum256(text)
}
