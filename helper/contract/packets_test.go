package contract

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/packets/nft"
	"ipvs-operator.io/helper/wire"
)

// Several engines of one owner share one table.
func packetsOfFake() func(string) packets.Kernel {
	tables := map[string]*packets.Fake{}
	return func(owner string) packets.Kernel {
		if tables[owner] == nil {
			tables[owner] = packets.NewFake()
		}
		return tables[owner]
	}
}

// Each one ends the socket of the one before, which opens another when it is used again: random tables make thousands of them.
func packetsOfKernel() func(string) packets.Kernel {
	var last *nft.Table
	return func(owner string) packets.Kernel {
		if last != nil {
			_ = last.Close()
		}
		last = nft.New(owner)
		return last
	}
}

func packetDirector(t *testing.T, w *world) *director {
	t.Helper()
	d := newDirector(t, w)
	d.policy = strings.Replace(defaultPolicy, `"prod":{`, `"prod":{"host":{"sysctls":["*"]},`, 1)
	return d
}

// masquerading is a virtual server that forwards by Masquerading and asks for its packets to be masqueraded.
func masquerading(vip string, port int64, hosts ...string) wire.VirtualServer {
	server := virtualServer(vip, port, hosts...)
	for index := range server.RealServers {
		server.RealServers[index].ForwardingMethod = "Masquerading"
	}
	server.Masquerade = true
	return server
}

// nftShows asks nft(8) for words in one line of the ruleset.
func (w *world) nftShows(t *testing.T, words ...string) {
	t.Helper()
	for _, line := range words {
		w.shows(t, line, "nft", "-n", "list", "ruleset")
	}
}

func (w *world) nftShowsNothing(t *testing.T) {
	t.Helper()
	if !w.real {
		return
	}
	if output := command(t, "nft", "list", "ruleset"); strings.TrimSpace(output) != "" {
		t.Errorf("nft list ruleset shows\n%s\nwanted nothing", output)
	}
}

func TestSourceRanges(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := packetDirector(t, w)
		web := virtualServer("203.0.113.10", 80, "192.0.2.21")
		web.SourceRanges = []string{"198.51.100.128/25", "198.51.100.0/28", "198.51.100.0/24", "192.0.2.7/32", "2001:db8:9::/48"}
		six := virtualServer("2001:db8::10", 443, "2001:db8:1::21")
		six.SourceRanges = []string{"2001:db8:9::/48", "::/0"}
		answer := d.all(t, web, six)
		clean(t, answer,
			"add packet rules of TCP 203.0.113.10:80: let in only 192.0.2.7/32 198.51.100.0/24",
			"add packet rules of TCP [2001:db8::10]:443: let in only ::/0",
			"add virtual server TCP 203.0.113.10:80 with scheduler wrr", "add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.10:80",
			"add virtual server TCP [2001:db8::10]:443 with scheduler wrr", "add real server [2001:db8:1::21]:443 weight 1 to TCP [2001:db8::10]:443",
			"add address 203.0.113.10 to interface lo", "add address 2001:db8::10 to interface lo")
		if answer.Writes != 8 || answer.TotalWrites != 8 {
			t.Errorf("writes %d, in total %d", answer.Writes, answer.TotalWrites)
		}
		w.nftShows(t, "table inet ipvs-operator-prod {", "elements = { 6 . 203.0.113.10 . 80 . 192.0.2.7", "6 . 203.0.113.10 . 80 . 198.51.100.0/24",
			"ip daddr . th dport @restricted4", "ip saddr != @sources4 counter packets 0 bytes 0 drop", "6 . 2001:db8::10 . 443 . ::/0")
		if again := d.all(t, web, six); again.Writes != 0 || len(again.Changes) != 0 || again.TableHash != answer.TableHash {
			t.Errorf("nothing to do, answer %+v", again)
		}
		if read := keyed(t, d.read(t), web.Key); strings.Join(read.SourceRanges, " ") != "192.0.2.7/32 198.51.100.0/24" {
			t.Errorf("read %v", read.SourceRanges)
		}
		web.SourceRanges = []string{"198.51.0.0/16"}
		edited := d.listed(t, list(web))
		clean(t, edited, "change packet rules of TCP 203.0.113.10:80 from let in only 192.0.2.7/32 198.51.100.0/24 to let in only 198.51.0.0/16")
		if edited.Writes != 1 || edited.TableHash == answer.TableHash {
			t.Errorf("answer %+v", edited)
		}
		w.nftShows(t, "elements = { 6 . 203.0.113.10 . 80 . 198.51.0.0/16 }")
		web.SourceRanges = nil
		clean(t, d.listed(t, list(web)), "delete packet rules of TCP 203.0.113.10:80: let in only 198.51.0.0/16")
		clean(t, d.listed(t, nil, six.Key), "delete address 2001:db8::10 from interface lo", "delete virtual server TCP [2001:db8::10]:443", "delete packet rules of TCP [2001:db8::10]:443: let in only ::/0")
		w.nftShowsNothing(t)
	})
}

func TestMasqueradeAndSegments(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := packetDirector(t, w)
		web, six := masquerading("203.0.113.10", 80, "192.0.2.21"), masquerading("2001:db8::10", 80, "2001:db8:1::21")
		web.MSSClamp = 1400
		request := wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(web, six), Host: &wire.Host{Sysctls: map[string]string{"net.ipv4.vs.conntrack": "1"}}}
		answer := d.apply(t, d.engine, request)
		if len(answer.Errors) != 0 || answer.Changes[1].Sentence != "add packet rules of TCP 203.0.113.10:80: masquerade, TCP segments of at most 1400 bytes" {
			t.Errorf("answer %+v", answer)
		}
		w.nftShows(t, "type nat hook postrouting priority 100", "masquerade comment", "elements = { 6 . 203.0.113.10 . 80 : 1400 }", "@masqueraded4 ct mark set ct mark | 0x01000000",
			"tcp option maxseg size set", "elements = { 6 . 2001:db8::10 . 80 }")
		if again := d.apply(t, d.engine, request); again.Writes != 0 || len(again.Changes) != 0 {
			t.Errorf("nothing to do, answer %+v", again)
		}
		read := d.read(t)
		if four := keyed(t, read, web.Key); !four.Masquerade || four.MSSClamp != 1400 {
			t.Errorf("read %+v", four)
		}
		web.MSSClamp = 0
		clean(t, d.listed(t, list(web)), "change packet rules of TCP 203.0.113.10:80 from masquerade, TCP segments of at most 1400 bytes to masquerade")
		if w.real && strings.Contains(command(t, "nft", "list", "ruleset"), "maxseg") {
			t.Error("the rules of segments stayed although nothing needs them")
		}
		d.all(t)
		w.nftShowsNothing(t)
	})
}

func TestMasqueradeNeedsConntrack(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := packetDirector(t, w)
		web := masquerading("203.0.113.10", 80, "192.0.2.21")
		refused(t, d.all(t, web), wire.ClassPermanent, "TCP 203.0.113.10:80", "needs sysctl net.ipv4.vs.conntrack=1", web.Key)
	})
}

func TestPacketRulesThatCannotBe(t *testing.T) {
	rows := map[string]struct {
		edit  func(*wire.VirtualServer)
		words string
	}{
		"not a range":       {func(v *wire.VirtualServer) { v.SourceRanges = []string{"198.51.100.1"} }, `source range "198.51.100.1" is not a CIDR range`},
		"bits behind":       {func(v *wire.VirtualServer) { v.SourceRanges = []string{"198.51.100.1/24"} }, "write 198.51.100.0/24"},
		"segment too small": {func(v *wire.VirtualServer) { v.MSSClamp = 100 }, "mssClamp 100 is outside 536"},
		"direct routing":    {func(v *wire.VirtualServer) { v.Masquerade = true }, "works with forwarding method Masquerading only"},
		"segments of UDP":   {func(v *wire.VirtualServer) { v.MSSClamp = 1400; v.Protocol = "UDP" }, "mssClamp works with TCP only"},
	}
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		for name, row := range rows {
			bad := virtualServer("203.0.113.10", 80, "192.0.2.21")
			row.edit(&bad)
			refused(t, d.listed(t, list(bad)), wire.ClassObject, bad.Protocol+" 203.0.113.10:80", row.words, bad.Key)
			if t.Failed() {
				t.Fatal(name)
			}
		}
		w.nftShowsNothing(t)
		w.ipvsadmShows(t)
	})
}

// A table that someone has changed is rebuilt, with all that was in it; other tables are not looked at.
func TestPacketRulesRepaired(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := packetDirector(t, w)
		web, other := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.11", 80, "192.0.2.21")
		web.SourceRanges, other.SourceRanges = []string{"198.51.100.0/24"}, []string{"198.51.100.0/25"}
		before := d.all(t, web, other)
		if w.real {
			command(t, "nft", "add table inet admin; add chain inet admin input { type filter hook input priority 0; }; add rule inet admin input tcp dport 22 accept")
			command(t, "nft", "flush chain inet ipvs-operator-prod admit4")
		} else {
			d.packets("prod").(*packets.Fake).Damage()
		}
		foreign := ""
		if w.real {
			foreign = command(t, "nft", "list", "table", "inet", "admin")
		}
		if read := d.read(t); read.TableHash == before.TableHash {
			t.Error("the damage does not show in the table's hash")
		}
		name := d.packets("prod").Name()
		clean(t, d.listed(t, list(web)), "rebuild "+name+", which someone else has changed")
		if after := d.all(t, web, other); after.Writes != 0 || after.TableHash != before.TableHash {
			t.Errorf("after the repair %+v", after)
		}
		w.nftShows(t, "ip saddr != @sources4 counter", "6 . 203.0.113.11 . 80 . 198.51.100.0/25")
		d.all(t)
		if w.real && command(t, "nft", "list", "ruleset") != foreign {
			t.Errorf("someone else's table was changed:\n%s\nwas\n%s", command(t, "nft", "list", "ruleset"), foreign)
		}
	})
}

// A virtual server whose source ranges cannot be enforced is not opened to everyone.
func TestRulesThatFailKeepTheVirtualServerClosed(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		rules := &refusingPackets{Kernel: d.engine.Packets, refusal: unix.EOPNOTSUPP}
		d.engine.Packets = rules
		web, open := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.11", 80, "192.0.2.21")
		web.SourceRanges = []string{"198.51.100.0/24"}
		answer := d.all(t, web, open)
		refused(t, answer, wire.ClassPermanent, "TCP 203.0.113.10:80", "ENOTSUP", web.Key)
		if answer.Counts.VirtualServers != 1 {
			t.Errorf("counts %+v", answer.Counts)
		}
		rules.refusal = errors.New("connection lost")
		refused(t, d.all(t, web, open), wire.ClassRetry, "TCP 203.0.113.10:80", "connection lost", web.Key)
		w.ipvsadmShows(t, "-A -t 203.0.113.11:80 -s wrr", "-a -t 203.0.113.11:80 -r 192.0.2.21:80 -g -w 1")
		w.ipShows(t, "lo", "203.0.113.11/32")
	})
}

// refusingPackets writes no rules.
type refusingPackets struct {
	packets.Kernel
	refusal error
}

func (r *refusingPackets) Write(_, _ packets.State) error { return r.refusal }

func TestPacketRulesDryRun(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := packetDirector(t, w)
		web := virtualServer("203.0.113.10", 80)
		web.SourceRanges = []string{"198.51.100.0/24"}
		request := wire.Apply{Fence: d.fence, DryRun: true, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(web)}
		clean(t, d.apply(t, d.engine, request), "add packet rules of TCP 203.0.113.10:80: let in only 198.51.100.0/24", "add virtual server TCP 203.0.113.10:80 with scheduler wrr", "add address 203.0.113.10 to interface lo")
		w.nftShowsNothing(t)
		d.all(t, web)
		request.VirtualServers = nil
		clean(t, d.apply(t, d.engine, request), "delete address 203.0.113.10 from interface lo", "delete virtual server TCP 203.0.113.10:80", "delete packet rules of TCP 203.0.113.10:80: let in only 198.51.100.0/24")
	})
}
