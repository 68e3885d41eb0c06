package contract

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/wire"
)

// site is a client, the director and a real server, each a network namespace of its own on one cable to the director. The
// real server has no route to the client: it can answer the director only.
type site struct {
	*director
	client, server *station
}

// station is a thread that lives in a network namespace and does there what it is told.
type station struct {
	tid  int
	jobs chan func()
}

func newStation(t *testing.T) *station {
	t.Helper()
	s, ready := &station{jobs: make(chan func())}, make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		s.tid = unix.Gettid()
		ready <- err
		for job := range s.jobs {
			job()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(s.jobs) })
	return s
}

// do waits for the job; one that ends the test there ends it here, too.
func (s *station) do(job func()) {
	done := make(chan bool, 1)
	s.jobs <- func() {
		whole := false
		defer func() { done <- whole }()
		job()
		whole = true
	}
	if !<-done {
		runtime.Goexit()
	}
}

func newSite(t *testing.T, w *world) *site {
	t.Helper()
	s := &site{director: packetDirector(t, w), client: newStation(t), server: newStation(t)}
	s.cable(t, s.client, "client0", []string{"198.51.100.1/24", "2001:db8:9::1/64"}, []string{"198.51.100.2/24", "2001:db8:9::2/64"})
	s.cable(t, s.server, "server0", []string{"192.0.2.1/24", "2001:db8:1::1/64"}, []string{"192.0.2.21/24", "2001:db8:1::21/64"})
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/"+name, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	s.client.do(func() {
		command(t, "ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.1")
		command(t, "ip", "route", "add", "2001:db8::/64", "via", "2001:db8:9::1")
	})
	return s
}

func (s *site) cable(t *testing.T, far *station, name string, here, there []string) {
	t.Helper()
	command(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "uplink", "netns", fmt.Sprint(far.tid))
	configure := func(name string, addresses []string) {
		command(t, "ip", "link", "set", "lo", "up")
		command(t, "ip", "link", "set", name, "up")
		for _, address := range addresses {
			arguments := []string{"addr", "add", address, "dev", name}
			if strings.Contains(address, ":") {
				arguments = append(arguments, "nodad")
			}
			command(t, "ip", arguments...)
		}
	}
	configure(name, here)
	far.do(func() { configure("uplink", there) })
}

// serve answers every TCP connection with the client's address as the real server sees it, and the segment size it may send.
func (s *site) serve(t *testing.T, address string) {
	t.Helper()
	s.answers(t, tcpListener("tcp", address), func(connection net.Conn) {
		raw, _ := connection.(*net.TCPConn).SyscallConn()
		segment := 0
		_ = raw.Control(func(fd uintptr) { segment, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) })
		fmt.Fprintf(connection, "%s %d", netip.MustParseAddrPort(connection.RemoteAddr().String()).Addr(), segment)
	})
}

// ask connects from the client and returns what the real server says, and the client's own segment size; "" when nobody
// answers within the time.
func (s *site) ask(address string, patience time.Duration) (answer string, segment int) {
	s.client.do(func() {
		connection, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return
		}
		defer connection.Close()
		raw, _ := connection.(*net.TCPConn).SyscallConn()
		_ = raw.Control(func(fd uintptr) { segment, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) })
		_ = connection.SetDeadline(time.Now().Add(patience))
		content, _ := io.ReadAll(connection)
		answer = string(content)
	})
	return answer, segment
}

// Patience: an answer that shall come is waited for long, one that shall not come as long as a first SYN and its repetition.
const (
	patient   = 20 * time.Second
	impatient = 1500 * time.Millisecond
)

func TestKernelTrafficThroughPacketRules(t *testing.T) {
	kernelOnly(t)
	for name, row := range map[string]struct{ vip, real, director, inside, outside string }{
		"IPv4": {"203.0.113.10", "192.0.2.21", "192.0.2.1", "198.51.100.0/28", "198.51.100.16/28"},
		"IPv6": {"2001:db8::10", "2001:db8:1::21", "2001:db8:1::1", "2001:db8:9::/64", "2001:db8:8::/64"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, realWorld(t))
			s.serve(t, endpoint(row.real, "80"))
			web := masquerading(row.vip, 80, row.real)
			apply := func(edit func(*wire.VirtualServer)) {
				t.Helper()
				edited := web
				edit(&edited)
				answer := s.apply(t, s.engine, wire.Apply{Fence: s.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(edited),
					Host: &wire.Host{Sysctls: map[string]string{"net.ipv4.vs.conntrack": "1"}}})
				if len(answer.Errors) > 0 {
					t.Fatalf("errors %+v", answer.Errors)
				}
			}
			vip := endpoint(row.vip, "80")
			apply(func(v *wire.VirtualServer) { v.Masquerade = false })
			if answer, _ := s.ask(vip, impatient); answer != "" {
				t.Errorf("without masquerading the real server can not answer, and said %q", answer)
			}
			apply(func(*wire.VirtualServer) {})
			if answer, _ := s.ask(vip, patient); !strings.HasPrefix(answer, row.director+" ") {
				t.Errorf("with masquerading the real server saw %q, wanted %s", answer, row.director)
			}
			apply(func(v *wire.VirtualServer) { v.SourceRanges = []string{row.outside} })
			if answer, _ := s.ask(vip, impatient); answer != "" {
				t.Errorf("a client outside the ranges was let in: %q", answer)
			}
			if ruleset := command(t, "nft", "list", "ruleset"); strings.Contains(ruleset, "counter packets 0 bytes 0 drop") {
				t.Errorf("nothing was counted as dropped:\n%s", ruleset)
			}
			apply(func(v *wire.VirtualServer) { v.SourceRanges, v.MSSClamp = []string{row.outside, row.inside}, 1000 })
			answer, segment := s.ask(vip, patient)
			var seen string
			var limit int
			if _, err := fmt.Sscanf(answer, "%s %d", &seen, &limit); err != nil || seen != row.director || limit > 1000 || segment > 1000 {
				t.Errorf("a client inside the ranges got %q and segments of %d; wanted at most 1000 on both sides", answer, segment)
			}
			s.directly(t, row.real)
		})
	}
}

// directly: what goes to the real server without IPVS keeps its source, so without a route back it stays unanswered.
func (s *site) directly(t *testing.T, host string) {
	t.Helper()
	router := "198.51.100.1"
	if strings.Contains(host, ":") {
		router = "2001:db8:9::1"
	}
	s.client.do(func() { command(t, "ip", "route", "add", host, "via", router) })
	if answer, _ := s.ask(endpoint(host, "80"), impatient); answer != "" {
		t.Errorf("a connection past IPVS was masqueraded: the real server said %q", answer)
	}
}
