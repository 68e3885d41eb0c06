// Package preflight looks at a host and says whether it can be a director: each thing with a verdict, what was found, and what
// to do about it. It changes nothing; the one thing it makes is a network namespace that vanishes with the thread in it.
package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/host"
	"ipvs-operator.io/helper/policy"
	"ipvs-operator.io/helper/wire"
)

// Subject is the host, as one owner's helper sees it.
type Subject struct {
	// Root is the file system to look into: "/" but for tests.
	Root  string
	Facts host.Facts
	// Probe, Packets and Engine are what requests work with.
	Probe   func() error
	Packets func() error
	Engine  *apply.Engine
	// NetAdmin and NetRaw are the capabilities of this process.
	NetAdmin, NetRaw bool
	// Scratch tries schedulers and tunnel types where it hurts nobody.
	Scratch    func() (Trial, error)
	Owner      string
	PolicyPath string
	StateDir   string
	// Now is the host's clock; Built is a time that must be behind us.
	Now, Built time.Time
}

// Trial is what a scratch network namespace has taken: what is missing from the lists does not work.
type Trial struct {
	Schedulers  []string
	TunnelTypes []string
}

// Run makes all checks, in the order in which a person would make them.
func (s Subject) Run() []wire.Check {
	checks := []wire.Check{s.kernelRelease(), s.capabilities(), s.ipvs(), s.connectionTable()}
	checks = append(checks, s.tried()...)
	grant, policyCheck := s.policy()
	checks = append(checks, policyCheck)
	if policyCheck.Verdict != wire.VerdictFailed {
		checks = append(checks, s.interfaces(grant)...)
		checks = append(checks, s.foreignEntries())
	}
	checks = append(checks, s.writers())
	checks = append(checks, s.sysctls(grant)...)
	return append(checks, s.maglevTable(), s.conntrack(), s.nftables(), s.stateDirectory(), s.journal(), s.clock())
}

// Failed reports whether a check failed: the host cannot be a director then.
func Failed(checks []wire.Check) bool {
	for _, check := range checks {
		if check.Verdict == wire.VerdictFailed {
			return true
		}
	}
	return false
}

func ok(name, format string, values ...any) wire.Check {
	return wire.Check{Name: name, Verdict: wire.VerdictOK, Message: fmt.Sprintf(format, values...)}
}

func warning(name, message, remedy string) wire.Check {
	return wire.Check{Name: name, Verdict: wire.VerdictWarning, Message: message, Remedy: remedy}
}

func failed(name, message, remedy string) wire.Check {
	return wire.Check{Name: name, Verdict: wire.VerdictFailed, Message: message, Remedy: remedy}
}

// read is a file's content without the space around it; false when it cannot be read.
func (s Subject) read(name string) (string, bool) {
	content, err := os.ReadFile(filepath.Join(s.Root, name))
	return strings.TrimSpace(string(content)), err == nil
}

// kernelRelease: 5.10 is the oldest on which IPVS neither delays reused ports by a second nor keeps dead connections (5.9).
func (s Subject) kernelRelease() wire.Check {
	var major, minor int
	if _, err := fmt.Sscanf(s.Facts.Kernel, "%d.%d", &major, &minor); err != nil {
		return warning("kernel", fmt.Sprintf("release %q cannot be read", s.Facts.Kernel), "use Linux 5.10 or newer")
	}
	if major < 5 || major == 5 && minor < 10 {
		return warning("kernel", "Linux "+s.Facts.Kernel+" is older than 5.10: connections that reuse a port may be delayed by a second", "use Linux 5.10 or newer")
	}
	return ok("kernel", "Linux %s", s.Facts.Kernel)
}

const setcap = "setcap cap_net_admin,cap_net_raw+ep on the helper's file"

func (s Subject) capabilities() wire.Check {
	switch {
	case !s.NetAdmin:
		return failed("capabilities", "CAP_NET_ADMIN is missing: the kernel refuses everything", setcap+", and no container around it")
	case !s.NetRaw:
		return warning("capabilities", "CAP_NET_RAW is missing: a VIP that comes up is not announced to its neighbours", setcap)
	}
	return ok("capabilities", "CAP_NET_ADMIN and CAP_NET_RAW")
}

func (s Subject) ipvs() wire.Check {
	if err := s.Probe(); err != nil {
		return failed("ip_vs", err.Error(), "modprobe ip_vs, and name it in /etc/modules-load.d")
	}
	return ok("ip_vs", "IPVS answers")
}

// tried are schedulers and tunnel types, tried in a scratch network namespace where we may make one; else as the files of
// modules and the kernel's release say.
func (s Subject) tried() []wire.Check {
	trial, err := s.Scratch()
	how := "tried"
	if err != nil {
		trial, how = Trial{s.Facts.Schedulers, host.TunnelTypes(s.Facts.Kernel)}, "by its modules"
	}
	schedulers := ok("schedulers", "%s (%s)", strings.Join(trial.Schedulers, ", "), how)
	switch {
	case len(trial.Schedulers) == 0:
		schedulers = failed("schedulers", "no scheduler can be loaded", "install the kernel's module package; modprobe ip_vs_wrr")
	case !slices.Contains(trial.Schedulers, "mh"):
		schedulers = warning("schedulers", schedulers.Message+": mh is missing, with which several directors choose alike", "use a kernel with ip_vs_mh (Linux 4.18)")
	}
	if err != nil {
		how = "by its release"
	}
	tunnels := ok("tunnels", "%s (%s)", strings.Join(trial.TunnelTypes, ", "), how)
	if len(trial.TunnelTypes) < allTunnelTypes {
		tunnels = warning("tunnels", "the kernel keeps only: "+strings.Join(trial.TunnelTypes, ", ")+"; it makes ipip of the others without a word", "use Linux 5.3 or newer for gue and gre")
	}
	return []wire.Check{schedulers, tunnels}
}

// policy: whoever can write the file can lift every limit.
func (s Subject) policy() (policy.Grant, wire.Check) {
	grant, err := policy.Load(s.PolicyPath, s.Owner)
	if err != nil {
		return grant, failed("policy", err.Error(), "write it as docs/install.md shows")
	}
	owner, mode, err := ownerOf(s.PolicyPath)
	switch {
	case err != nil:
		return grant, failed("policy", err.Error(), "make it readable for the helper's user")
	case owner != 0 || mode&0o022 != 0:
		return grant, failed("policy", fmt.Sprintf("%s belongs to user %d with mode %04o: others than root can lift its limits", s.PolicyPath, owner, mode), "chown root: "+s.PolicyPath+"; chmod 0644 "+s.PolicyPath)
	}
	return grant, ok("policy", "%s grants owner %s, and only root can write it", s.PolicyPath, s.Owner)
}

const setClock = "set the clock; run a time service (chrony, systemd-timesyncd)"

// enoughForJournal is room for a large table written anew several times.
const enoughForJournal = 64 << 20

// journal: without one that can be written nothing is accepted, and without a whole one nothing comes back after a reboot.
func (s Subject) journal() wire.Check {
	kept := s.Engine.Journal
	if kept == nil {
		return warning("journal", "none is kept: nothing is restored after a reboot", "start the helper with --journal-dir")
	}
	if err := kept.Usable(); err != nil {
		what, remedy, _ := strings.Cut(err.Error(), "; ")
		return failed("journal", what, remedy)
	}
	room, err := kept.Room()
	switch {
	case err != nil:
		return failed("journal", err.Error(), "create its directory")
	case kept.Lost() > 0:
		return warning("journal", fmt.Sprintf("%s: its last %d bytes are no whole record", kept.Path(), kept.Lost()), "nothing to do: the operator's next request writes it anew; but if this host did not lose power, look at its disk")
	case room < enoughForJournal:
		return warning("journal", fmt.Sprintf("%s has %d MiB left", filepath.Dir(kept.Path()), room>>20), "make room: without it nothing more is accepted")
	}
	return ok("journal", "%s is whole, %d MiB left", kept.Path(), room>>20)
}

// clock: epochs of fencing do not depend on it, deadlines of drains and log lines do.
func (s Subject) clock() wire.Check {
	if kept := s.Engine.Journal; kept != nil {
		if told, err := kept.Read(); err == nil && s.Now.Add(time.Minute).Before(told.Written) {
			return failed("clock", fmt.Sprintf("it is %s here, before the journal's last record (%s)", s.Now.UTC().Format(time.RFC3339), told.Written.UTC().Format(time.RFC3339)), setClock)
		}
	}
	if s.Now.Before(s.Built) {
		return failed("clock", fmt.Sprintf("it is %s here, before the helper was made (%s)", s.Now.UTC().Format(time.RFC3339), s.Built.UTC().Format(time.RFC3339)), setClock)
	}
	return ok("clock", "%s", s.Now.UTC().Format(time.RFC3339))
}
