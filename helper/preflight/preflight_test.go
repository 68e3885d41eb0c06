package preflight

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/host"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/journal"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/policy"
	"ipvs-operator.io/helper/settings"
	"ipvs-operator.io/helper/wire"
)

const grant = `{"owners":{"prod":{"virtualServers":["203.0.113.0/24","2001:db8::/64"],"realServers":["192.0.2.0/24"],"interfaces":["eth0"]}}}`

// goodHost is a host on which every check passes; files are those below its root.
func goodHost(t *testing.T, files map[string]string) Subject {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"policy.json": grant, "boot/config-6.1.0-test": "# CONFIG\nCONFIG_IP_VS_MH_TAB_INDEX=12\n", "proc/1/comm": "systemd\n",
		"sys/class/net/eth0/mtu": "1500\n", "sys/class/net/eth0/flags": "0x1003\n",
		"proc/sys/net/ipv4/ip_forward": "1\n", "proc/sys/net/ipv4/conf/all/send_redirects": "0\n", "proc/sys/net/ipv4/conf/all/rp_filter": "2\n",
		"proc/sys/net/ipv4/conf/eth0/rp_filter": "0\n", "proc/sys/net/ipv6/conf/all/forwarding": "1\n",
		"proc/sys/net/ipv4/vs/expire_nodest_conn": "1\n", "proc/sys/net/ipv4/vs/expire_quiescent_template": "1\n",
		"proc/sys/net/ipv4/vs/sloppy_tcp": "1\n", "proc/sys/net/ipv4/vs/run_estimation": "1\n", "proc/sys/net/ipv4/vs/conntrack": "1\n",
		"proc/sys/net/netfilter/nf_conntrack_max": "1000\n", "proc/sys/net/netfilter/nf_conntrack_count": "10\n",
	} {
		if changed, isChanged := files[name]; isChanged {
			content = changed
		}
		write(t, root, name, content)
	}
	for name, content := range files {
		write(t, root, name, content)
	}
	table := ipvs.NewFake()
	state := t.TempDir()
	policyPath := filepath.Join(root, "policy.json")
	return Subject{
		Root: root, Facts: host.Facts{Kernel: "6.1.0-test"}, Probe: func() error { return nil }, Packets: func() error { return nil },
		NetAdmin: true, NetRaw: true, Owner: "prod", PolicyPath: policyPath, StateDir: state,
		Scratch: func() (Trial, error) { return Trial{[]string{"rr", "mh"}, []string{"ipip", "gue", "gre"}}, nil },
		Now:     time.Unix(2000, 0), Built: time.Unix(1000, 0),
		Engine: &apply.Engine{IPVS: table, Addresses: address.NewFake("eth0"), Host: settings.Combined{Settings: table, Sysctls: settings.NewFakeSysctls()},
			Packets: packets.NewFake(), Ledger: ledger.Open(state, "prod", "netns", "boot"), Journal: journal.Open(state, "prod"), Lock: ledger.NewLock(state, "netns"),
			Policy: func() (policy.Grant, error) { return policy.Load(policyPath, "prod") }},
	}
}

func write(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// withoutOwner leaves out the one check that a test which is not root cannot pass.
func withoutOwner(checks []wire.Check) []wire.Check {
	if os.Getuid() == 0 {
		return checks
	}
	var rest []wire.Check
	for _, check := range checks {
		if check.Name != "policy" {
			rest = append(rest, check)
		}
	}
	return rest
}

func TestGoodHostPasses(t *testing.T) {
	for _, check := range withoutOwner(goodHost(t, nil).Run()) {
		if check.Verdict != wire.VerdictOK || check.Message == "" || check.Remedy != "" {
			t.Errorf("%+v", check)
		}
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	for name, row := range map[string]struct {
		files   map[string]string
		edit    func(*Subject)
		check   string
		verdict wire.Verdict
		words   string
	}{
		"old kernel":       {nil, func(s *Subject) { s.Facts.Kernel = "4.19.0" }, "kernel", wire.VerdictWarning, "older than 5.10"},
		"no capability":    {nil, func(s *Subject) { s.NetAdmin = false }, "capabilities", wire.VerdictFailed, "CAP_NET_ADMIN is missing"},
		"no announcements": {nil, func(s *Subject) { s.NetRaw = false }, "capabilities", wire.VerdictWarning, "CAP_NET_RAW is missing"},
		"no IPVS":          {nil, func(s *Subject) { s.Probe = func() error { return ipvs.ErrNoFamily } }, "ip_vs", wire.VerdictFailed, "no generic netlink family"},
		"no scheduler":     {nil, func(s *Subject) { s.Scratch = func() (Trial, error) { return Trial{}, nil } }, "schedulers", wire.VerdictFailed, "no scheduler can be loaded"},
		"no mh":            {nil, func(s *Subject) { s.Scratch = func() (Trial, error) { return Trial{Schedulers: []string{"rr"}}, nil } }, "schedulers", wire.VerdictWarning, "mh is missing"},
		"by modules": {nil, func(s *Subject) {
			s.Facts.Schedulers, s.Scratch = []string{"wrr", "mh"}, func() (Trial, error) { return Trial{}, errors.New("no") }
		}, "schedulers", wire.VerdictOK, "wrr, mh (by its modules)"},
		"tunnels": {nil, func(s *Subject) {
			s.Scratch = func() (Trial, error) { return Trial{TunnelTypes: []string{"ipip"}}, nil }
		}, "tunnels", wire.VerdictWarning, "keeps only: ipip"},
		"no policy":       {nil, func(s *Subject) { s.PolicyPath += ".none" }, "policy", wire.VerdictFailed, "does not exist"},
		"interface":       {map[string]string{"policy.json": strings.Replace(grant, "eth0", "eth9", 1)}, nil, "interface eth9", wire.VerdictFailed, "does not exist"},
		"interface down":  {map[string]string{"sys/class/net/eth0/flags": "0x1002"}, nil, "interface eth0", wire.VerdictWarning, "is down"},
		"small MTU":       {map[string]string{"sys/class/net/eth0/mtu": "1400"}, nil, "interface eth0", wire.VerdictWarning, "MTU is 1400"},
		"forwarding":      {map[string]string{"proc/sys/net/ipv4/ip_forward": "0"}, nil, "net.ipv4.ip_forward", wire.VerdictWarning, "not forwarded"},
		"forwarding IPv6": {map[string]string{"proc/sys/net/ipv6/conf/all/forwarding": "0"}, nil, "net.ipv6.conf.all.forwarding", wire.VerdictWarning, "IPv6"},
		"strict paths":    {map[string]string{"proc/sys/net/ipv4/conf/eth0/rp_filter": "1"}, nil, "net.ipv4.conf.eth0.rp_filter", wire.VerdictWarning, "another way"},
		"redirects":       {map[string]string{"proc/sys/net/ipv4/conf/all/send_redirects": "1"}, nil, "net.ipv4.conf.all.send_redirects", wire.VerdictWarning, "sent past the director"},
		"no real server": {map[string]string{"proc/sys/net/ipv4/vs/expire_nodest_conn": "0"}, nil, "net.ipv4.vs.expire_nodest_conn", wire.VerdictWarning,
			"0: connections to a removed real server hang"},
		"quiescent": {map[string]string{"proc/sys/net/ipv4/vs/expire_quiescent_template": "0"}, nil, "net.ipv4.vs.expire_quiescent_template", wire.VerdictWarning,
			"0: persistent clients stay with a draining real server"},
		"sloppy":              {map[string]string{"proc/sys/net/ipv4/vs/sloppy_tcp": "0"}, nil, "net.ipv4.vs.sloppy_tcp", wire.VerdictWarning, "moves here from another director is reset"},
		"no estimation":       {map[string]string{"proc/sys/net/ipv4/vs/run_estimation": "0"}, nil, "net.ipv4.vs.run_estimation", wire.VerdictWarning, "rates are not counted"},
		"strict paths of all": {map[string]string{"proc/sys/net/ipv4/conf/all/rp_filter": "1"}, nil, "net.ipv4.conf.all.rp_filter", wire.VerdictWarning, "another way"},
		"kube-proxy":          {map[string]string{"proc/78/comm": "kube-proxy\n"}, nil, "other programs", wire.VerdictWarning, "kube-proxy may write the IPVS table too"},
		"several writers": {map[string]string{"proc/78/comm": "kube-proxy\n", "proc/79/comm": "keepalived\n", "proc/80/comm": "keepalived\n"}, nil, "other programs",
			wire.VerdictWarning, "kube-proxy, keepalived may write"},
		"keepalived":      {map[string]string{"proc/77/comm": "keepalived\n"}, nil, "other programs", wire.VerdictWarning, "keepalived"},
		"conntrack full":  {map[string]string{"proc/sys/net/netfilter/nf_conntrack_count": "900"}, nil, "conntrack", wire.VerdictWarning, "900 of 1000"},
		"no nftables":     {nil, func(s *Subject) { s.Packets = func() error { return errors.New("no nf_tables") } }, "nftables", wire.VerdictWarning, "no nf_tables"},
		"state directory": {nil, func(s *Subject) { s.Engine.Lock = ledger.NewLock("/nonexistent", "netns") }, "state directory", wire.VerdictFailed, "/nonexistent cannot be written"},
		"no journal":      {nil, func(s *Subject) { s.Engine.Journal = nil }, "journal", wire.VerdictWarning, "none is kept"},
		"no directory":    {nil, func(s *Subject) { s.Engine.Journal = journal.Open("/nonexistent", "prod") }, "journal", wire.VerdictFailed, "/nonexistent cannot be written"},
		"damaged journal": {nil, func(s *Subject) { spoil(t, s, func(content []byte) []byte { content[70] ^= 1; return content }) }, "journal", wire.VerdictFailed, "is damaged"},
		"torn journal":    {nil, func(s *Subject) { spoil(t, s, func(content []byte) []byte { return append(content, "ipvs"...) }) }, "journal", wire.VerdictWarning, "last 4 bytes"},
		"clock went back": {nil, func(s *Subject) {
			spoil(t, s, func(content []byte) []byte { return content })
			s.Now = time.Unix(1500, 0)
		}, "clock", wire.VerdictFailed, "before the journal's last record"},
		"clock":                      {nil, func(s *Subject) { s.Now = time.Unix(10, 0) }, "clock", wire.VerdictFailed, "before the helper was made"},
		"small table of connections": {nil, nil, "connection table", wire.VerdictOK, "4096 rows; some hundred thousand connections at once want more: options ip_vs conn_tab_bits=18"},
		"table that grows":           {map[string]string{"proc/sys/net/ipv4/vs/conn_lfactor": "-4\n"}, nil, "connection table", wire.VerdictOK, "more when there are more connections"},
		"table that is not to be had": {nil, func(s *Subject) {
			table := ipvs.NewFake()
			table.Unprivileged = true
			s.Engine.Host = settings.Combined{Settings: table, Sysctls: settings.NewFakeSysctls()}
		}, "connection table", wire.VerdictWarning, "its size is unknown"},
		"config unknown": {nil, func(s *Subject) { s.Facts.Kernel = "6.1.0-other" }, "mh table", wire.VerdictWarning, "unknown"},
		"orphans":        {nil, func(s *Subject) { addOrphan(s) }, "virtual servers", wire.VerdictWarning, "1 in this owner's ranges"},
	} {
		t.Run(name, func(t *testing.T) {
			subject := goodHost(t, row.files)
			if row.edit != nil {
				row.edit(&subject)
			}
			checks := subject.Run()
			for _, check := range checks {
				if check.Name != row.check {
					continue
				}
				if check.Verdict != row.verdict || !strings.Contains(check.Message, row.words) || check.Remedy == "" && row.verdict != wire.VerdictOK {
					t.Errorf("%+v, wanted %s with %q", check, row.verdict, row.words)
				}
				if row.verdict == wire.VerdictFailed && !Failed(checks) {
					t.Error("it does not count as failed")
				}
				return
			}
			t.Errorf("no check %s in %+v", row.check, checks)
		})
	}
}

func TestPolicyThatOthersCanWrite(t *testing.T) {
	subject := goodHost(t, nil)
	if err := os.Chmod(subject.PolicyPath, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, check := subject.policy(); check.Verdict != wire.VerdictFailed || !strings.Contains(check.Message, "mode 0666: others than root can lift its limits") {
		t.Errorf("%+v", check)
	}
}

// spoil keeps a journal that was written at the host's time, and then changes the file.
func spoil(t *testing.T, s *Subject, change func([]byte) []byte) {
	t.Helper()
	kept := s.Engine.Journal
	if _, err := kept.Read(); err != nil {
		t.Fatal(err)
	}
	if err := kept.Write(journal.Told{Fence: wire.Fence{Epoch: 1}}, s.Now); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(kept.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept.Path(), change(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Engine.Journal = journal.Open(filepath.Dir(kept.Path()), "prod")
}

func addOrphan(s *Subject) {
	key, _ := ipvs.ParseServiceKey("TCP 203.0.113.9:80")
	s.Engine.IPVS.Execute([]ipvs.Operation{{Kind: ipvs.NewService, Service: ipvs.Service{ServiceKey: key, Scheduler: "rr", PrefixLength: 32}}})
}
