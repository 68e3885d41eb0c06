package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func tree(t *testing.T, files map[string]string) Root {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Root(root)
}

func TestSchedulersFromEverySource(t *testing.T) {
	root := tree(t, map[string]string{
		"proc/modules":                    "ip_vs_rr 16384 1 - Live 0x0\nip_vs 200704 3 ip_vs_rr, Live 0x0\n",
		"sys/module/ip_vs_sh/refcnt":      "0",
		"lib/modules/6.1/modules.dep":     "kernel/net/netfilter/ipvs/ip_vs_mh.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz\nkernel/net/netfilter/ipvs/ip_vs_ftp.ko: \n",
		"lib/modules/6.1/modules.builtin": "kernel/net/netfilter/ipvs/ip_vs_wlc.ko\n",
		"lib/modules/5.10/modules.dep":    "kernel/net/netfilter/ipvs/ip_vs_fo.ko:\n",
	})
	if got, want := root.schedulers("6.1"), []string{"rr", "wlc", "sh", "mh"}; !slices.Equal(got, want) {
		t.Errorf("schedulers %v, wanted %v", got, want)
	}
	if got := tree(t, nil).schedulers("6.1"); got == nil || len(got) != 0 {
		t.Errorf("without any source: %v", got)
	}
}

func TestFacts(t *testing.T) {
	facts := tree(t, map[string]string{"proc/sys/kernel/random/boot_id": "abc\n", "etc/machine-id": "def\n", "proc/net/if_inet6": ""}).Discover()
	if facts.BootID != "abc" || facts.MachineID != "def" || !slices.Equal(facts.Families, []string{"IPv4", "IPv6"}) || facts.Kernel == "" {
		t.Errorf("facts %+v", facts)
	}
	if bare := tree(t, nil).Discover(); bare.BootID != "" || !slices.Equal(bare.Families, []string{"IPv4"}) {
		t.Errorf("bare facts %+v", bare)
	}
	if here := Root("/").Discover(); here.Netns == "" || here.BootID == "" {
		t.Errorf("here: %+v", here)
	}
}
