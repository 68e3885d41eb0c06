package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/host"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/journal"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/packets/nft"
	"ipvs-operator.io/helper/policy"
	"ipvs-operator.io/helper/settings"
	"ipvs-operator.io/helper/wire"
)

// options are the flags that all verbs share.
type options struct {
	owner      string
	policyPath string
	stateDir   string
	journalDir string
	fakeKernel bool
	json       bool
	file       string
	// arguments are what stands behind the flags, for the verbs that take some.
	arguments []string
}

func parseOptions(verb string, arguments []string, on terminal, more func(*flag.FlagSet)) (options, bool) {
	var chosen options
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	flags.SetOutput(on.errors)
	flags.StringVar(&chosen.owner, "owner", "", "name under which the policy file grants address ranges")
	flags.StringVar(&chosen.policyPath, "policy", policy.DefaultPath, "the host's policy file")
	flags.StringVar(&chosen.stateDir, "state-dir", ledger.DefaultDirectory, "directory of ledgers and lock")
	flags.StringVar(&chosen.journalDir, "journal-dir", "", "directory of journals, on a disk that survives a reboot (default "+journal.DefaultDirectory+"; none with --fake-kernel)")
	flags.BoolVar(&chosen.fakeKernel, "fake-kernel", false, "use a table in memory, for tests")
	flags.BoolVar(&chosen.json, "json", false, "print JSON")
	flags.StringVar(&chosen.file, "file", "", "read the request from this file instead of stdin")
	if more != nil {
		more(flags)
	}
	if flags.Parse(arguments) != nil {
		return options{}, false
	}
	if chosen.arguments = flags.Args(); flags.NArg() > 0 && !takesKeys[verb] {
		fmt.Fprintf(on.errors, "%s: unexpected argument %q\n", verb, flags.Arg(0))
		return options{}, false
	}
	return chosen, true
}

func requireOwner(verb string, chosen options, on terminal) bool {
	if chosen.owner == "" {
		fmt.Fprintf(on.errors, "%s: --owner is required\n", verb)
		return false
	}
	if err := ledger.CheckOwner(chosen.owner); err != nil {
		fmt.Fprintf(on.errors, "%s: %s\n", verb, err)
		return false
	}
	return true
}

// environment is the host as one owner sees it.
type environment struct {
	options
	facts  host.Facts
	kernel ipvs.Kernel
	engine *apply.Engine
	// settings are the director's own, beside its table.
	settings settings.Kernel
}

func newEnvironment(chosen options) *environment {
	e := &environment{options: chosen, facts: host.Root("/").Discover()}
	var addresses address.Kernel
	var rules packets.Kernel
	if chosen.fakeKernel {
		table := ipvs.NewFake()
		e.kernel, addresses = table, address.NewFake("lo", "eth0", "dummy0")
		e.settings = settings.Combined{Settings: table, Sysctls: settings.NewFakeSysctls()}
		rules = packets.NewFake()
		e.facts.Schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf"}
		e.facts.Families = []string{"IPv4", "IPv6"}
	} else {
		table := ipvs.NewNetlink()
		e.kernel, addresses = table, address.NewNetlink()
		e.settings = settings.Combined{Settings: table, Sysctls: settings.Proc{}}
		rules = nft.New(chosen.owner)
	}
	// At boot /run is empty; where we may, we make the directory ourselves. Where not, using it gives the reason.
	_ = os.MkdirAll(chosen.stateDir, 0o755)
	e.journalDir = journalDirectory(chosen)
	e.engine = &apply.Engine{
		IPVS:      e.kernel,
		Addresses: addresses,
		Host:      e.settings,
		Packets:   rules,
		Ledger:    ledger.Open(chosen.stateDir, chosen.owner, e.facts.Netns, e.facts.BootID),
		Lock:      ledger.NewLock(chosen.stateDir, e.facts.Netns),
		Policy:    func() (policy.Grant, error) { return policy.Load(chosen.policyPath, chosen.owner) },
	}
	if e.journalDir != "" {
		if os.Geteuid() != 0 { // root's directory would be of no use to the helper's user
			_ = os.MkdirAll(e.journalDir, 0o750)
		}
		e.engine.Journal = journal.Open(e.journalDir, chosen.owner)
	}
	return e
}

// journalDirectory: a table in memory ends with the process, and a journal of it would restore what never was.
func journalDirectory(chosen options) string {
	if chosen.journalDir == "" && !chosen.fakeKernel {
		return journal.DefaultDirectory
	}
	return chosen.journalDir
}

// hello says who we are and everything that makes this host unfit, each with a remedy.
func (e *environment) hello() wire.Hello {
	hello := wire.Hello{
		Type: "hello", Protocol: wire.ProtocolRange{Min: wire.ProtocolMin, Max: wire.ProtocolMax}, Version: version, Owner: e.owner,
		BootID: e.facts.BootID, MachineID: e.facts.MachineID, Netns: e.facts.Netns, Kernel: e.facts.Kernel,
		Capabilities: wire.Capabilities{Schedulers: e.facts.Schedulers, ForwardingMethods: []string{}, Families: []string{}},
		Problems:     []string{},
	}
	problem := func(err error) { hello.Problems = append(hello.Problems, err.Error()) }
	if err := e.engine.CheckPolicy(); err != nil {
		problem(err)
	}
	if fence, err := e.engine.Fence(); err != nil {
		problem(err)
	} else {
		hello.Epoch, hello.Generation = fence.Epoch, fence.Generation
	}
	if err := e.engine.CheckJournal(); err != nil {
		problem(err)
	}
	err := e.kernel.Probe()
	hello.Capabilities.IPVS = !errors.Is(err, ipvs.ErrNoFamily)
	hello.Capabilities.NetAdmin = !errors.Is(err, unix.EPERM) && hasCapability(unix.CAP_NET_ADMIN) || e.fakeKernel
	if err == nil {
		hello.Capabilities.ForwardingMethods = []string{ipvs.DirectRouting.String(), ipvs.Masquerading.String(), ipvs.Tunneling.String(), ipvs.Local.String()}
		hello.Capabilities.TunnelTypes = host.TunnelTypes(e.facts.Kernel)
		hello.Capabilities.Families = e.facts.Families
		hello.Capabilities.Features = wire.Features
	} else {
		problem(describeProbe(err))
	}
	return hello
}

func describeProbe(err error) error {
	switch {
	case errors.Is(err, ipvs.ErrNoFamily):
		return fmt.Errorf("%w: load it (modprobe ip_vs) and make that permanent in /etc/modules-load.d", err)
	case errors.Is(err, unix.EPERM):
		return errors.New("the helper lacks capability CAP_NET_ADMIN: run setcap cap_net_admin,cap_net_raw+ep on its file, outside of any container")
	}
	return fmt.Errorf("the kernel's IPVS cannot be used: %w", err)
}

func hasCapability(capability uint) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}
