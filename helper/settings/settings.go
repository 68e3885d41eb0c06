// Package settings is what a director has once, beside its virtual servers: sysctls of IPVS, connection timeouts and
// synchronisation daemons. Desired values are parsed at the door, the plan is data, and only what differs is written.
package settings

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// Kernel is where settings are read and written. Errors carry the kernel's errno.
type Kernel interface {
	ipvs.Settings
	Sysctls
}

// Sysctls reads and writes kernel parameters by full name (net.ipv4.vs.…); ENOENT when this kernel has no such parameter.
type Sysctls interface {
	Sysctl(name string) (string, error)
	SetSysctl(name, value string) error
}

// Desired is what shall be; what is nil stays untouched.
type Desired struct {
	Sysctls  map[string]string
	Timeouts *ipvs.Timeouts
	// Daemons are all that shall run; nil leaves them alone.
	Daemons []ipvs.Daemon
}

// SysctlPrefix is the only part of the kernel's parameters that a request may name.
const SysctlPrefix = "net.ipv4.vs."

// SysctlNames are the parameters below SysctlPrefix that the helper sets (Documentation/networking/ipvs-sysctl.rst). Debugging
// and what can only be read are not among them.
var SysctlNames = strings.Fields(`am_droprate amemthresh backup_only cache_bypass conn_lfactor conn_reuse_mode conntrack drop_entry
	drop_packet est_cpulist est_nice expire_nodest_conn expire_quiescent_template ignore_tunneled lblc_expiration lblcr_expiration
	nat_icmp_send pmtu_disc run_estimation schedule_icmp secure_tcp sloppy_sctp sloppy_tcp snat_reroute svc_lfactor sync_persist_mode
	sync_ports sync_qlen_max sync_refresh_period sync_retries sync_sock_size sync_threshold sync_version`)

// Problem is one setting that cannot be as asked: its name, and why.
type Problem struct {
	Object  string
	Message string
}

// Parse validates what was sent; what is wrong is reported and left out.
func Parse(sent wire.Host) (Desired, []Problem) {
	desired := Desired{Sysctls: map[string]string{}}
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(sent.Sysctls)) {
		if err := checkSysctl(name, sent.Sysctls[name]); err != nil {
			problems = append(problems, Problem{SysctlObject(name), SysctlObject(name) + ": " + err.Error()})
			continue
		}
		desired.Sysctls[name] = normal(sent.Sysctls[name])
	}
	if sent.Timeouts != nil {
		timeouts, err := parseTimeouts(*sent.Timeouts)
		if err != nil {
			problems = append(problems, Problem{TimeoutsObject, TimeoutsObject + ": " + err.Error()})
		} else {
			desired.Timeouts = &timeouts
		}
	}
	if sent.SyncDaemons == nil {
		return desired, problems
	}
	daemons, bad := parseDaemons(*sent.SyncDaemons)
	if len(bad) == 0 {
		desired.Daemons = daemons
	}
	return desired, append(problems, bad...)
}

// sysctlValue: numbers, several of them, or a list of processors (est_cpulist).
var sysctlValue = regexp.MustCompile(`^-?[0-9][-0-9, \t]{0,62}$`)

func checkSysctl(name, value string) error {
	short, below := strings.CutPrefix(name, SysctlPrefix)
	switch {
	case !below:
		return fmt.Errorf("the helper sets parameters below %s only", SysctlPrefix)
	case !slices.Contains(SysctlNames, short):
		return fmt.Errorf("the helper does not know it: use one of %s", strings.Join(SysctlNames, ", "))
	case !sysctlValue.MatchString(value):
		return fmt.Errorf("value %q is not a number", value)
	}
	return nil
}

// normal is the one spelling of a value: the kernel separates several numbers by tabs.
func normal(value string) string { return strings.Join(strings.Fields(value), "\t") }

// maxTimeoutSeconds is ipvsadm's limit (31 days); the kernel's is INT_MAX / HZ.
const maxTimeoutSeconds = 31 * 24 * 3600

func parseTimeouts(sent wire.Timeouts) (ipvs.Timeouts, error) {
	for name, seconds := range map[string]int64{"tcpSeconds": sent.TCPSeconds, "tcpFinSeconds": sent.TCPFinSeconds, "udpSeconds": sent.UDPSeconds} {
		if seconds < 1 || seconds > maxTimeoutSeconds {
			return ipvs.Timeouts{}, fmt.Errorf("%s %d is outside 1 … %d", name, seconds, maxTimeoutSeconds)
		}
	}
	return ipvs.Timeouts{TCP: uint32(sent.TCPSeconds), TCPFin: uint32(sent.TCPFinSeconds), UDP: uint32(sent.UDPSeconds)}, nil
}

func parseDaemons(sent []wire.SyncDaemon) ([]ipvs.Daemon, []Problem) {
	daemons, problems := []ipvs.Daemon{}, []Problem(nil)
	for _, one := range sent {
		daemon, err := parseDaemon(one)
		if err == nil && slices.ContainsFunc(daemons, func(other ipvs.Daemon) bool { return other.Role == daemon.Role }) {
			err = fmt.Errorf("the kernel runs one of each role")
		}
		if err != nil {
			object := "sync daemon " + one.Role
			problems = append(problems, Problem{object, object + ": " + err.Error()})
			continue
		}
		daemons = append(daemons, daemon)
	}
	slices.SortFunc(daemons, func(a, b ipvs.Daemon) int { return int(a.Role) - int(b.Role) })
	return daemons, problems
}

func parseDaemon(sent wire.SyncDaemon) (ipvs.Daemon, error) {
	daemon := ipvs.Daemon{Interface: sent.Interface, SyncID: uint32(sent.SyncID), MaxLength: uint16(sent.MaxLength), Port: uint16(sent.Port), TTL: uint8(sent.TTL)}
	switch sent.Role {
	case "master":
		daemon.Role = ipvs.Master
	case "backup":
		daemon.Role = ipvs.Backup
	default:
		return daemon, fmt.Errorf("role %q is unknown: use master or backup", sent.Role)
	}
	switch {
	case sent.Interface == "":
		return daemon, fmt.Errorf("it needs an interface")
	case sent.SyncID < 0 || sent.SyncID > 255:
		return daemon, fmt.Errorf("syncId %d is outside 0 … 255", sent.SyncID)
	case sent.MaxLength < 0 || sent.MaxLength > 65507:
		return daemon, fmt.Errorf("maxLength %d is outside 1 … 65507", sent.MaxLength)
	case sent.Port < 0 || sent.Port > math.MaxUint16:
		return daemon, fmt.Errorf("port %d is outside 1 … 65535", sent.Port)
	case sent.TTL < 0 || sent.TTL > math.MaxUint8:
		return daemon, fmt.Errorf("ttl %d is outside 1 … 255", sent.TTL)
	case sent.Group == "":
		return daemon, nil
	}
	group, err := netip.ParseAddr(sent.Group)
	if err != nil || !group.IsMulticast() || group.Zone() != "" {
		return daemon, fmt.Errorf("group %q is not a multicast address", sent.Group)
	}
	daemon.Group = group
	return daemon, nil
}
