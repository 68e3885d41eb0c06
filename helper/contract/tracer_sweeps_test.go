package contract

import (
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A helper that flushes or zeroes is found by the tracer: those commands (ip_vs.h) touch what others have made.
func TestTracerRefusesWhatSweeps(t *testing.T) {
	message := func(command byte) []byte {
		content, err := netlink.Message{Header: netlink.Header{Length: 20, Type: 29, Flags: netlink.Request | netlink.Acknowledge}, Data: []byte{command, 1, 0, 0}}.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	follow := &tracer{sockets: map[uint64]uint64{3: unix.NETLINK_GENERIC}}
	for command, words := range map[byte]string{16: "sends zero counters", 17: "sends flush"} {
		if _, _, err := follow.sent(3, message(command)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("command %d: %v", command, err)
		}
	}
	if toKernel, isWrite, err := follow.sent(3, message(3)); err != nil || !isWrite || len(toKernel) != 1 {
		t.Errorf("a command that changes: %v, %t, %v", toKernel, isWrite, err)
	}
	if toKernel, isWrite, err := follow.sent(3, message(4)); err != nil || isWrite || len(toKernel) != 0 {
		t.Errorf("a command that reads: %v, %t, %v", toKernel, isWrite, err)
	}
}
