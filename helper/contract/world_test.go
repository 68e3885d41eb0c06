package contract

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/settings"
)

// world is a network namespace with an empty IPVS table, and interfaces lo and eth0 without VIPs.
type world struct {
	// packets is the table of packet rules of an owner.
	packets   func(owner string) packets.Kernel
	settings  settings.Kernel
	ipvs      ipvs.Kernel
	addresses address.Kernel
	// lossy is the same table through a connection that loses acknowledgements.
	lossy func() ipvs.Kernel
	// cramped is the same table through a connection as ours always is, but with room for a few answers only.
	cramped func() ipvs.Kernel
	// unprivileged is the same table for a caller without CAP_NET_ADMIN.
	unprivileged func(t *testing.T) ipvs.Kernel
	real         bool
	stateDir     string
}

// onEveryKernel runs a case on the fakes, and on the real kernel when that is asked for.
func onEveryKernel(t *testing.T, run func(t *testing.T, w *world)) {
	t.Run("fake", func(t *testing.T) { run(t, fakeWorld(memoryDir(t))) })
	if os.Getenv("IPVS_CONTRACT_KERNEL") == "1" {
		t.Run("kernel", func(t *testing.T) { run(t, realWorld(t)) })
	}
}

// kernelOnly is the first line of a test that has nothing to do on the fakes. Such tests are called TestKernel…: runs without a kernel leave
// them out by that name, and do not count them.
func kernelOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("IPVS_CONTRACT_KERNEL") != "1" {
		t.Skip("needs a kernel: IPVS_CONTRACT_KERNEL=1 in a virtual machine")
	}
}

// memoryDir is a directory for ledgers that costs no disk, as /run is one, where the system has such a place.
func memoryDir(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("/dev/shm", "ipvs-contract-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return directory
}

func fakeWorld(stateDir string) *world {
	table := ipvs.NewFake()
	return &world{
		stateDir:  stateDir,
		packets:   packetsOfFake(),
		settings:  settings.Combined{Settings: table, Sysctls: settings.NewFakeSysctls()},
		ipvs:      table,
		addresses: address.NewFake("lo", "eth0"),
		lossy:     func() ipvs.Kernel { return &forgetful{Kernel: table} },
		cramped:   func() ipvs.Kernel { return &forgetful{Kernel: table} },
		unprivileged: func(*testing.T) ipvs.Kernel {
			table.Unprivileged = true
			return table
		},
	}
}

// forgetful carries operations out but loses every answer after the first few of a batch, as a full receive buffer does.
type forgetful struct {
	ipvs.Kernel
}

func (f *forgetful) Execute(operations []ipvs.Operation) []error {
	results := f.Kernel.Execute(operations)
	for index := 3; index < len(results); index++ {
		results[index] = ipvs.ErrOutcomeUnknown
	}
	return results
}

// realWorld is a fresh network namespace of the kernel we run on. The thread that lives in it is never used for anything
// else: it ends with the test's goroutine.
func realWorld(t *testing.T) *world {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
	command(t, "ip", "link", "set", "lo", "up")
	command(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
	command(t, "ip", "link", "set", "peer0", "up")
	command(t, "ip", "link", "set", "eth0", "up")
	w := kernelWorld(memoryDir(t))
	t.Cleanup(func() { _, _ = w.ipvs.Close(), w.addresses.Close() })
	return w
}

// kernelWorld is the network namespace of the calling thread.
func kernelWorld(stateDir string) *world {
	table, addresses := ipvs.NewNetlink(), address.NewNetlink()
	return &world{
		settings:  settings.Combined{Settings: table, Sysctls: settings.Proc{}},
		packets:   packetsOfKernel(),
		ipvs:      table,
		addresses: addresses,
		lossy:     func() ipvs.Kernel { return ipvs.NewNetlinkWithBuffer(1, true) },
		cramped:   func() ipvs.Kernel { return ipvs.NewNetlinkWithBuffer(1, false) },
		unprivileged: func(t *testing.T) ipvs.Kernel {
			dropNetAdmin(t)
			return ipvs.NewNetlink()
		},
		real:     true,
		stateDir: stateDir,
	}
}

// dropNetAdmin takes the capability from the calling thread for good.
func dropNetAdmin(t *testing.T) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	output, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

// ipvsadmShows asks ipvsadm -Sn, which shares no code with us, for exactly these lines, in any order.
func (w *world) ipvsadmShows(t *testing.T, lines ...string) {
	t.Helper()
	if !w.real {
		return
	}
	var got []string
	for line := range strings.Lines(command(t, "ipvsadm", "-Sn")) {
		got = append(got, strings.TrimSpace(line))
	}
	slices.Sort(got)
	slices.Sort(lines)
	if !slices.Equal(got, lines) {
		t.Errorf("ipvsadm -Sn shows\n%s\nwanted\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// ipvsadmLists asks ipvsadm -Ln with one more option, for what -Sn leaves out; the words stand in one line.
func (w *world) ipvsadmLists(t *testing.T, option, words string) {
	t.Helper()
	if !w.real {
		return
	}
	output := command(t, "ipvsadm", "-Ln", option)
	for line := range strings.Lines(output) {
		if strings.Contains(strings.Join(strings.Fields(line), " "), words) {
			return
		}
	}
	t.Errorf("ipvsadm -Ln %s shows no line with %q:\n%s", option, words, output)
}

// ipShows asks ip(8) whether the interface has exactly these addresses, beside those that every interface has.
func (w *world) ipShows(t *testing.T, interfaceName string, addresses ...string) {
	t.Helper()
	if !w.real {
		return
	}
	var got []string
	for line := range strings.Lines(command(t, "ip", "-o", "addr", "show", "dev", interfaceName)) {
		text := strings.Fields(line)[3]
		prefix, err := netip.ParsePrefix(text)
		if err == nil && !prefix.Addr().IsLoopback() && !prefix.Addr().IsLinkLocalUnicast() {
			got = append(got, text)
		}
	}
	slices.Sort(got)
	slices.Sort(addresses)
	if !slices.Equal(got, addresses) {
		t.Errorf("ip addr shows %v on %s, wanted %v", got, interfaceName, addresses)
	}
}

// service is a valid virtual server, TCP with scheduler rr.
func service(vip string, port uint16) ipvs.Service {
	parsed := netip.MustParseAddr(vip)
	family := ipvs.FamilyOf(parsed)
	return ipvs.Service{
		ServiceKey: ipvs.ServiceKey{Family: family, Protocol: ipvs.TCP, Address: parsed, Port: port},
		Scheduler:  "rr", PrefixLength: uint8(family.Bits()),
	}
}

// destination is a valid real server by direct routing, weight 1.
func destination(host string, port uint16) ipvs.Destination {
	return ipvs.Destination{
		DestinationKey:   ipvs.DestinationKey{Address: netip.MustParseAddr(host), Port: port},
		ForwardingMethod: ipvs.DirectRouting, Weight: 1,
	}
}

// must carries operations out that have to succeed.
func (w *world) must(t *testing.T, operations ...ipvs.Operation) {
	t.Helper()
	for index, err := range w.ipvs.Execute(operations) {
		if err != nil {
			t.Fatalf("operation %d (%d on %s): %v", index, operations[index].Kind, operations[index].Service.ServiceKey, err)
		}
	}
}

func show(err error) string {
	if errno, isErrno := err.(unix.Errno); isErrno {
		return unix.ErrnoName(errno)
	}
	return fmt.Sprint(err)
}
