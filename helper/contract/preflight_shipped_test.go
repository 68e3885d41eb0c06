package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// directorSettings are the sysctls that preflight looks at: as a director should have them, and otherwise.
var directorSettings = map[string][2]string{
	"net.ipv4.ip_forward":                   {"1", "0"},
	"net.ipv4.conf.all.send_redirects":      {"0", "1"},
	"net.ipv4.vs.expire_nodest_conn":        {"1", "0"},
	"net.ipv4.vs.expire_quiescent_template": {"1", "0"},
	"net.ipv4.vs.sloppy_tcp":                {"1", "0"},
	"net.ipv4.vs.run_estimation":            {"1", "0"},
	"net.ipv4.conf.all.rp_filter":           {"0", "1"},
	"net.ipv4.conf.eth0.rp_filter":          {"2", "1"},
	"net.ipv6.conf.all.forwarding":          {"1", "0"},
}

// What the program that directors run says of this host, to root and to the user of a director with its capabilities: every line is there,
// and true. What is wrong is told, and its remedy helps.
func TestKernelPreflightIsTrue(t *testing.T) {
	kernelOnly(t)
	p := newPreflightHost(t)
	for name, values := range directorSettings {
		setSysctl(t, strings.ReplaceAll(name, ".", "/"), values[0])
	}
	loadable := p.loadable(t)
	root, failed := p.run(t, nil)
	p.allLines(t, root)
	if failed {
		t.Errorf("this host cannot be a director: %+v", root)
	}
	release := strings.TrimSpace(command(t, "uname", "-r"))
	p.says(t, root, "kernel", wire.VerdictOK, "Linux "+release)
	p.says(t, root, "capabilities", wire.VerdictOK, "CAP_NET_ADMIN and CAP_NET_RAW")
	p.says(t, root, "ip_vs", wire.VerdictOK, "IPVS answers")
	first, _, _ := strings.Cut(command(t, "ipvsadm", "-Ln"), "\n") // IP Virtual Server version 1.2.1 (size=4096)
	_, size, _ := strings.Cut(first, "(size=")
	p.says(t, root, "connection table", wire.VerdictOK, strings.TrimSuffix(size, ")")+" rows")
	p.says(t, root, "schedulers", wire.VerdictOK, strings.Join(loadable, ", ")+" (tried)")
	p.says(t, root, "tunnels", wire.VerdictOK, "ipip, gue, gre (tried)")
	p.says(t, root, "policy", wire.VerdictOK, p.policyFile+" grants owner prod")
	p.says(t, root, "interface lo", wire.VerdictOK, "up, MTU 65536")
	p.says(t, root, "interface eth0", wire.VerdictOK, "up, MTU 1500")
	p.says(t, root, "interface missing0", wire.VerdictWarning, "it does not exist")
	p.says(t, root, "virtual servers", wire.VerdictOK, "0 of ours, 1 of others outside our ranges")
	p.says(t, root, "other programs", wire.VerdictOK, "none seen")
	for name, values := range directorSettings {
		p.says(t, root, name, wire.VerdictOK, values[0])
	}
	p.says(t, root, "nftables", wire.VerdictOK, "nftables answers")
	p.says(t, root, "state directory", wire.VerdictOK, fmt.Sprintf("%s can be written, %d MiB left", p.stateDir, roomIn(t, p.stateDir)))
	p.says(t, root, "journal", wire.VerdictOK, fmt.Sprintf("is whole, %d MiB left", roomIn(t, p.journalDir)))
	p.says(t, root, "clock", wire.VerdictOK, "T")
	table := map[bool]wire.Verdict{true: wire.VerdictOK, false: wire.VerdictWarning}
	_, config := os.Stat("/boot/config-" + release)
	_, packed := os.Stat("/proc/config.gz")
	p.says(t, root, "mh table", table[config == nil || packed == nil], "")
	conntrack := "not loaded"
	if most, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max"); err == nil {
		conntrack = fmt.Sprintf("of %s entries", strings.TrimSpace(string(most)))
	}
	p.says(t, root, "conntrack", wire.VerdictOK, conntrack)

	user, failed := p.run(t, directorUser(unix.CAP_NET_ADMIN, unix.CAP_NET_RAW))
	if p.allLines(t, user); failed {
		t.Errorf("this host cannot be a director: %+v", user)
	}
	for _, check := range root {
		if check.Name == "schedulers" || check.Name == "tunnels" || check.Name == "clock" { // it may not try, and time goes on
			continue
		}
		if other := named(t, user, check.Name); other != check {
			t.Errorf("root is told %+v, the director's user %+v", check, other)
		}
	}
	p.says(t, user, "schedulers", wire.VerdictOK, strings.Join(loadable, ", ")+" (by its modules)")
	p.says(t, user, "tunnels", wire.VerdictOK, "ipip, gue, gre (by its release)")
}

func TestKernelPreflightTellsWhatIsWrong(t *testing.T) {
	kernelOnly(t)
	p := newPreflightHost(t)
	for name, values := range directorSettings {
		setSysctl(t, strings.ReplaceAll(name, ".", "/"), values[1])
	}
	command(t, "ip", "link", "set", "eth0", "mtu", "1400")
	other := p.runs(t, "kube-proxy")
	left := service("203.0.113.99", 80)
	p.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: left})
	p.small(t, p.journalDir, 32<<20)
	wrong, failed := p.run(t, directorUser(unix.CAP_NET_ADMIN))
	if p.allLines(t, wrong); failed {
		t.Errorf("nothing of this makes it impossible: %+v", wrong)
	}
	p.says(t, wrong, "capabilities", wire.VerdictWarning, "CAP_NET_RAW is missing")
	p.says(t, wrong, "interface eth0", wire.VerdictWarning, "its MTU is 1400")
	p.says(t, wrong, "other programs", wire.VerdictWarning, "kube-proxy may write")
	p.says(t, wrong, "virtual servers", wire.VerdictWarning, "1 in this owner's ranges were made by someone else")
	p.says(t, wrong, "journal", wire.VerdictWarning, fmt.Sprintf("%s has %d MiB left", p.journalDir, roomIn(t, p.journalDir)))
	for name, values := range directorSettings {
		p.says(t, wrong, name, wire.VerdictWarning, values[1]+": ")
		remedy, persistent := strings.CutSuffix(named(t, wrong, name).Remedy, ", and in /etc/sysctl.d")
		setting, isSysctl := strings.CutPrefix(remedy, "sysctl -w ")
		sysctl, value, isSet := strings.Cut(setting, "=")
		if !persistent || !isSysctl || !isSet || sysctl != name {
			t.Errorf("%s: remedy %q", name, named(t, wrong, name).Remedy)
			continue
		}
		setSysctl(t, strings.ReplaceAll(sysctl, ".", "/"), value)
	}
	command(t, "ip", "link", "set", "eth0", "down")
	_ = other.Close()
	p.small(t, p.stateDir, 8<<20)
	right, failed := p.run(t, nil)
	if !failed {
		t.Error("without room for ledgers it is told to be a director")
	}
	p.says(t, right, "interface eth0", wire.VerdictWarning, "it is down")
	p.says(t, right, "state directory", wire.VerdictFailed, "KiB left")
	for name := range directorSettings {
		if check := named(t, right, name); check.Verdict != wire.VerdictOK {
			t.Errorf("after its remedy: %+v", check)
		}
	}
	until(t, "preflight to see the other program no more", func() bool {
		right, _ = p.run(t, nil)
		return named(t, right, "other programs").Verdict == wire.VerdictOK
	})
	if err := os.Chmod(p.policyFile, 0o666); err != nil {
		t.Fatal(err)
	}
	bare, failed := p.run(t, directorUser())
	if p.says(t, bare, "capabilities", wire.VerdictFailed, "CAP_NET_ADMIN is missing"); !failed {
		t.Error("without capabilities it is told to be a director")
	}
	p.says(t, bare, "ip_vs", wire.VerdictFailed, "the helper lacks capability CAP_NET_ADMIN")
	p.says(t, bare, "policy", wire.VerdictFailed, "mode 0666: others than root can lift its limits")
}

// preflightHost is a shipped helper that finds the devices of its own network namespace in /sys, and whose directories are the director's user's.
type preflightHost struct {
	*shipped
}

// directorID is the user and group of a director's helper.
const directorID = 1000

// directorUser is that user with these capabilities only.
func directorUser(capabilities ...uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: directorID, Gid: directorID}, AmbientCaps: capabilities}
}

func newPreflightHost(t *testing.T) *preflightHost {
	t.Helper()
	p := &preflightHost{shippedOn(t, &interruption{director: shippedDirector(t)})}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil { // of this thread, which ends with the test
		t.Fatal(err)
	}
	for _, mount := range []struct {
		source, target, kind string
		flags                uintptr
	}{{"", "/", "", unix.MS_REC | unix.MS_PRIVATE}, {"sysfs", "/sys", "sysfs", 0}} {
		if err := unix.Mount(mount.source, mount.target, mount.kind, mount.flags, ""); err != nil {
			t.Fatalf("mount %+v: %v", mount, err)
		}
	}
	if parent := filepath.Dir(p.stateDir); strings.HasPrefix(filepath.Base(parent), t.Name()) { // of a temporary directory, which is root's
		if err := os.Chmod(parent, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.giveAway(t, p.stateDir)
	p.giveAway(t, p.journalDir)
	if err := os.Chmod(p.policyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	foreign := service("192.0.2.200", 80)
	p.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: foreign})
	return p
}

// giveAway makes a directory and what is in it the director's user's, but for the policy.
func (p *preflightHost) giveAway(t *testing.T, directory string) {
	t.Helper()
	files, err := os.ReadDir(directory)
	for _, file := range files {
		if path := filepath.Join(directory, file.Name()); err == nil && path != p.policyFile {
			err = os.Chown(path, directorID, directorID)
		}
	}
	if err == nil {
		err = os.Chown(directory, directorID, directorID)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// small puts a file system of that size where the directory is, in our view of the machine.
func (p *preflightHost) small(t *testing.T, directory string, size int) {
	t.Helper()
	policy, err := os.ReadFile(p.policyFile)
	if err == nil {
		err = unix.Mount("small", directory, "tmpfs", 0, fmt.Sprintf("size=%d,uid=%d", size, directorID))
	}
	t.Cleanup(func() { _ = unix.Unmount(directory, unix.MNT_DETACH) })
	if err == nil {
		err = os.MkdirAll(p.journalDir, 0o777)
	}
	if err == nil {
		err = os.WriteFile(p.policyFile, policy, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run answers what the helper's program says, as JSON, and whether it fails.
func (p *preflightHost) run(t *testing.T, as *syscall.SysProcAttr) (checks []wire.Check, failed bool) {
	t.Helper()
	process := exec.Command(p.program, p.arguments("preflight", "--json")...)
	process.Dir, process.SysProcAttr = "/", as
	var output, errors bytes.Buffer
	process.Stdout, process.Stderr = &output, &errors
	err := process.Run()
	var answer wire.PreflightResult
	if json.Unmarshal(output.Bytes(), &answer) != nil || len(answer.Checks) == 0 {
		t.Fatalf("preflight: %v\n%s%s", err, output.String(), errors.String())
	}
	if err != nil && process.ProcessState.ExitCode() != 1 {
		t.Errorf("preflight ends with %v", err)
	}
	return answer.Checks, err != nil
}

// allLines wants every check of preflight, once.
func (p *preflightHost) allLines(t *testing.T, checks []wire.Check) {
	t.Helper()
	want := []string{"kernel", "capabilities", "ip_vs", "connection table", "schedulers", "tunnels", "policy", "interface lo", "interface eth0", "interface missing0", "virtual servers",
		"other programs", "mh table", "conntrack", "nftables", "state directory", "journal", "clock"}
	for name := range directorSettings {
		want = append(want, name)
	}
	var got []string
	for _, check := range checks {
		got = append(got, check.Name)
		if (check.Remedy == "") != (check.Verdict == wire.VerdictOK) || check.Message == "" {
			t.Errorf("%+v", check)
		}
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("checks %v, wanted %v", got, want)
	}
}

func (p *preflightHost) says(t *testing.T, checks []wire.Check, name string, verdict wire.Verdict, words string) {
	t.Helper()
	if check := named(t, checks, name); check.Verdict != verdict || !strings.Contains(check.Message, words) {
		t.Errorf("%+v, wanted %s with %q", check, verdict, words)
	}
}

func named(t *testing.T, checks []wire.Check, name string) wire.Check {
	t.Helper()
	for _, check := range checks {
		if check.Name == name {
			return check
		}
	}
	t.Fatalf("no check %s in %+v", name, checks)
	return wire.Check{}
}

// loadable are the schedulers with which ipvsadm makes a virtual server, of those that the helper knows.
func (p *preflightHost) loadable(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, name := range ipvs.SchedulerNames {
		if exec.Command("ipvsadm", "-A", "-t", "192.0.2.201:80", "-s", name).Run() == nil {
			names = append(names, name)
			command(t, "ipvsadm", "-D", "-t", "192.0.2.201:80")
		}
	}
	if len(names) < 13 {
		t.Fatalf("ipvsadm can use schedulers %v only", names)
	}
	return names
}

// runs starts a program that does nothing, under that name, until what it answers is closed.
func (p *preflightHost) runs(t *testing.T, name string) io.Closer {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\nread line\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	process := exec.Command(path)
	stdin, err := process.StdinPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	go func() { _ = process.Wait() }()
	until(t, "the program to have its name", func() bool {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", process.Process.Pid))
		return err == nil && strings.TrimSpace(string(comm)) == name
	})
	return stdin
}

// roomIn is how many MiB may be written there by anybody.
func roomIn(t *testing.T, directory string) uint64 {
	t.Helper()
	var space unix.Statfs_t
	if err := unix.Statfs(directory, &space); err != nil {
		t.Fatal(err)
	}
	return space.Bavail * uint64(space.Bsize) >> 20
}
