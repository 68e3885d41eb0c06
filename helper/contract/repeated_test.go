package contract

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/settings"
	"ipvs-operator.io/helper/wire"
)

// mood is a kernel's that refuses one kind of call a number of times, for a reason that has nothing to do with the call.
type mood struct {
	call     string
	errno    unix.Errno
	refusals int
	// done carries the refused call out all the same: only its answer is lost.
	done  bool
	asked int
}

func (m *mood) meets(call string, do func() error) error {
	if call != m.call {
		return do()
	}
	m.asked++
	if m.refusals == 0 {
		return do()
	}
	m.refusals--
	if m.done {
		_ = do()
	}
	return m.errno
}

type moodyTable struct {
	ipvs.Kernel
	*mood
}

func (m moodyTable) Services() (found []ipvs.Service, err error) {
	err = m.meets("list virtual servers", func() (err error) { found, err = m.Kernel.Services(); return err })
	return found, err
}

func (m moodyTable) Service(key ipvs.ServiceKey) (found ipvs.Service, err error) {
	err = m.meets("read a virtual server", func() (err error) { found, err = m.Kernel.Service(key); return err })
	return found, err
}

func (m moodyTable) Destinations(key ipvs.ServiceKey) (found []ipvs.Destination, err error) {
	err = m.meets("list real servers", func() (err error) { found, err = m.Kernel.Destinations(key); return err })
	return found, err
}

type moodyAddresses struct {
	address.Kernel
	*mood
}

func (m moodyAddresses) Held(interfaceName string, asked []netip.Addr) (found map[netip.Addr]bool, err error) {
	err = m.meets("list addresses", func() (err error) { found, err = m.Kernel.Held(interfaceName, asked); return err })
	return found, err
}

func (m moodyAddresses) LocalRoutes(interfaceName string, asked []netip.Prefix) (found map[netip.Prefix]bool, err error) {
	err = m.meets("list routes", func() (err error) { found, err = m.Kernel.LocalRoutes(interfaceName, asked); return err })
	return found, err
}

type moodyPackets struct {
	packets.Kernel
	*mood
}

func (m moodyPackets) Read() (found packets.State, err error) {
	err = m.meets("read packet rules", func() (err error) { found, err = m.Kernel.Read(); return err })
	return found, err
}

func (m moodyPackets) Write(before, after packets.State) error {
	return m.meets("write packet rules", func() error { return m.Kernel.Write(before, after) })
}

type moodySettings struct {
	settings.Kernel
	*mood
}

func (m moodySettings) Daemons() (found []ipvs.Daemon, err error) {
	err = m.meets("list sync daemons", func() (err error) { found, err = m.Kernel.Daemons(); return err })
	return found, err
}

func (m moodySettings) SetTimeouts(timeouts ipvs.Timeouts) error {
	return m.meets("set timeouts", func() error { return m.Kernel.SetTimeouts(timeouts) })
}

func (m moodySettings) SetSysctl(name, value string) error {
	return m.meets("set sysctl", func() error { return m.Kernel.SetSysctl(name, value) })
}

func (m moodySettings) StartDaemon(daemon ipvs.Daemon) error {
	return m.meets("start sync daemon", func() error { return m.Kernel.StartDaemon(daemon) })
}

func (m moodySettings) StopDaemon(role ipvs.Role) error {
	return m.meets("stop sync daemon", func() error { return m.Kernel.StopDaemon(role) })
}

// isIn puts the mood between the engine and everything it asks of the kernel.
func (d *director) isIn(m *mood) {
	d.engine.IPVS, d.engine.Addresses = moodyTable{d.ipvs, m}, moodyAddresses{d.addresses, m}
	d.engine.Packets, d.engine.Host = moodyPackets{d.packets("prod"), m}, moodySettings{d.settings, m}
}

// mostTries is what a call is tried in all, first time included (apply.maxRounds).
const mostTries = 4

// moody is a director that has something to do of every kind: a sync daemon to replace, settings, rules, a virtual server of which the
// list of all knows nothing because it is gone, and a range of VIPs that one route brings.
func moody(t *testing.T, w *world) (d *director, request wire.Apply) {
	t.Helper()
	d = hostDirector(t, w)
	d.policy = policyOf(hostPolicy + `,"localPrefixes":["203.0.113.128/25"]`)
	gone := virtualServer("203.0.113.9", 80)
	clean(t, d.host(t, daemonsOf(wire.SyncDaemon{Role: "master", Interface: "eth0", SyncID: 7})), "start sync daemon master on interface eth0 with sync id 7")
	d.all(t, gone)
	d.must(t, ipvs.Operation{Kind: ipvs.DeleteService, Service: ipvs.Service{ServiceKey: service("203.0.113.9", 80).ServiceKey}})
	guarded, routed := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.200", 80)
	guarded.SourceRanges = []string{"198.51.100.0/24"}
	host := daemonsOf(wire.SyncDaemon{Role: "master", Interface: "eth0", SyncID: 8})
	host.Sysctls, host.Timeouts = map[string]string{"net.ipv4.vs.expire_nodest_conn": "1"}, &wire.Timeouts{TCPSeconds: 901, TCPFinSeconds: 121, UDPSeconds: 301}
	return d, wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", Host: &host, VirtualServers: list(guarded, routed)}
}

// reads abort a request that cannot do without them; what is written otherwise is one object's trouble. Both are tried as often.
var (
	reads  = []string{"list virtual servers", "read a virtual server", "list real servers", "list addresses", "list routes", "read packet rules", "list sync daemons"}
	writes = []string{"write packet rules", "set timeouts", "set sysctl", "start sync daemon", "stop sync daemon"}
)

// Whatever is read or written, a refusal for a reason of the moment is met by trying again, and nothing of it is left in the answer.
func TestEveryCallIsRepeated(t *testing.T) {
	for _, call := range slices.Concat(reads, writes) {
		for name, done := range map[string]bool{"not done": false, "done without an answer": true} {
			t.Run(call+", "+name, func(t *testing.T) {
				onEveryKernel(t, func(t *testing.T, w *world) {
					d, request := moody(t, w)
					m := &mood{call: call, errno: unix.EINTR, refusals: mostTries - 1, done: done}
					d.isIn(m)
					answer := d.apply(t, d.engine, request)
					if len(answer.Errors) > 0 || len(answer.Failed) > 0 || m.refusals > 0 {
						t.Errorf("errors %+v, failed %v, %d refusals were not met", answer.Errors, answer.Failed, m.refusals)
					}
					w.shows(t, "syncid=8", "ipvsadm", "-Ln", "--daemon")
					w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1", "-A -t 203.0.113.200:80 -s wrr")
					if again := d.apply(t, d.engine, request); again.Writes != 0 || len(again.Errors) > 0 {
						t.Errorf("again: %+v", again)
					}
				})
			})
		}
	}
}

// A reason of the moment that lasts is tried a bounded number of times, and then the answer says: retry.
func TestLastingRefusalsAreBounded(t *testing.T) {
	for _, call := range slices.Concat(reads, writes) {
		t.Run(call, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d, request := moody(t, w)
				m := &mood{call: call, errno: unix.EBUSY, refusals: 1000}
				d.isIn(m)
				answer, refusal := d.engine.Apply(request)
				var classes []wire.Class
				if refusal != nil {
					classes = append(classes, refusal.Class)
				}
				for _, each := range answer.Errors {
					classes = append(classes, each.Class)
				}
				if len(classes) == 0 || slices.ContainsFunc(classes, func(class wire.Class) bool { return class != wire.ClassRetry }) {
					t.Errorf("refusal %+v, errors %+v; wanted class %s", refusal, answer.Errors, wire.ClassRetry)
				}
				if m.asked != mostTries {
					t.Errorf("tried %d times, wanted %d", m.asked, mostTries)
				}
				d.engine = d.newEngine("prod")
				if after := d.apply(t, d.engine, request); len(after.Errors) > 0 {
					t.Errorf("a moment later: %+v", after.Errors)
				}
			})
		})
	}
}

// forgetfulList leaves a virtual server out of the list of all, as the kernel's does when someone else deletes another one meanwhile.
type forgetfulList struct {
	ipvs.Kernel
	omitted ipvs.ServiceKey
	lists   int
}

func (f *forgetfulList) Services() ([]ipvs.Service, error) {
	found, err := f.Kernel.Services()
	before := len(found)
	found = slices.DeleteFunc(found, func(service ipvs.Service) bool { return service.ServiceKey == f.omitted })
	f.lists += before - len(found)
	return found, err
}

// What is ours and not in the list of all is asked for: it is neither forgotten nor made twice.
func TestListThatLacksOneOfOurs(t *testing.T) {
	key := service("203.0.113.10", 80).ServiceKey
	web, dns := virtualServer("203.0.113.10", 80, "192.0.2.21"), virtualServer("203.0.113.11", 53, "192.0.2.22")
	for name, row := range map[string]struct {
		wanted  []wire.VirtualServer
		changes []string
		left    []string
	}{
		"wanted": {list(web, dns), nil, []string{"-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1",
			"-A -t 203.0.113.11:53 -s wrr", "-a -t 203.0.113.11:53 -r 192.0.2.22:53 -g -w 1"}},
		"not wanted any more": {list(dns), []string{"delete address 203.0.113.10 from interface lo", "delete virtual server TCP 203.0.113.10:80"},
			[]string{"-A -t 203.0.113.11:53 -s wrr", "-a -t 203.0.113.11:53 -r 192.0.2.22:53 -g -w 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				d.all(t, web, dns)
				gap := &forgetfulList{Kernel: d.ipvs, omitted: key}
				d.engine = d.newEngine("prod")
				d.engine.IPVS = gap
				clean(t, d.all(t, row.wanted...), row.changes...)
				if gap.lists == 0 {
					t.Error("the list of all was never asked for: this case shows nothing")
				}
				w.ipvsadmShows(t, row.left...)
			})
		})
	}
}

// meanwhile lets someone else add and delete virtual servers of his own all the time, until the returned function is called; it tells how many
// he has written. His connection belongs to the caller's network namespace.
func meanwhile(t *testing.T) (end func() int) {
	t.Helper()
	other := ipvs.NewNetlink()
	if _, err := other.Services(); err != nil { // opens the connection here
		t.Fatal(err)
	}
	stop, written := make(chan struct{}), make(chan int)
	go func() {
		for count := 0; ; count++ {
			select {
			case <-stop:
				_ = other.Close()
				written <- count
				return
			default:
			}
			foreign := service(fmt.Sprintf("198.51.100.%d", count/2%100+1), uint16(1+count/200%50))
			kind := ipvs.NewService
			if count%2 == 1 {
				kind = ipvs.DeleteService
			}
			other.Execute([]ipvs.Operation{{Kind: kind, Service: foreign}})
			time.Sleep(time.Millisecond) // a load, not a wait
		}
	}()
	return func() int { close(stop); return <-written }
}

// Lists are written while someone else's virtual servers come and go: whenever the answer is that all is done, it is.
func TestKernelListsWhileOthersWrite(t *testing.T) {
	kernelOnly(t)
	w := realWorld(t)
	d := newDirector(t, w)
	const rounds, virtualServers = 20, 150
	complete, written := 0, 0
	for round := range rounds {
		var wanted []wire.VirtualServer
		var lines []string
		for number := range virtualServers {
			if number%3 == round%3 { // a third of them goes, another comes
				continue
			}
			vip := fmt.Sprintf("203.0.113.%d", number+1)
			wanted = append(wanted, virtualServer(vip, 80, "192.0.2.21"))
			lines = append(lines, "-A -t "+vip+":80 -s wrr", "-a -t "+vip+":80 -r 192.0.2.21:80 -g -w 1")
		}
		end := meanwhile(t)
		answer, refusal := d.engine.Apply(wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: wanted})
		written += end() // ipvsadm's list would have gaps, too
		if refusal != nil {
			if refusal.Class != wire.ClassRetry {
				t.Fatalf("round %d: %+v", round, refusal)
			}
			continue
		}
		if len(answer.Errors) > 0 {
			t.Errorf("round %d: %+v", round, answer.Errors)
		}
		complete++
		var ours []string
		for line := range strings.Lines(command(t, "ipvsadm", "-Sn")) {
			if strings.Contains(line, " 203.0.113.") {
				ours = append(ours, strings.TrimSpace(line))
			}
		}
		slices.Sort(ours)
		slices.Sort(lines)
		if !slices.Equal(ours, lines) {
			t.Errorf("round %d: ipvsadm shows %d lines of ours, wanted %d", round, len(ours), len(lines))
		}
	}
	if written < rounds || complete < rounds/2 {
		t.Errorf("%d foreign writes, %d of %d rounds complete: this shows nothing", written, complete, rounds)
	}
}
