package contract

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/rawnetlink"
)

// filtered are the system calls that a traced process stops at: those that may write, and those that tell what a file descriptor is. (To
// wait until the disk has it is no write: what a killed process has written stays. Nor is one to a file of the ledger before it is renamed.)
var filtered = []uint32{unix.SYS_SOCKET, unix.SYS_CLOSE, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_WRITE, unix.SYS_PWRITE64,
	unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_FTRUNCATE}

// tracedProcess becomes the program that its arguments name, with the filter.
func tracedProcess() error {
	const load, jumpIfEqual, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{{Code: load}} // the number
	for index, number := range filtered {
		program = append(program, unix.SockFilter{Code: jumpIfEqual, Jt: uint8(len(filtered) - index), K: number})
	}
	program = append(program, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_TRACE})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		return fmt.Errorf("filter of system calls: %w", errno)
	}
	return unix.Exec(os.Args[1], os.Args[1:], os.Environ())
}

// writes tells whether a system call writes, and what to the kernel: changing messages of netlink, a batch of packet rules, a sysctl.
func (t *tracer) writes(words [8]uint64) (toKernel []string, isWrite bool, err error) {
	number, fd := words[0], words[1]
	switch number {
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_FTRUNCATE:
		return nil, true, nil
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_SENDTO:
		content, err := t.read(words[2], words[3])
		if err != nil {
			return nil, false, err
		}
		if number == unix.SYS_SENDTO {
			return t.sent(fd, content)
		}
		return t.toFile(fd, content)
	case unix.SYS_SENDMSG:
		content, err := t.gather(words[2])
		if err != nil {
			return nil, false, err
		}
		return t.sent(fd, content)
	}
	return nil, false, nil
}

func (t *tracer) toFile(fd uint64, content []byte) ([]string, bool, error) {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", t.pid, fd))
	if sysctl, isSysctl := strings.CutPrefix(path, "/proc/sys/"); isSysctl {
		return []string{"set " + sysctl + " " + strings.TrimSpace(string(content))}, true, err
	}
	return nil, strings.HasPrefix(path, t.task.Journal), err
}

// changing are the commands of IPVS (include/uapi/linux/ip_vs.h) and of rtnetlink that change something.
var changing = map[uint64]map[uint16]string{
	unix.NETLINK_GENERIC: {1: "new service", 2: "set service", 3: "delete service", 5: "new destination", 6: "set destination", 7: "delete destination",
		9: "new daemon", 10: "delete daemon", 12: "set timeouts"},
	unix.NETLINK_ROUTE: {unix.RTM_NEWADDR: "new address", unix.RTM_DELADDR: "delete address", unix.RTM_NEWROUTE: "new route", unix.RTM_DELROUTE: "delete route"},
}

// sweeping are the commands of IPVS that touch what is not ours, too: with or without a name they are never sent.
var sweeping = map[uint16]string{16: "zero counters", 17: "flush"}

func (t *tracer) sent(fd uint64, content []byte) (toKernel []string, isWrite bool, err error) {
	protocol, isNetlink := t.sockets[fd]
	if !isNetlink {
		return nil, false, nil
	}
	messages, err := rawnetlink.Parse(content)
	if err != nil {
		return nil, false, fmt.Errorf("what the helper sends on netlink %d: %w", protocol, err)
	}
	for _, message := range messages {
		command := uint16(message.Header.Type)
		switch {
		case protocol == unix.NETLINK_NETFILTER && command == unix.NFNL_MSG_BATCH_BEGIN:
			return []string{"packet rules"}, true, nil
		case protocol == unix.NETLINK_GENERIC && message.Header.Type == unix.GENL_ID_CTRL:
			continue
		case protocol == unix.NETLINK_GENERIC:
			command = uint16(message.Data[0])
			if what, sweeps := sweeping[command]; sweeps {
				return nil, false, fmt.Errorf("the helper sends %s %x", what, message.Data)
			}
		}
		if what, changes := changing[protocol][command]; changes && message.Header.Flags&netlink.Request != 0 {
			toKernel = append(toKernel, fmt.Sprintf("%s %x", what, message.Data))
		}
	}
	return toKernel, len(toKernel) > 0, nil
}

// gather reads what a struct msghdr points to.
func (t *tracer) gather(address uint64) ([]byte, error) {
	header, err := t.read(address, 56)
	if err != nil {
		return nil, err
	}
	vectors, err := t.read(binary.NativeEndian.Uint64(header[16:]), 16*binary.NativeEndian.Uint64(header[24:]))
	var content []byte
	for ; err == nil && len(vectors) > 0; vectors = vectors[16:] {
		var part []byte
		part, err = t.read(binary.NativeEndian.Uint64(vectors), binary.NativeEndian.Uint64(vectors[8:]))
		content = append(content, part...)
	}
	return content, err
}

// read copies memory of the process.
func (t *tracer) read(address, length uint64) ([]byte, error) {
	content := make([]byte, length)
	if length == 0 {
		return content, nil
	}
	here := unix.Iovec{Base: &content[0]}
	here.SetLen(len(content))
	count, err := unix.ProcessVMReadv(t.pid, []unix.Iovec{here}, []unix.RemoteIovec{{Base: uintptr(address), Len: len(content)}}, 0)
	if err == nil && count != len(content) {
		err = fmt.Errorf("%d of %d bytes", count, length)
	}
	if err != nil {
		return nil, fmt.Errorf("read memory of the helper: %w", err)
	}
	return content, nil
}
