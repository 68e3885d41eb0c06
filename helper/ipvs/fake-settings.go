package ipvs

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// fakeSettings is what the kernel keeps once per network namespace.
type fakeSettings struct {
	timeouts Timeouts
	daemons  []Daemon
}

// current are the timeouts; before the first change those of a kernel that has just loaded IPVS (ip_vs_proto_tcp.c,
// ip_vs_proto_udp.c).
func (s *fakeSettings) current() *Timeouts {
	if s.timeouts == (Timeouts{}) {
		s.timeouts = Timeouts{TCP: 900, TCPFin: 120, UDP: 300}
	}
	return &s.timeouts
}

// FakeInterfaces are those that the fake's synchronisation daemons can use.
var FakeInterfaces = []string{"lo", "eth0"}

// Info implements Settings, with the size that most kernels are built with (CONFIG_IP_VS_TAB_BITS=12).
func (f *Fake) Info() (Info, error) {
	if f.Unprivileged {
		return Info{}, unix.EPERM
	}
	return Info{Version: "1.2.1", ConnectionTableSize: 1 << 12}, nil
}

// Timeouts implements Settings.
func (f *Fake) Timeouts() (Timeouts, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.Unprivileged {
		return Timeouts{}, unix.EPERM
	}
	return *f.settings.current(), nil
}

// SetTimeouts implements Settings.
func (f *Fake) SetTimeouts(timeouts Timeouts) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.Unprivileged {
		return unix.EPERM
	}
	current := f.settings.current()
	for _, field := range []struct {
		value *uint32
		sent  uint32
	}{{&current.TCP, timeouts.TCP}, {&current.TCPFin, timeouts.TCPFin}, {&current.UDP, timeouts.UDP}} {
		if field.sent != 0 {
			*field.value = field.sent
		}
	}
	return nil
}

// Daemons implements Settings.
func (f *Fake) Daemons() ([]Daemon, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.Unprivileged {
		return nil, unix.EPERM
	}
	return slices.Clone(f.settings.daemons), nil
}

// StartDaemon implements Settings. What is left to the kernel becomes its default (ip_vs_sync.c, start_sync_thread).
func (f *Fake) StartDaemon(daemon Daemon) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	switch {
	case f.Unprivileged:
		return unix.EPERM
	case f.hasMixedFamilies():
		return unix.EINVAL
	case f.daemonIndex(daemon.Role) >= 0:
		return unix.EEXIST
	case !slices.Contains(FakeInterfaces, daemon.Interface):
		return unix.ENODEV
	}
	if daemon.MaxLength == 0 {
		daemon.MaxLength = 1472
	}
	if !daemon.Group.IsValid() {
		daemon.Group = netip.AddrFrom4([4]byte{224, 0, 0, 81})
	}
	if daemon.Port == 0 {
		daemon.Port = 8848
	}
	if daemon.TTL == 0 {
		daemon.TTL = 1
	}
	f.settings.daemons = append(f.settings.daemons, daemon)
	f.SyncDaemon = true
	return nil
}

// StopDaemon implements Settings.
func (f *Fake) StopDaemon(role Role) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.Unprivileged {
		return unix.EPERM
	}
	index := f.daemonIndex(role)
	if index < 0 {
		return unix.ESRCH
	}
	f.settings.daemons = slices.Delete(f.settings.daemons, index, index+1)
	f.SyncDaemon = len(f.settings.daemons) > 0
	return nil
}

func (f *Fake) daemonIndex(role Role) int {
	return slices.IndexFunc(f.settings.daemons, func(daemon Daemon) bool { return daemon.Role == role })
}

// hasMixedFamilies: the synchronisation protocol cannot carry such connections, so the kernel refuses one beside the other.
func (f *Fake) hasMixedFamilies() bool {
	return slices.ContainsFunc(f.services, func(service fakeService) bool {
		return slices.ContainsFunc(service.destinations, func(destination Destination) bool { return FamilyOf(destination.Address) != service.Family })
	})
}
