package contract

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/wire"
)

// sctpWay is a way to a real server, and what makes the real server the end of it.
type sctpWay struct {
	method string
	tunnel wire.Tunnel
	ends   map[bool]string // by whether the real server is of IPv6, what ip(8) is told
}

var sctpWays = map[string]sctpWay{
	"masquerading":   {method: "Masquerading"},
	"direct routing": {method: "DirectRouting"},
	"an ipip tunnel": {"Tunneling", wire.Tunnel{Type: "ipip"}, map[bool]string{
		false: "link add end0 type ipip local 192.0.2.21", true: "-6 tunnel add end0 mode ip6ip6 local 2001:db8:1::21"}},
	"a gue tunnel": {"Tunneling", wire.Tunnel{Type: "gue", Port: 6080}, map[bool]string{
		false: "link add end0 type ipip local 192.0.2.21", true: "-6 tunnel add end0 mode ip6ip6 local 2001:db8:1::21"}},
	"a gre tunnel": {"Tunneling", wire.Tunnel{Type: "gre"}, map[bool]string{
		false: "link add end0 type gre local 192.0.2.21", true: "link add end0 type ip6gre local 2001:db8:1::21"}},
}

// An association of SCTP passes the director by every forwarding method, and what is said in it comes back.
func TestKernelSCTPTraffic(t *testing.T) {
	kernelOnly(t)
	for family, addresses := range map[string]struct{ vip, real, client string }{
		"IPv4": {"203.0.113.10", "192.0.2.21", "198.51.100.2"},
		"IPv6": {"2001:db8::10", "2001:db8:1::21", "2001:db8:9::2"},
	} {
		for name, way := range sctpWays {
			t.Run(family+" by "+name, func(t *testing.T) {
				s := trafficSite(t)
				server := virtualServer(addresses.vip, 2905, addresses.real)
				server.Protocol = "SCTP"
				server.RealServers[0].ForwardingMethod, server.RealServers[0].Tunnel = way.method, way.tunnel
				listening := addresses.vip
				if way.method == "Masquerading" {
					listening, server.RealServers[0].Port = addresses.real, 2906
				}
				s.openTunnelEnd(t, way, strings.Contains(addresses.real, ":"))
				s.serveSCTP(t, netip.AddrPortFrom(netip.MustParseAddr(listening), uint16(server.RealServers[0].Port)))
				if answer := s.all(t, server); len(answer.Errors) > 0 {
					t.Fatalf("errors %+v", answer.Errors)
				}
				association := s.dialSCTP(t, netip.MustParseAddr(addresses.client), netip.AddrPortFrom(netip.MustParseAddr(addresses.vip), 2905))
				if answer := say(t, association, "hello"); answer != addresses.client+" said hello" {
					t.Errorf("the real server answers %q", answer)
				}
				s.ipvsadmLists(t, "-c", "ESTABLISHED "+association.LocalAddr().String()+" "+endpoint(addresses.vip, "2905")+" "+endpoint(addresses.real, fmt.Sprint(server.RealServers[0].Port)))
				if way.ends != nil && s.unwrapped(t) == 0 {
					t.Error("nothing has come out of the tunnel")
				}
			})
		}
	}
}

// openTunnelEnd makes the real server unwrap what the director sends it.
func (s *site) openTunnelEnd(t *testing.T, way sctpWay, six bool) {
	t.Helper()
	if way.ends == nil {
		return
	}
	s.server.do(func() {
		command(t, "ip", strings.Fields(way.ends[six])...)
		command(t, "ip", "link", "set", "end0", "up")
		setSysctl(t, "net/ipv4/conf/end0/rp_filter", "0")
		if way.tunnel.Type == "gue" {
			command(t, "modprobe", "-a", "fou", "fou6") // ip(8) does not ask for them
			family := map[bool]string{false: "-4", true: "-6"}[six]
			command(t, "ip", family, "fou", "add", "port", fmt.Sprint(way.tunnel.Port), "gue")
		}
	})
}

// unwrapped is how many packets have come out of the tunnel at the real server.
func (s *site) unwrapped(t *testing.T) (packets int) {
	t.Helper()
	s.server.do(func() {
		content, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			t.Fatal(err)
		}
		_, counters, found := strings.Cut(string(content), " end0:")
		var bytes int
		if _, err := fmt.Sscan(counters, &bytes, &packets); err != nil || !found {
			t.Fatalf("no counters of end0 (%v) in\n%s", err, content)
		}
	})
	return packets
}

// serveSCTP answers every message with who sent it and what it was. A socket that is bound to one address tells its peer of no other.
func (s *site) serveSCTP(t *testing.T, address netip.AddrPort) {
	t.Helper()
	s.answers(t, func() (net.Listener, error) {
		file := sctpSocket(t, address)
		defer file.Close()
		if err := unix.Listen(int(file.Fd()), 8); err != nil {
			return nil, err
		}
		return net.FileListener(file)
	}, answerSCTP)
}

func answerSCTP(association net.Conn) {
	client := netip.MustParseAddrPort(association.RemoteAddr().String()).Addr()
	buffer := make([]byte, 1000)
	for {
		count, err := association.Read(buffer)
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(association, "%s said %s", client, buffer[:count])
	}
}

// dialSCTP opens an association from the client.
func (s *site) dialSCTP(t *testing.T, from netip.Addr, to netip.AddrPort) net.Conn {
	t.Helper()
	var association net.Conn
	s.client.do(func() {
		file := sctpSocket(t, netip.AddrPortFrom(from, 0))
		defer file.Close()
		wait := unix.NsecToTimeval(patient.Nanoseconds())
		err := unix.SetsockoptTimeval(int(file.Fd()), unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait)
		if err == nil {
			err = unix.Connect(int(file.Fd()), socketAddress(to))
		}
		if err != nil {
			t.Fatalf("no association with %s: %v\n%s", to, err, command(t, "ipvsadm", "-Lnc"))
		}
		if association, err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { _ = association.Close() })
	return association
}

func say(t *testing.T, association net.Conn, words string) string {
	t.Helper()
	_ = association.SetDeadline(time.Now().Add(patient))
	buffer := make([]byte, 1000)
	_, err := association.Write([]byte(words))
	count := 0
	if err == nil {
		count, err = association.Read(buffer)
	}
	if err != nil {
		t.Fatalf("%s does not answer: %v\n%s", association.RemoteAddr(), err, command(t, "ipvsadm", "-Lnc"))
	}
	return string(bytes.TrimSpace(buffer[:count]))
}

// sctpSocket is one for a single association (RFC 6458 section 4), bound to this address only.
func sctpSocket(t *testing.T, address netip.AddrPort) *os.File {
	t.Helper()
	family := unix.AF_INET
	if address.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err == nil {
		err = unix.Bind(fd, socketAddress(address))
	}
	if err != nil {
		t.Fatalf("SCTP socket on %s: %v", address, err)
	}
	return os.NewFile(uintptr(fd), "SCTP socket")
}

func socketAddress(address netip.AddrPort) unix.Sockaddr {
	if address.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16()}
}
