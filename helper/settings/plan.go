package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
)

// Kind is what a change does; the spelling is the wire's.
type Kind string

// The kinds of change.
const (
	SetSysctl   Kind = "setSysctl"
	SetTimeouts Kind = "setTimeouts"
	StopDaemon  Kind = "stopSyncDaemon"
	StartDaemon Kind = "startSyncDaemon"
)

// Change is one write. Name and Value are a sysctl's.
type Change struct {
	Kind     Kind
	Name     string
	Value    string
	Before   string
	Timeouts ipvs.Timeouts
	Daemon   ipvs.Daemon
}

// TimeoutsObject names the timeouts in answers.
const TimeoutsObject = "timeouts"

// SysctlObject names a sysctl in answers.
func SysctlObject(name string) string { return "sysctl " + name }

// DaemonObject names a synchronisation daemon in answers.
func DaemonObject(role ipvs.Role) string { return "sync daemon " + role.String() }

// Object names what the change is about.
func (c Change) Object() string {
	switch c.Kind {
	case SetSysctl:
		return SysctlObject(c.Name)
	case SetTimeouts:
		return TimeoutsObject
	}
	return DaemonObject(c.Daemon.Role)
}

// Sentence says the change in words.
func (c Change) Sentence() string {
	switch c.Kind {
	case SetSysctl:
		return fmt.Sprintf("set sysctl %s from %s to %s", c.Name, c.Before, c.Value)
	case SetTimeouts:
		return fmt.Sprintf("set timeouts to TCP %d s, TCP after FIN %d s, UDP %d s", c.Timeouts.TCP, c.Timeouts.TCPFin, c.Timeouts.UDP)
	case StopDaemon:
		return fmt.Sprintf("stop sync daemon %s on interface %s", c.Daemon.Role, c.Daemon.Interface)
	}
	return fmt.Sprintf("start sync daemon %s on interface %s with sync id %d", c.Daemon.Role, c.Daemon.Interface, c.Daemon.SyncID)
}

// Observed is what was read; only what was asked for.
type Observed struct {
	Sysctls  map[string]string
	Timeouts ipvs.Timeouts
	Daemons  []ipvs.Daemon
}

// Observe reads what the desired settings are about. A sysctl that this kernel lacks is a problem, and left out.
func Observe(kernel Kernel, desired Desired) (Observed, []Problem, error) {
	seen := Observed{Sysctls: map[string]string{}}
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(desired.Sysctls)) {
		value, err := kernel.Sysctl(name)
		switch {
		case errors.Is(err, unix.ENOENT):
			problems = append(problems, Problem{SysctlObject(name), SysctlObject(name) + ": this director's kernel does not have it: leave it out, or use a newer kernel"})
		case err != nil:
			return Observed{}, nil, fmt.Errorf("read sysctl %s: %w", name, err)
		default:
			seen.Sysctls[name] = normal(value)
		}
	}
	var err error
	if desired.Timeouts != nil {
		if seen.Timeouts, err = kernel.Timeouts(); err != nil {
			return Observed{}, nil, err
		}
	}
	if desired.Daemons != nil {
		if seen.Daemons, err = kernel.Daemons(); err != nil {
			return Observed{}, nil, err
		}
	}
	return seen, problems, nil
}

// Plan lists what differs, in the order in which it is to be written. Pure.
func Plan(desired Desired, seen Observed) []Change {
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(desired.Sysctls)) {
		if before, known := seen.Sysctls[name]; known && !SameSysctl(name, before, desired.Sysctls[name]) {
			changes = append(changes, Change{Kind: SetSysctl, Name: name, Value: desired.Sysctls[name], Before: before})
		}
	}
	if desired.Timeouts != nil && *desired.Timeouts != seen.Timeouts {
		changes = append(changes, Change{Kind: SetTimeouts, Timeouts: *desired.Timeouts})
	}
	if desired.Daemons == nil {
		return changes
	}
	for _, running := range seen.Daemons {
		if !slices.ContainsFunc(desired.Daemons, func(wanted ipvs.Daemon) bool { return sameDaemon(wanted, running) }) {
			changes = append(changes, Change{Kind: StopDaemon, Daemon: running})
		}
	}
	for _, wanted := range desired.Daemons {
		if !slices.ContainsFunc(seen.Daemons, func(running ipvs.Daemon) bool { return sameDaemon(wanted, running) }) {
			changes = append(changes, Change{Kind: StartDaemon, Daemon: wanted})
		}
	}
	return changes
}

// SameSysctl compares values. Of three parameters 1 and 2 are the same wish: the kernel makes 2 of 1 while memory is low, and 1 of 2 while it
// is not (ip_vs_ctl.c, update_defense_level).
func SameSysctl(name, a, b string) bool {
	if adapts(strings.TrimPrefix(name, SysctlPrefix)) {
		a, b = strings.Replace(a, "2", "1", 1), strings.Replace(b, "2", "1", 1)
	}
	return a == b
}

func adapts(short string) bool {
	return short == "drop_entry" || short == "drop_packet" || short == "secure_tcp"
}

// sameDaemon compares what was asked for; what was left to the kernel is whatever it chose.
func sameDaemon(wanted, running ipvs.Daemon) bool {
	return wanted.Role == running.Role && wanted.Interface == running.Interface && wanted.SyncID == running.SyncID &&
		(wanted.MaxLength == 0 || wanted.MaxLength == running.MaxLength) && (!wanted.Group.IsValid() || wanted.Group == running.Group) &&
		(wanted.Port == 0 || wanted.Port == running.Port) && (wanted.TTL == 0 || wanted.TTL == running.TTL)
}

// Execute writes one change.
func Execute(kernel Kernel, change Change) error {
	switch change.Kind {
	case SetSysctl:
		return kernel.SetSysctl(change.Name, change.Value)
	case SetTimeouts:
		return kernel.SetTimeouts(change.Timeouts)
	case StopDaemon:
		return kernel.StopDaemon(change.Daemon.Role)
	}
	return kernel.StartDaemon(change.Daemon)
}
