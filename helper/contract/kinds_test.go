package contract

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// kindsPolicy also grants firewall marks.
const kindsPolicy = `{"owners":{"prod":{"virtualServers":["203.0.113.0/24","2001:db8::/64"],"realServers":["192.0.2.0/24","203.0.113.0/24","2001:db8:1::/64","127.0.0.1/32"],
	"interfaces":["lo","eth0"],"firewallMarks":["1-100","500"]}}}`

func newKindsDirector(t *testing.T, w *world) *director {
	t.Helper()
	d := newDirector(t, w)
	d.policy = kindsPolicy
	return d
}

// marked is a virtual server of a firewall mark: rr, direct routing, weight 1 for each host.
func marked(mark int64, family string, hosts ...string) wire.VirtualServer {
	result := virtualServer("", 0, hosts...)
	result.Key, result.Scheduler = wire.Key{FirewallMark: mark, Family: family}, "rr"
	return result
}

func tunneled(virtualServer wire.VirtualServer, tunnels ...wire.Tunnel) wire.VirtualServer {
	for index := range virtualServer.RealServers {
		virtualServer.RealServers[index].ForwardingMethod, virtualServer.RealServers[index].Tunnel = "Tunneling", tunnels[index%len(tunnels)]
	}
	return virtualServer
}

// converges applies, wants exactly these changes, and then none when asked for the same again.
func converges(t *testing.T, d *director, wanted wire.VirtualServer, changes ...string) wire.ApplyResult {
	t.Helper()
	answer := d.listed(t, list(wanted))
	clean(t, answer, changes...)
	if again := d.listed(t, list(wanted)); len(again.Changes) > 0 || len(again.Errors) > 0 || again.Writes > 0 || again.TableHash != answer.TableHash {
		t.Errorf("the same again: changes %v, errors %v, %d writes", again.Changes, again.Errors, again.Writes)
	}
	return answer
}

func TestTunnels(t *testing.T) {
	for name, row := range map[string]struct {
		tunnel   wire.Tunnel
		sentence string
		saved    string
	}{
		"ipip":                {wire.Tunnel{Type: "ipip"}, "ipip", "-i -w 1 --tun-type ipip"},
		"gue":                 {wire.Tunnel{Type: "gue", Port: 6080}, "gue port 6080", "-i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum"},
		"gue with a checksum": {wire.Tunnel{Type: "gue", Port: 6080, Checksum: true}, "gue port 6080 with checksum", "-i -w 1 --tun-type gue --tun-port 6080 --tun-csum"},
		"gue, remote checksum": {wire.Tunnel{Type: "gue", Port: 6080, RemoteChecksum: true}, "gue port 6080 with remote checksum offload",
			"-i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum"},
		"gre":                 {wire.Tunnel{Type: "gre"}, "gre", "-i -w 1 --tun-type gre --tun-nocsum"},
		"gre with a checksum": {wire.Tunnel{Type: "gre", Checksum: true}, "gre with checksum", "-i -w 1 --tun-type gre --tun-csum"},
	} {
		for _, hosts := range [][2]string{{"203.0.113.10", "192.0.2.21"}, {"2001:db8::10", "2001:db8:1::21"}, {"203.0.113.10", "2001:db8:1::21"}, {"2001:db8::10", "192.0.2.21"}} {
			t.Run(name+" from "+hosts[0]+" to "+hosts[1], func(t *testing.T) {
				onEveryKernel(t, func(t *testing.T, w *world) {
					d := newKindsDirector(t, w)
					web := tunneled(virtualServer(hosts[0], 80, hosts[1]), row.tunnel)
					vip, server := endpoint(hosts[0], "80"), endpoint(hosts[1], "80")
					converges(t, d, web, "add virtual server TCP "+vip+" with scheduler wrr",
						fmt.Sprintf("add real server %s weight 1 by Tunneling (%s) to TCP %s", server, row.sentence, vip), "add address "+hosts[0]+" to interface lo")
					w.ipvsadmShows(t, "-A -t "+vip+" -s wrr", "-a -t "+vip+" -r "+server+" "+row.saved)
					if got := keyed(t, d.read(t), web.Key); got.RealServers[0].RealServer != web.RealServers[0] {
						t.Errorf("read %+v, sent %+v", got.RealServers[0], web.RealServers[0])
					}
				})
			})
		}
	}
}

// From one tunnel to another, to direct routing and back: one write each, in place.
func TestTunnelsAreEditedInPlace(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newKindsDirector(t, w)
		plain := virtualServer("203.0.113.10", 80, "192.0.2.21")
		with := func(tunnel wire.Tunnel) wire.VirtualServer {
			return tunneled(virtualServer("203.0.113.10", 80, "192.0.2.21"), tunnel)
		}
		d.listed(t, list(plain))
		change := "change real server 192.0.2.21:80 of TCP 203.0.113.10:80: forwarding method "
		converges(t, d, with(wire.Tunnel{Type: "gue", Port: 6080}), change+"DirectRouting to Tunneling (gue port 6080)")
		converges(t, d, with(wire.Tunnel{Type: "gue", Port: 6081, Checksum: true}), change+"Tunneling (gue port 6080) to Tunneling (gue port 6081 with checksum)")
		converges(t, d, with(wire.Tunnel{Type: "gue", Port: 6081, RemoteChecksum: true}), change+"Tunneling (gue port 6081 with checksum) to Tunneling (gue port 6081 with remote checksum offload)")
		converges(t, d, with(wire.Tunnel{Type: "gre"}), change+"Tunneling (gue port 6081 with remote checksum offload) to Tunneling (gre)")
		converges(t, d, with(wire.Tunnel{Type: "ipip"}), change+"Tunneling (gre) to Tunneling (ipip)")
		last := converges(t, d, plain, change+"Tunneling (ipip) to DirectRouting")
		if last.Writes != 1 {
			t.Errorf("%d writes", last.Writes)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
	})
}

// A kernel before 5.2 ignores what it does not know and says success: only reading back tells.
func TestKernelThatKeepsNoTunnelType(t *testing.T) {
	w := fakeWorld(memoryDir(t))
	w.ipvs.(*ipvs.Fake).WithoutTunnelTypes = true
	d := newKindsDirector(t, w)
	for _, tunnel := range []wire.Tunnel{{Type: "gue", Port: 6080}, {Type: "gre"}} {
		web := tunneled(virtualServer("203.0.113.10", 80, "192.0.2.21"), tunnel)
		refused(t, d.listed(t, list(web)), wire.ClassPermanent, "TCP 203.0.113.10:80", "kernel keeps no tunnel type and made ipip of it", web.Key)
	}
	web := tunneled(virtualServer("203.0.113.10", 80, "192.0.2.21"), wire.Tunnel{Type: "ipip"})
	clean(t, d.listed(t, list(web)))
}

func TestLocal(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newKindsDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "203.0.113.10", "127.0.0.1")
		for index := range web.RealServers {
			web.RealServers[index].ForwardingMethod = "Local"
		}
		converges(t, d, web, "add virtual server TCP 203.0.113.10:80 with scheduler wrr", "add real server 127.0.0.1:80 weight 1 by Local to TCP 203.0.113.10:80",
			"add real server 203.0.113.10:80 weight 1 by Local to TCP 203.0.113.10:80", "add address 203.0.113.10 to interface lo")
		w.ipvsadmLists(t, "--sort", "-> 203.0.113.10:80 Local 1 0 0")
		w.ipvsadmLists(t, "--sort", "-> 127.0.0.1:80 Local 1 0 0")
	})
}

func TestFirewallMarks(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newKindsDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		mark4 := marked(7, "IPv4", "192.0.2.21", "192.0.2.22")
		mark4.RealServers[1].ForwardingMethod, mark4.RealServers[1].Port = "Masquerading", 8080
		mark4.Persistence, mark4.OnePacket = &wire.Persistence{TimeoutSeconds: 60, PrefixLength: 24}, true
		mark6 := tunneled(marked(7, "IPv6", "2001:db8:1::21"), wire.Tunnel{Type: "gre"})
		answer := d.all(t, mark4, web, mark6)
		clean(t, answer,
			"add virtual server TCP 203.0.113.10:80 with scheduler wrr", "add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.10:80",
			"add virtual server firewall mark 7 (IPv4) with scheduler rr, persistence 60 s per /24, one-packet scheduling",
			"add real server 192.0.2.21:0 weight 1 to firewall mark 7 (IPv4)",
			"add real server 192.0.2.22:8080 weight 1 by Masquerading to firewall mark 7 (IPv4)",
			"add virtual server firewall mark 7 (IPv6) with scheduler rr",
			"add real server [2001:db8:1::21]:0 weight 1 by Tunneling (gre) to firewall mark 7 (IPv6)",
			"add address 203.0.113.10 to interface lo")
		w.ipvsadmShows(t, "-A -f 7 -s rr -p 60 -M 255.255.255.0 -o", "-a -f 7 -r 192.0.2.21:0 -g -w 1", "-a -f 7 -r 192.0.2.22:8080 -m -w 1",
			"-A -f 7 -6 -s rr", "-a -f 7 -6 -r [2001:db8:1::21]:0 -i -w 1 --tun-type gre --tun-nocsum",
			"-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
		w.ipShows(t, "lo", "203.0.113.10/32")
		read := d.read(t)
		if got := keyed(t, read, mark4.Key); got.RealServers[1].RealServer != mark4.RealServers[1] || len(read.ForeignFirewallMarks) > 0 || read.TableHash != answer.TableHash {
			t.Errorf("read %+v, foreign %v, hash %s after %s", got, read.ForeignFirewallMarks, read.TableHash, answer.TableHash)
		}
		d.engine = d.newEngine("prod") // a new session finds its marks in the ledger
		clean(t, d.all(t, mark6, web, mark4))
		clean(t, d.listed(t, nil, mark4.Key), "delete virtual server firewall mark 7 (IPv4)")
		clean(t, d.all(t, web), "delete virtual server firewall mark 7 (IPv6)")
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
	})
}

// Any rule of the host may use a mark: what we have not made is not ours, even when it is equal to what is wanted.
func TestFirewallMarkOfOthers(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newKindsDirector(t, w)
		w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: ipvs.Service{ServiceKey: ipvs.ServiceKey{Family: ipvs.IPv4, FirewallMark: 7}, Scheduler: "rr", PrefixLength: 32}})
		same := marked(7, "IPv4")
		answer := d.listed(t, list(same))
		refused(t, answer, wire.ClassCollision, "firewall mark 7 (IPv4)", "was not made by owner prod", same.Key)
		if answer.Counts.Foreign != 1 || answer.Counts.Orphans != 0 {
			t.Errorf("counts %+v", answer.Counts)
		}
		refused(t, d.listed(t, nil, same.Key), wire.ClassCollision, "firewall mark 7 (IPv4)", "was not made by owner prod", same.Key)
		clean(t, d.all(t))
		if read := d.read(t); len(read.ForeignFirewallMarks) != 1 || read.ForeignFirewallMarks[0] != 7 || len(read.Orphans) != 0 {
			t.Errorf("read %+v", read)
		}
		w.ipvsadmShows(t, "-A -f 7 -s rr")
	})
}

func TestFirewallMarksNeedAGrant(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newKindsDirector(t, w)
		for _, mark := range []int64{101, 499, 501} {
			beyond := marked(mark, "IPv4")
			object := fmt.Sprintf("firewall mark %d (IPv4)", mark)
			refused(t, d.listed(t, list(beyond)), wire.ClassPolicy, object, "owners.prod.firewallMarks", beyond.Key)
			refused(t, d.listed(t, nil, beyond.Key), wire.ClassPolicy, object, "owners.prod.firewallMarks", beyond.Key)
		}
		granted := marked(500, "IPv4")
		clean(t, d.listed(t, list(granted)), "add virtual server firewall mark 500 (IPv4) with scheduler rr")
		d.policy = defaultPolicy // grants none: what was made is no longer ours to touch
		refused(t, d.listed(t, list(granted)), wire.ClassPolicy, "firewall mark 500 (IPv4)", "owners.prod.firewallMarks", granted.Key)
		if answer := d.all(t); answer.Writes != 0 || answer.Counts.Foreign != 1 {
			t.Errorf("answer %+v", answer)
		}
		w.ipvsadmShows(t, "-A -f 500 -s rr")
	})
}

func TestPersistenceEngine(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newKindsDirector(t, w)
		calls := virtualServer("203.0.113.10", 5060, "192.0.2.21")
		calls.Protocol, calls.Persistence = "UDP", &wire.Persistence{TimeoutSeconds: 300, PrefixLength: 32, Engine: "sip"}
		converges(t, d, calls, "add virtual server UDP 203.0.113.10:5060 with scheduler wrr, persistence 300 s per /32, persistence engine sip",
			"add real server 192.0.2.21:5060 weight 1 to UDP 203.0.113.10:5060", "add address 203.0.113.10 to interface lo")
		w.ipvsadmShows(t, "-A -u 203.0.113.10:5060 -s wrr -p 300 --pe sip", "-a -u 203.0.113.10:5060 -r 192.0.2.21:5060 -g -w 1")
		if got := keyed(t, d.read(t), calls.Key); *got.Persistence != *calls.Persistence {
			t.Errorf("read %+v", got.Persistence)
		}
		without := calls
		without.Persistence = &wire.Persistence{TimeoutSeconds: 300, PrefixLength: 32}
		converges(t, d, without, "change virtual server UDP 203.0.113.10:5060 from scheduler wrr, persistence 300 s per /32, persistence engine sip to scheduler wrr, persistence 300 s per /32")
		w.ipvsadmShows(t, "-A -u 203.0.113.10:5060 -s wrr -p 300", "-a -u 203.0.113.10:5060 -r 192.0.2.21:5060 -g -w 1")
	})
}

// Scheduler and engine share one errno.
func TestPersistenceEngineThatIsNotThere(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		if w.real {
			withoutModule(t, "ip_vs_pe_sip")
		} else {
			w.ipvs.(*ipvs.Fake).PersistenceEngines = nil
		}
		d := newKindsDirector(t, w)
		calls := virtualServer("203.0.113.10", 5060, "192.0.2.21")
		calls.Protocol, calls.Persistence = "UDP", &wire.Persistence{TimeoutSeconds: 300, PrefixLength: 32, Engine: "sip"}
		refused(t, d.listed(t, list(calls)), wire.ClassPermanent, "UDP 203.0.113.10:5060", "cannot load scheduler wrr or persistence engine sip", calls.Key)
		w.ipvsadmShows(t)
	})
}

// withoutModule unloads a module of the kernel, which loads none until the test ends. Other network namespaces that used it may be on their way out.
func withoutModule(t *testing.T, name string) {
	t.Helper()
	const loader = "/proc/sys/kernel/modprobe"
	program, err := os.ReadFile(loader)
	if err == nil {
		err = os.WriteFile(loader, []byte("/bin/false"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(loader, program, 0) })
	until(t, "module "+name+" to be unloaded", func() bool {
		err := unix.DeleteModule(name, 0)
		return err == nil || err == unix.ENOENT
	})
}

// The messages between sync daemons have no room for two families.
func TestMixedFamiliesAndSyncDaemon(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newKindsDirector(t, w)
		if w.real {
			command(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "eth0")
			command(t, "ipvsadm", "--start-daemon", "master", "--mcast-interface", "eth0")
			t.Cleanup(func() { command(t, "ipvsadm", "--stop-daemon", "master") })
		} else {
			w.ipvs.(*ipvs.Fake).SyncDaemon = true
		}
		web := tunneled(virtualServer("2001:db8::10", 80, "192.0.2.21"), wire.Tunnel{Type: "ipip"})
		answer := d.listed(t, list(web))
		refused(t, answer, wire.ClassPermanent, "TCP [2001:db8::10]:80", "not possible while a sync daemon runs", web.Key)
		same := tunneled(virtualServer("2001:db8::11", 80, "2001:db8:1::21"), wire.Tunnel{Type: "ipip"})
		if answer := d.listed(t, list(same)); len(answer.Errors) > 0 {
			t.Errorf("of one family: %+v", answer.Errors)
		}
	})
}

// Every scheduler of the kernel, with every flag by its bit.
func TestSchedulersAndFlags(t *testing.T) {
	for _, name := range []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf"} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newKindsDirector(t, w)
				saved := map[string]string{"flag-1": "flag-1", "flag-2": "flag-2", "flag-3": "flag-3"}
				if name == "sh" || name == "mh" {
					saved = map[string]string{"flag-1": name + "-fallback", "flag-2": name + "-port"} // ipvsadm is silent about their third
				}
				for number, flags := range [][]string{{}, {"flag-1"}, {"flag-2"}, {"flag-3"}, {"flag-1", "flag-2", "flag-3"}} {
					web := virtualServer("203.0.113.10", 80, "192.0.2.21")
					web.Scheduler, web.SchedulerFlags = name, flags
					if answer := d.listed(t, list(web)); len(answer.Errors) > 0 || number > 0 && answer.Writes != 1 {
						t.Errorf("%v: errors %+v, %d writes", flags, answer.Errors, answer.Writes)
					}
					clean(t, d.listed(t, list(web)))
					if got := keyed(t, d.read(t), web.Key); len(got.SchedulerFlags) != len(flags) {
						t.Errorf("read flags %v, sent %v", got.SchedulerFlags, flags)
					}
					line := "-A -t 203.0.113.10:80 -s " + name
					if len(flags) > 0 {
						var names []string
						for _, flag := range flags {
							if saved[flag] != "" {
								names = append(names, saved[flag])
							}
						}
						line = strings.TrimSpace(line + " -b " + strings.Join(names, ","))
					}
					w.ipvsadmShows(t, line, "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
				}
			})
		})
	}
}

// twos is not in every kernel: either it works, or the answer says what is missing.
func TestTwos(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newKindsDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		web.Scheduler = "twos"
		answer := d.listed(t, list(web))
		if len(answer.Errors) > 0 {
			refused(t, answer, wire.ClassPermanent, "TCP 203.0.113.10:80", "cannot load scheduler twos: load its module (modprobe ip_vs_twos)", web.Key)
			return
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s twos", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
	})
}

// What the kernel would take without a word, or make something else of.
func TestNonsenseOfKinds(t *testing.T) {
	tunnel := func(method string, tunnel wire.Tunnel) func(*wire.VirtualServer) {
		return func(v *wire.VirtualServer) {
			v.RealServers[0].ForwardingMethod, v.RealServers[0].Tunnel = method, tunnel
		}
	}
	mark := func(mark int64, family string, edit func(*wire.RealServer)) func(*wire.VirtualServer) {
		return func(v *wire.VirtualServer) {
			*v = marked(mark, family, "192.0.2.21")
			edit(&v.RealServers[0])
		}
	}
	rows := map[string]struct {
		edit  func(*wire.VirtualServer)
		words string
	}{
		"tunnel without type":         {tunnel("Tunneling", wire.Tunnel{}), "needs a tunnel"},
		"unknown tunnel type":         {tunnel("Tunneling", wire.Tunnel{Type: "vxlan"}), `tunnel type "vxlan" is unknown`},
		"gue without port":            {tunnel("Tunneling", wire.Tunnel{Type: "gue"}), "tunnel: port 0 is outside"},
		"gue with port 70000":         {tunnel("Tunneling", wire.Tunnel{Type: "gue", Port: 70000}), "tunnel: port 70000 is outside"},
		"ipip with port":              {tunnel("Tunneling", wire.Tunnel{Type: "ipip", Port: 1}), "tunnel of type ipip has no port"},
		"gre with port":               {tunnel("Tunneling", wire.Tunnel{Type: "gre", Port: 1}), "tunnel of type gre has no port"},
		"ipip with checksum":          {tunnel("Tunneling", wire.Tunnel{Type: "ipip", Checksum: true}), "tunnel of type ipip has no checksum"},
		"ipip with remote checksum":   {tunnel("Tunneling", wire.Tunnel{Type: "ipip", RemoteChecksum: true}), "tunnel of type ipip has no remote checksum offload"},
		"gue with both checksums":     {tunnel("Tunneling", wire.Tunnel{Type: "gue", Port: 6080, Checksum: true, RemoteChecksum: true}), "has checksum or remoteChecksum"},
		"gre with remote checksum":    {tunnel("Tunneling", wire.Tunnel{Type: "gre", RemoteChecksum: true}), "tunnel of type gre has no remote checksum offload"},
		"direct routing and a tunnel": {tunnel("DirectRouting", wire.Tunnel{Type: "ipip"}), "DirectRouting has no tunnel"},
		"bypass":                      {tunnel("Bypass", wire.Tunnel{}), `forwarding method "Bypass" is unknown`},
		"tunnel to another port": {func(v *wire.VirtualServer) {
			tunnel("Tunneling", wire.Tunnel{Type: "ipip"})(v)
			v.RealServers[0].Port = 81
		}, "which Tunneling cannot translate"},
		"local at another port": {func(v *wire.VirtualServer) { v.RealServers[0].ForwardingMethod, v.RealServers[0].Port = "Local", 81 }, "which Local cannot translate"},
		"local in the other family": {func(v *wire.VirtualServer) {
			v.RealServers[0].ForwardingMethod, v.RealServers[0].Address = "Local", "2001:db8:1::21"
		}, "which Local cannot translate"},
		"masquerading to loopback": {func(v *wire.VirtualServer) {
			v.RealServers[0].ForwardingMethod, v.RealServers[0].Address = "Masquerading", "127.0.0.1"
		}, "cannot be a real server"},
		"mixed direct routing":     {func(v *wire.VirtualServer) { v.RealServers[0].Address = "2001:db8:1::21" }, "its address family differs"},
		"mark 0":                   {mark(0, "IPv4", func(*wire.RealServer) {}), "firewall mark 0 is outside"},
		"mark of 33 bits":          {mark(1<<32, "IPv4", func(*wire.RealServer) {}), "firewall mark 4294967296 is outside"},
		"mark of no family":        {mark(7, "ipv4", func(*wire.RealServer) {}), `family "ipv4" is unknown`},
		"mark with a direct port":  {mark(7, "IPv4", func(r *wire.RealServer) { r.Port = 80 }), "which DirectRouting cannot translate to: use 0"},
		"mark in the other family": {mark(7, "IPv6", func(*wire.RealServer) {}), "its address family differs"},
		"engine on TCP": {func(v *wire.VirtualServer) {
			v.Persistence = &wire.Persistence{TimeoutSeconds: 60, PrefixLength: 32, Engine: "sip"}
		}, "sip works with UDP only"},
		"unknown engine": {func(v *wire.VirtualServer) {
			v.Persistence = &wire.Persistence{TimeoutSeconds: 60, PrefixLength: 32, Engine: "ftp"}
		}, `persistence engine "ftp" is unknown`},
	}
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newKindsDirector(t, w)
		for name, row := range rows {
			bad := virtualServer("203.0.113.10", 80, "192.0.2.21")
			row.edit(&bad)
			answer := d.listed(t, list(bad))
			if len(answer.Errors) != 1 || answer.Errors[0].Class != wire.ClassObject || !strings.Contains(answer.Errors[0].Message, row.words) || answer.Writes != 0 {
				t.Errorf("%s: answer %+v, wanted words %q", name, answer, row.words)
			}
		}
		w.ipvsadmShows(t)
	})
}
