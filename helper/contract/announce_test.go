package contract

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
)

// What neighbours on the other end of the cable hear when a VIP goes up on a real kernel.
func TestAnnouncementsAreHeard(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		if !w.real {
			heardByTheFake(t, w)
			return
		}
		sender, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		mac := hex.EncodeToString(sender.HardwareAddr)
		for vip, frames := range map[string][]string{
			"203.0.113.10": {
				"ffffffffffff" + mac + "0806" + "000108000604" + "0001" + mac + "cb00710a" + "000000000000" + "cb00710a",
				"ffffffffffff" + mac + "0806" + "000108000604" + "0002" + mac + "cb00710a" + mac + "cb00710a",
			},
			// hop limit 255, from the VIP to all nodes, type 136, override; the checksum (4 digits) is compared by itself
			"2001:db8::10": {
				"333300000001" + mac + "86dd" + "60000000" + "0020" + "3aff" + "20010db8000000000000000000000010" + "ff020000000000000000000000000001" +
					"8800" + "????" + "20000000" + "20010db8000000000000000000000010" + "0201" + mac,
			},
		} {
			ear, assigned := listen(t, "peer0"), address.Assigned{Interface: "eth0", Address: netip.MustParseAddr(vip)}
			if err := errors.Join(w.addresses.Add(assigned)[0], w.addresses.Announce(assigned)[0]); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				for _, want := range frames {
					hear(t, ear, vip, want)
				}
			}
			w.addresses.Wait()
			if more := overhear(t, ear, frames[0]); more != 0 {
				t.Errorf("%s: announced %d times more", vip, more)
			}
			w.stopsAnnouncing(t, ear, assigned, frames[0])
		}
		for _, quiet := range []string{"lo", "dummy0"} {
			if quiet == "dummy0" {
				command(t, "ip", "link", "add", "dummy0", "type", "dummy")
			}
			if err := w.addresses.Announce(address.Assigned{Interface: quiet, Address: netip.MustParseAddr("203.0.113.10")})[0]; err != nil {
				t.Errorf("%s has no neighbours, and announcing there says %s", quiet, show(err))
			}
		}
	})
}

// stopsAnnouncing wants silence about an address that has gone, whoever took it away: it may be someone else's in a moment.
func (w *world) stopsAnnouncing(t *testing.T, ear int, assigned address.Assigned, frame string) {
	t.Helper()
	for name, remove := range map[string]func() error{
		"by us":     func() error { return w.addresses.Delete(assigned)[0] },
		"by others": func() error { return address.NewNetlink().Delete(assigned)[0] },
	} {
		w.addresses.Add(assigned)
		if err := errors.Join(w.addresses.Announce(assigned)[0], remove()); err != nil {
			t.Fatal(err)
		}
		w.addresses.Wait()
		if heard := overhear(t, ear, frame); heard != 1 {
			t.Errorf("%s taken away %s at once: announced %d times", assigned, name, heard)
		}
	}
}

// overhear counts the frames like this one that have arrived.
func overhear(t *testing.T, fd int, want string) int {
	t.Helper()
	heard := 0
	buffer := make([]byte, 2048)
	for {
		count, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT)
		if err != nil {
			return heard
		}
		if like(hex.EncodeToString(buffer[:count]), want) {
			heard++
		}
	}
}

func heardByTheFake(t *testing.T, w *world) {
	d := newDirector(t, w)
	d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21"))
	if got := w.addresses.(*address.Fake).Announced(); len(got) != 1 || got[0] != onLo("203.0.113.10") {
		t.Errorf("announced %v", got)
	}
}

func listen(t *testing.T, interfaceName string) int {
	t.Helper()
	peer, err := net.InterfaceByName(interfaceName)
	if err != nil {
		t.Fatal(err)
	}
	everything := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: peer.Index})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// hear waits for a frame like the wanted one, at most five seconds; other frames (router solicitations …) pass.
func hear(t *testing.T, fd int, vip, want string) {
	t.Helper()
	timeout := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	var heard []string
	buffer := make([]byte, 2048)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		count, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			continue
		}
		frame := hex.EncodeToString(buffer[:count])
		if like(frame, want) {
			checkICMPv6(t, buffer[:count])
			return
		}
		heard = append(heard, frame)
	}
	t.Errorf("%s: no frame like\n%s\nwas heard, only\n%s", vip, want, strings.Join(heard, "\n"))
}

func like(frame, want string) bool {
	if len(frame) != len(want) {
		return false
	}
	for index := range want {
		if want[index] != '?' && want[index] != frame[index] {
			return false
		}
	}
	return true
}

// checkICMPv6 sums a whole packet with its checksum, which gives all ones when that is right (RFC 1071).
func checkICMPv6(t *testing.T, frame []byte) {
	t.Helper()
	if binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IPV6 {
		return
	}
	message := frame[54:]
	covered := append([]byte(nil), frame[22:54]...)
	covered = append(covered, 0, 0, 0, byte(len(message)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	covered = append(covered, message...)
	sum := uint32(0)
	for index := 0; index < len(covered); index += 2 {
		sum += uint32(binary.BigEndian.Uint16(covered[index:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum != 0xffff {
		t.Errorf("checksum is wrong: sum %#x", sum)
	}
}
