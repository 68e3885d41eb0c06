package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// HostGrant is what one owner may set on the director as a whole; nothing unless the file grants it.
type HostGrant struct {
	// Sysctls by full name, or "*" for all that the helper knows.
	Sysctls []string `json:"sysctls"`
	// Timeouts of connections.
	Timeouts bool `json:"timeouts"`
	// SyncDaemons are the interfaces on which synchronisation daemons may be started and stopped.
	SyncDaemons []string `json:"syncDaemons"`
}

func (g HostGrant) check() error {
	for _, name := range g.Sysctls {
		if name != "*" && !strings.HasPrefix(name, "net.ipv4.vs.") {
			return fmt.Errorf("host.sysctls: %q is neither below net.ipv4.vs. nor \"*\"", name)
		}
	}
	if slices.Contains(g.SyncDaemons, "") {
		return errors.New("host.syncDaemons: an interface has a name")
	}
	return nil
}

// CheckSysctl says which rule forbids to set the parameter, or nil.
func (g Grant) CheckSysctl(name string) error {
	if slices.Contains(g.Host.Sysctls, "*") || slices.Contains(g.Host.Sysctls, name) {
		return nil
	}
	return fmt.Errorf("policy rule owners.%s.host.sysctls (%s) does not grant %s", g.Owner, strings.Join(g.Host.Sysctls, ", "), name)
}

// CheckTimeouts says which rule forbids to set timeouts, or nil.
func (g Grant) CheckTimeouts() error {
	if g.Host.Timeouts {
		return nil
	}
	return fmt.Errorf("policy rule owners.%s.host.timeouts does not grant setting timeouts", g.Owner)
}

// CheckSyncDaemon says which rule forbids synchronisation daemons on the interface, or nil.
func (g Grant) CheckSyncDaemon(interfaceName string) error {
	if slices.Contains(g.Host.SyncDaemons, interfaceName) {
		return nil
	}
	return fmt.Errorf("policy rule owners.%s.host.syncDaemons (%s) does not grant sync daemons on interface %s", g.Owner, strings.Join(g.Host.SyncDaemons, ", "), interfaceName)
}
