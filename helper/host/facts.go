// Package host finds out where the helper runs: identity of host and network namespace, and what its kernel offers.
package host

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
)

// Facts are what does not change while a session lasts.
type Facts struct {
	BootID     string
	MachineID  string
	Netns      string
	Kernel     string
	Schedulers []string
	Families   []string
}

// Root is a file system to look into: "/" but for tests.
type Root string

// Discover reads /proc, /sys, /etc/machine-id and /lib/modules. What cannot be read stays empty.
func (r Root) Discover() Facts {
	facts := Facts{
		BootID:    r.line("proc/sys/kernel/random/boot_id"),
		MachineID: r.line("etc/machine-id"),
		Netns:     r.netns(),
		Kernel:    kernelRelease(),
		Families:  []string{"IPv4"},
	}
	facts.Schedulers = r.schedulers(facts.Kernel)
	if r.exists("proc/net/if_inet6") {
		facts.Families = append(facts.Families, "IPv6")
	}
	return facts
}

func (r Root) path(name string) string { return filepath.Join(string(r), name) }

func (r Root) exists(name string) bool {
	_, err := os.Stat(r.path(name))
	return err == nil
}

func (r Root) line(name string) string {
	content, _ := os.ReadFile(r.path(name))
	return strings.TrimSpace(string(content))
}

// netns is the inode of our network namespace, as in /proc/self/ns/net → net:[4026531840].
func (r Root) netns() string {
	link, _ := os.Readlink(r.path("proc/thread-self/ns/net"))
	return strings.TrimSuffix(strings.TrimPrefix(link, "net:["), "]")
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

var schedulerModule = regexp.MustCompile(`\bip_vs_([a-z]+)(?:\.ko\S*)?\b`)

// schedulers are those whose module is loaded, built in, or a file that the kernel can load on demand. Nothing is loaded
// here: the helper has no right to.
func (r Root) schedulers(release string) []string {
	found := map[string]bool{}
	modules := filepath.Join("lib/modules", release)
	for _, list := range []string{"proc/modules", filepath.Join(modules, "modules.dep"), filepath.Join(modules, "modules.builtin")} {
		content, _ := os.ReadFile(r.path(list))
		for _, match := range schedulerModule.FindAllStringSubmatch(string(content), -1) {
			found[match[1]] = true
		}
	}
	usable := []string{}
	for _, name := range ipvs.SchedulerNames {
		if found[name] || r.exists("sys/module/ip_vs_"+name) {
			usable = append(usable, name)
		}
	}
	return usable
}
