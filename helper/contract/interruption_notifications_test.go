package contract

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/rawnetlink"
)

// loopback is the index of lo in every network namespace.
const loopback = 1

// hearAddresses follows the kernel's own notifications of addresses on lo. What it returns gives those since the last call, sorted, in the
// spelling of what a helper notes. IPVS has no notifications.
func hearAddresses(t *testing.T) func() []string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func() []string {
		heard := []string{}
		buffer := make([]byte, 1<<16)
		for {
			count, _, err := unix.Recvfrom(fd, buffer, 0)
			if err == unix.EAGAIN {
				slices.Sort(heard)
				return heard
			}
			if err != nil {
				t.Fatalf("notifications of addresses: %v", err)
			}
			messages, err := rawnetlink.Parse(buffer[:count])
			if err != nil {
				t.Fatal(err)
			}
			for _, message := range messages {
				if binary.NativeEndian.Uint32(message.Data[4:]) == loopback {
					heard = append(heard, notification(t, message))
				}
			}
		}
	}
}

func notification(t *testing.T, message netlink.Message) string {
	t.Helper()
	doing := map[netlink.HeaderType]string{unix.RTM_NEWADDR: "add", unix.RTM_DELADDR: "delete"}[message.Header.Type]
	attributes, err := netlink.NewAttributeDecoder(message.Data[unix.SizeofIfAddrmsg:])
	if err != nil {
		t.Fatal(err)
	}
	for attributes.Next() {
		if attributes.Type() == unix.IFA_ADDRESS {
			address, _ := netip.AddrFromSlice(attributes.Bytes())
			return fmt.Sprintf("%s_address_%s_on_lo", doing, address)
		}
	}
	return doing
}
