package preflight

import (
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
)

// Scratch tries every scheduler and tunnel type in a network namespace of its own, where it touches nothing. The error says
// that we may not make one: that takes CAP_SYS_ADMIN, which the helper has only when root runs it.
func Scratch() (Trial, error) {
	type outcome struct {
		trial Trial
		err   error
	}
	result := make(chan outcome)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, and the namespace with it, end with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = raiseLoopback()
		}
		if err != nil {
			result <- outcome{err: err}
			return
		}
		kernel := ipvs.NewNetlink()
		defer kernel.Close()
		result <- outcome{trial: Try(kernel)}
	}()
	got := <-result
	return got.trial, got.err
}

// raiseLoopback gives the namespace its first route: without any table of routes every address counts as broadcast, which no
// real server may have (inet_addr_type).
func raiseLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// allTunnelTypes counts ipip, gue and gre.
const allTunnelTypes = 3

// Try makes a virtual server with each scheduler, and a real server with each tunnel type, in a table that nobody uses.
func Try(kernel ipvs.Kernel) Trial {
	trial := Trial{Schedulers: []string{}, TunnelTypes: []string{}}
	vip := netip.MustParseAddr("203.0.113.1")
	server := ipvs.Service{ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv4, Protocol: ipvs.TCP, Address: vip}, PrefixLength: 32}
	for index, scheduler := range ipvs.SchedulerNames {
		server.Scheduler, server.Port = scheduler, uint16(index+1)
		if kernel.Execute([]ipvs.Operation{{Kind: ipvs.NewService, Service: server}})[0] == nil {
			trial.Schedulers = append(trial.Schedulers, scheduler)
		}
	}
	server.Scheduler, server.Port = "rr", 100
	if kernel.Execute([]ipvs.Operation{{Kind: ipvs.NewService, Service: server}})[0] != nil {
		return trial
	}
	for index, kind := range []ipvs.TunnelType{ipvs.TunnelIPIP, ipvs.TunnelGUE, ipvs.TunnelGRE} {
		destination := ipvs.Destination{DestinationKey: ipvs.DestinationKey{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(index + 1)}), Port: server.Port},
			ForwardingMethod: ipvs.Tunneling, Weight: 1, Tunnel: ipvs.Tunnel{Type: kind}}
		if kind == ipvs.TunnelGUE {
			destination.Tunnel.Port = 6080
		}
		if kernel.Execute([]ipvs.Operation{{Kind: ipvs.NewDestination, Service: server, Destination: destination}})[0] != nil {
			continue
		}
		kept, err := kernel.Destinations(server.ServiceKey)
		for _, one := range kept {
			if err == nil && one.DestinationKey == destination.DestinationKey && one.Tunnel.Type == kind {
				trial.TunnelTypes = append(trial.TunnelTypes, kind.String())
			}
		}
	}
	return trial
}
