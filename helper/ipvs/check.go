package ipvs

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// The kernel's limits on names: a scheduler's counts its final NUL, a persistence engine's does not (ip_vs_svc_policy).
const (
	maxSchedulerLength = 15
	maxEngineLength    = 16
)

// checkService answers as ip_vs_genl_parse_service and ip_vs_add_service do for a virtual server's contents.
func checkService(service Service, schedulers, engines map[string]bool) error {
	switch {
	case service.Family != IPv4 && service.Family != IPv6:
		return unix.EAFNOSUPPORT
	case len(service.Scheduler) > maxSchedulerLength || len(service.PersistenceEngine) > maxEngineLength:
		return unix.EINVAL
	case !schedulers[service.Scheduler]:
		return unix.ENOENT
	case service.PersistenceEngine != "" && !engines[service.PersistenceEngine]:
		return unix.ENOENT
	case service.Family == IPv6 && (service.PrefixLength < 1 || service.PrefixLength > 128):
		return unix.EINVAL
	}
	return nil
}

// checkDestination answers as ip_vs_add_dest and ip_vs_edit_dest do for a destination's contents.
func checkDestination(service ServiceKey, destination Destination) error {
	family := FamilyOf(destination.Address)
	switch {
	case family != service.Family && destination.ForwardingMethod != Tunneling:
		return unix.EINVAL
	case int32(destination.Weight) < 0:
		return unix.ERANGE
	case destination.LowerThreshold > destination.UpperThreshold:
		return unix.ERANGE
	case destination.ForwardingMethod == Tunneling && destination.Tunnel.Type == TunnelGUE && destination.Tunnel.Port == 0:
		return unix.EINVAL
	case !isUnicast(destination.Address):
		return unix.EINVAL
	}
	return nil
}

// isUnicast: the kernel refuses multicast and broadcast real servers, and link-local ones of IPv6 (ip_vs_new_dest).
func isUnicast(address netip.Addr) bool {
	if address.Is4() {
		return !address.IsMulticast() && address != netip.AddrFrom4([4]byte{255, 255, 255, 255}) && !address.IsUnspecified()
	}
	return !address.IsMulticast() && !address.IsLinkLocalUnicast() && !address.IsUnspecified()
}
