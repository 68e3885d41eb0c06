package preflight

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/policy"
	"ipvs-operator.io/helper/wire"
)

// expectation is a kernel parameter and what a director should have it at.
type expectation struct {
	name    string
	is      func(value string) bool
	message string
	remedy  string
}

func equals(wanted string) func(string) bool {
	return func(value string) bool { return value == wanted }
}

func (s Subject) expectations(grant policy.Grant) []expectation {
	list := []expectation{
		{"net.ipv4.ip_forward", equals("1"), "answers of real servers are not forwarded with Masquerading", "sysctl -w net.ipv4.ip_forward=1"},
		{"net.ipv4.conf.all.send_redirects", equals("0"), "clients on the same network are sent past the director", "sysctl -w net.ipv4.conf.all.send_redirects=0"},
		{"net.ipv4.vs.expire_nodest_conn", equals("1"), "connections to a removed real server hang instead of being reset", "sysctl -w net.ipv4.vs.expire_nodest_conn=1"},
		{"net.ipv4.vs.expire_quiescent_template", equals("1"), "persistent clients stay with a draining real server", "sysctl -w net.ipv4.vs.expire_quiescent_template=1"},
		{"net.ipv4.vs.sloppy_tcp", equals("1"), "a connection that moves here from another director is reset", "sysctl -w net.ipv4.vs.sloppy_tcp=1"},
		{"net.ipv4.vs.run_estimation", equals("1"), "rates are not counted", "sysctl -w net.ipv4.vs.run_estimation=1"},
	}
	reverse := func(name string) expectation {
		return expectation{name, func(value string) bool { return value != "1" }, "packets that come back another way are dropped", "sysctl -w " + name + "=0"}
	}
	list = append(list, reverse("net.ipv4.conf.all.rp_filter"))
	for _, name := range grant.Interfaces {
		if name != "lo" {
			list = append(list, reverse("net.ipv4.conf."+name+".rp_filter"))
		}
	}
	if slices.ContainsFunc(grant.VirtualServers, func(prefix netip.Prefix) bool { return prefix.Addr().Is6() }) {
		list = append(list, expectation{"net.ipv6.conf.all.forwarding", equals("1"), "answers of real servers are not forwarded with Masquerading over IPv6", "sysctl -w net.ipv6.conf.all.forwarding=1"})
	}
	return list
}

func (s Subject) sysctls(grant policy.Grant) []wire.Check {
	var checks []wire.Check
	for _, expected := range s.expectations(grant) {
		value, known := s.read("proc/sys/" + strings.ReplaceAll(expected.name, ".", "/"))
		switch {
		case !known: // an interface or a module that is not there has a check of its own
		case expected.is(value):
			checks = append(checks, ok(expected.name, "%s", value))
		default:
			checks = append(checks, warning(expected.name, value+": "+expected.message, expected.remedy+", and in /etc/sysctl.d"))
		}
	}
	return checks
}

// interfaces: those that may carry VIPs. One that is missing may come later; without any nothing works.
func (s Subject) interfaces(grant policy.Grant) []wire.Check {
	var checks []wire.Check
	present := 0
	for _, name := range grant.Interfaces {
		mtu, exists := s.read("sys/class/net/" + name + "/mtu")
		size, _ := strconv.Atoi(mtu)
		flags, _ := s.read("sys/class/net/" + name + "/flags")
		bits, _ := strconv.ParseUint(strings.TrimPrefix(flags, "0x"), 16, 32)
		check := "interface " + name
		switch {
		case !exists:
			checks = append(checks, warning(check, "it does not exist", "name one that exists in the policy file and in the pool"))
			continue
		case bits&unix.IFF_UP == 0:
			checks = append(checks, warning(check, "it is down", "ip link set "+name+" up"))
		case size < 1500:
			checks = append(checks, warning(check, fmt.Sprintf("its MTU is %d", size), "packets of 1500 bytes do not fit: set mssClamp, or raise the MTU"))
		default:
			checks = append(checks, ok(check, "up, MTU %d", size))
		}
		present++
	}
	if present == 0 && len(checks) > 0 {
		checks[0].Verdict = wire.VerdictFailed
	}
	return checks
}

// otherWriters are programs that write the IPVS table themselves.
var otherWriters = []string{"keepalived", "kube-proxy", "kube-router", "ldirectord", "mon", "vrrpd"}

func (s Subject) writers() wire.Check {
	var found []string
	processes, _ := filepath.Glob(filepath.Join(s.Root, "proc/[0-9]*/comm"))
	for _, file := range processes {
		content, _ := os.ReadFile(file)
		if name := strings.TrimSpace(string(content)); slices.Contains(otherWriters, name) && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	if len(found) > 0 {
		return warning("other programs", strings.Join(found, ", ")+" may write the IPVS table too", "keep its virtual servers out of this owner's ranges; kube-proxy: --ipvs-exclude-cidrs")
	}
	return ok("other programs", "none seen that writes the IPVS table")
}

func (s Subject) foreignEntries() wire.Check {
	answer, refusal := s.Engine.Read(wire.WhatDigest)
	if refusal != nil {
		return failed("virtual servers", refusal.Message, "see the other checks")
	}
	if answer.Counts.Orphans > 0 {
		return warning("virtual servers", fmt.Sprintf("%d in this owner's ranges were made by someone else", answer.Counts.Orphans), "ipvs-helper orphans --owner "+s.Owner+" lists them; ipvs-helper remove or adopt, by name")
	}
	return ok("virtual servers", "%d of ours, %d of others outside our ranges", answer.Counts.VirtualServers, answer.Counts.Foreign)
}

// maglevTable: directors choose alike only with tables of one size.
func (s Subject) maglevTable() wire.Check {
	text, found := s.kernelConfig()
	if !found {
		return warning("mh table", "its size is unknown: the kernel's configuration cannot be read", "directors that share VIPs should run the same kernel build")
	}
	index := "12"
	for line := range strings.Lines(text) {
		if value, isIt := strings.CutPrefix(strings.TrimSpace(line), "CONFIG_IP_VS_MH_TAB_INDEX="); isIt {
			index = value
		}
	}
	return ok("mh table", "CONFIG_IP_VS_MH_TAB_INDEX=%s: it must be the same on all directors that share VIPs", index)
}

// connectionTable: a packet's connection is looked for among those of one row. From Linux 7.1 on, where there is conn_lfactor, the table
// grows by itself.
func (s Subject) connectionTable() wire.Check {
	const name, usualSize = "connection table", 1 << 12
	info, err := s.Engine.Host.Info()
	if err != nil {
		return warning(name, "its size is unknown: "+err.Error(), "see check ip_vs")
	}
	if _, grows := s.read("proc/sys/net/ipv4/vs/conn_lfactor"); grows || info.ConnectionTableSize == 0 {
		return ok(name, "%d rows, and more when there are more connections", info.ConnectionTableSize)
	}
	if info.ConnectionTableSize <= usualSize {
		return ok(name, "%d rows; some hundred thousand connections at once want more: options ip_vs conn_tab_bits=18 in /etc/modprobe.d, before the module is loaded", info.ConnectionTableSize)
	}
	return ok(name, "%d rows", info.ConnectionTableSize)
}

func (s Subject) kernelConfig() (string, bool) {
	if text, found := s.read("boot/config-" + s.Facts.Kernel); found {
		return text, true
	}
	file, err := os.Open(filepath.Join(s.Root, "proc/config.gz"))
	if err != nil {
		return "", false
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return "", false
	}
	const most = 4 << 20 // a configuration is some 250 KB
	text, err := io.ReadAll(io.LimitReader(unpacked, most))
	return string(text), err == nil
}

// conntrack: a full table drops new connections, whoever they are for.
func (s Subject) conntrack() wire.Check {
	enabled, _ := s.read("proc/sys/net/ipv4/vs/conntrack")
	most, known := s.read("proc/sys/net/netfilter/nf_conntrack_max")
	if !known {
		return ok("conntrack", "not loaded")
	}
	used, _ := s.read("proc/sys/net/netfilter/nf_conntrack_count")
	limit, _ := strconv.Atoi(most)
	count, _ := strconv.Atoi(used)
	if limit > 0 && count > limit/5*4 {
		return warning("conntrack", fmt.Sprintf("%d of %d entries are in use", count, limit), "raise net.netfilter.nf_conntrack_max")
	}
	if enabled != "1" {
		return ok("conntrack", "%d of %d entries; IPVS keeps out of it (net.ipv4.vs.conntrack=0), so masquerade is not to be had", count, limit)
	}
	return ok("conntrack", "%d of %d entries; IPVS takes part (net.ipv4.vs.conntrack=1)", count, limit)
}

func (s Subject) nftables() wire.Check {
	if err := s.Packets(); err != nil {
		return warning("nftables", err.Error(), "sourceRanges, masquerade and mssClamp need it: modprobe nf_tables")
	}
	return ok("nftables", "nftables answers")
}

// stateDirectory: ledgers of a large table have a few megabytes.
func (s Subject) stateDirectory() wire.Check {
	const enough = 16 << 20
	if err := s.Engine.Lock.Usable(); err != nil {
		return failed("state directory", err.Error(), "echo 'd "+s.StateDir+" 0750 ipvs-operator ipvs-operator' > /etc/tmpfiles.d/ipvs-operator.conf && systemd-tmpfiles --create")
	}
	var space unix.Statfs_t
	if err := unix.Statfs(s.StateDir, &space); err != nil {
		return failed("state directory", fmt.Sprintf("%s: %s", s.StateDir, err), "create it")
	}
	free := space.Bavail * uint64(space.Bsize)
	if free < enough {
		return failed("state directory", fmt.Sprintf("%s has %d KiB left", s.StateDir, free>>10), "make room: ledgers of a large table have some megabytes")
	}
	return ok("state directory", "%s can be written, %d MiB left", s.StateDir, free>>20)
}

func ownerOf(path string) (owner uint32, mode os.FileMode, err error) {
	var status unix.Stat_t
	if err := unix.Stat(path, &status); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	return status.Uid, os.FileMode(status.Mode & 0o777), nil
}
