package contract

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/wire"
)

// Traffic that is about what is in a packet, or how a VIP is held, and not about a way to the real server: client, director and real
// servers are network namespaces of the machine with the kernel.

// trafficPolicy lets VIPs be real servers of their own (Local).
var trafficPolicy = strings.Replace(defaultPolicy, `"realServers":["192.0.2.0/24"`, `"realServers":["192.0.2.0/24","203.0.113.0/24","2001:db8::/64"`, 1)

func trafficSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, realWorld(t))
	s.policy = trafficPolicy
	s.holdVIPs(t, s.server, "server0", "192.0.2.1", "2001:db8:1::1")
	s.server.do(func() { command(t, "ip", "addr", "add", "192.0.2.22/24", "dev", "uplink") })
	return s
}

// secondServer is another real server beside the site's, on a cable of its own.
func (s *site) secondServer(t *testing.T) *station {
	t.Helper()
	far := newStation(t)
	s.cable(t, far, "server1", []string{"192.0.2.129/25", "2001:db8:1:0:8000::1/65"}, []string{"192.0.2.150/25", "2001:db8:1:0:8000::150/65"})
	s.holdVIPs(t, far, "server1", "192.0.2.129", "2001:db8:1:0:8000::1")
	return far
}

// holdVIPs makes a real server answer through the director, from a VIP as well as from an address of its own.
func (s *site) holdVIPs(t *testing.T, far *station, cable, router4, router6 string) {
	t.Helper()
	far.do(func() {
		for _, words := range []string{
			"addr add 203.0.113.10/32 dev lo", "-6 addr add 2001:db8::10/128 dev lo nodad",
			"route add default via " + router4, "-6 route add default via " + router6,
		} {
			command(t, "ip", strings.Fields(words)...)
		}
		for _, name := range []string{"all", "default", "uplink", "lo"} {
			setSysctl(t, "net/ipv4/conf/"+name+"/rp_filter", "0")
		}
		setSysctl(t, "net/ipv4/conf/all/arp_ignore", "1")
	})
	for _, name := range []string{"all", "default", "client0", cable} { // a VIP's answers come back through the director that has it
		setSysctl(t, "net/ipv4/conf/"+name+"/rp_filter", "0")
		setSysctl(t, "net/ipv4/conf/"+name+"/accept_local", "1")
	}
}

func setSysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// serveUDP answers every datagram with the name.
func (s *station) serveUDP(t *testing.T, address, name string) {
	t.Helper()
	s.answerUDP(t, address, 1, []byte(name))
}

// answerUDP answers every datagram so many times.
func (s *station) answerUDP(t *testing.T, address string, times int, answer []byte) {
	t.Helper()
	var socket net.PacketConn
	var err error
	s.do(func() { socket, err = net.ListenPacket("udp", address) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		buffer := make([]byte, 4096)
		for {
			_, client, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			for range times {
				_, _ = socket.WriteTo(answer, client)
			}
		}
	}()
}

// askUDP sends datagrams from one port of the client and returns who answered each.
func (s *site) askUDP(t *testing.T, address string, datagrams ...string) []string {
	t.Helper()
	var socket net.Conn
	var err error
	s.client.do(func() { socket, err = net.Dial("udp", address) })
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var answers []string
	for _, datagram := range datagrams {
		_ = socket.SetDeadline(time.Now().Add(10 * time.Second))
		buffer := make([]byte, 100)
		_, err := socket.Write([]byte(datagram))
		count := 0
		if err == nil {
			count, err = socket.Read(buffer)
		}
		if err != nil {
			t.Fatalf("%s does not answer: %v\n%s", address, err, command(t, "ipvsadm", "-Lnc"))
		}
		answers = append(answers, string(buffer[:count]))
	}
	return answers
}

// call is a SIP request as telephones send it (RFC 3261 section 7).
func call(id string) string {
	lines := []string{"OPTIONS sip:service@203.0.113.10 SIP/2.0", "Via: SIP/2.0/UDP 198.51.100.2:5060;branch=z9hG4bK" + id, "Max-Forwards: 70",
		"From: <sip:caller@example.org>;tag=1", "To: <sip:service@example.org>", "Call-ID: " + id, "CSeq: 1 OPTIONS", "Content-Length: 0", "", ""}
	return strings.Join(lines, "\r\n")
}

// udpSite has two real servers behind UDP 203.0.113.10:5060, by masquerading.
func udpSite(t *testing.T, edit func(*wire.VirtualServer)) *site {
	t.Helper()
	s := trafficSite(t)
	s.server.serveUDP(t, "192.0.2.21:5060", "first")
	s.server.serveUDP(t, "192.0.2.22:5060", "second")
	calls := virtualServer("203.0.113.10", 5060, "192.0.2.21", "192.0.2.22")
	calls.Protocol, calls.Scheduler = "UDP", "rr"
	for index := range calls.RealServers {
		calls.RealServers[index].ForwardingMethod = "Masquerading"
	}
	edit(&calls)
	if answer := s.all(t, calls); len(answer.Errors) > 0 {
		t.Fatalf("errors %+v", answer.Errors)
	}
	return s
}

// With engine sip a call stays with its real server, from whatever port it comes; without it each port is a client of its own.
func TestKernelSIPTraffic(t *testing.T) {
	kernelOnly(t)
	s := udpSite(t, func(v *wire.VirtualServer) {
		v.Persistence = &wire.Persistence{TimeoutSeconds: 300, PrefixLength: 32, Engine: "sip"}
	})
	servers := map[string]bool{}
	for number := range 6 {
		id := fmt.Sprintf("call-%d-0123456789@example.org", number)
		first := s.askUDP(t, "203.0.113.10:5060", call(id))[0]
		servers[first] = true
		for range 4 { // each from another port
			if again := s.askUDP(t, "203.0.113.10:5060", call(id))[0]; again != first {
				t.Errorf("%s went to the %s server and then to the %s", id, first, again)
			}
		}
	}
	if len(servers) != 2 {
		t.Errorf("six calls went to %v only", servers)
	}
	s.ipvsadmShows(t, "-A -u 203.0.113.10:5060 -s rr -p 300 --pe sip", "-a -u 203.0.113.10:5060 -r 192.0.2.21:5060 -m -w 1", "-a -u 203.0.113.10:5060 -r 192.0.2.22:5060 -m -w 1")
	s.ipvsadmLists(t, "-c", "198.51.100.2:0 203.0.113.10:5060") // the calls' templates
}

// A VIP that no interface has is balanced all the same when a route makes its range local.
func TestKernelLocalRouteTraffic(t *testing.T) {
	kernelOnly(t)
	s := trafficSite(t)
	s.policy = localPolicy
	for vip, row := range map[string]struct{ host, client string }{"203.0.113.11": {"192.0.2.21", "198.51.100.2"}, "2001:db8::11": {"2001:db8:1::21", "2001:db8:9::2"}} {
		s.serve(t, endpoint(row.host, "80"))
		web := masquerading(vip, 80, row.host)
		web.Masquerade = false
		s.all(t, web)
		if answer, _ := s.ask(endpoint(vip, "80"), patient); !strings.HasPrefix(answer, row.client+" ") {
			t.Errorf("through the route to %s the real server said %q", vip, answer)
		}
		s.ipShows(t, "lo")
		s.all(t)
		if answer, _ := s.ask(endpoint(vip, "80"), impatient); answer != "" {
			t.Errorf("without the route %s still answers %q", vip, answer)
		}
	}
}
