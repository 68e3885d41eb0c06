package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"unsafe"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/wire"
)

// tracerTask is what a tracer is to do: let the helper's program serve one request, and kill it from outside after so many of its writes.
type tracerTask struct {
	Program   string
	Arguments []string
	Request   json.RawMessage
	// Journal is the directory of the helper's journal.
	Journal string
	// Death is the number of writes, to the kernel or to its files, after which it is killed; 0 before the first, negative never.
	Death int
	// Watched lets the reader, whose counter is Polls, look between any two writes.
	Watched bool
	Polls   string
}

// tracerReport is what it saw: how many writes there were, those to the kernel, and the helper's answer if it could give one.
type tracerReport struct {
	Writes   int
	ToKernel []string
	Killed   bool
	Answer   json.RawMessage
}

func tracerProcess() error {
	var task tracerTask
	if err := json.NewDecoder(os.Stdin).Decode(&task); err != nil {
		return err
	}
	polls, err := openCounter(task.Polls)
	if err != nil {
		return err
	}
	process := exec.Command("/proc/self/exe", append([]string{task.Program}, task.Arguments...)...)
	process.Env = append(os.Environ(), processRole+"=traced")
	process.Stderr, process.SysProcAttr = os.Stderr, &unix.SysProcAttr{Ptrace: true}
	input, err1 := process.StdinPipe()
	output, err2 := process.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	answers := make(chan json.RawMessage, 1)
	go func() { answers <- converse(input, output, task.Request) }()
	t := &tracer{pid: process.Process.Pid, task: task, polls: polls, threads: map[int]*tracedCall{}, sockets: map[uint64]uint64{}}
	if err := t.run(); err != nil {
		return err
	}
	t.report.Answer = <-answers
	return json.NewEncoder(os.Stdout).Encode(t.report)
}

// converse is the operator's side of a session with one request. A helper that is killed gives no answer.
func converse(input io.WriteCloser, output io.Reader, request json.RawMessage) json.RawMessage {
	defer input.Close()
	if _, err := wire.ReadFrame(output); err != nil { // its greeting
		return nil
	}
	if wire.WriteFrame(input, request) != nil {
		return nil
	}
	answer, _ := wire.ReadFrame(output)
	return answer
}

// tracer follows every thread of a process from one of the system calls that are filtered to the next (ptrace(2), seccomp(2)).
type tracer struct {
	pid     int
	task    tracerTask
	polls   counter
	report  tracerReport
	threads map[int]*tracedCall
	// sockets are the netlink protocols of open file descriptors.
	sockets map[uint64]uint64
}

// tracedCall is what a thread does and is to stop at the end of: a write, or a new netlink socket.
type tracedCall struct {
	isWrite, isSocket bool
	protocol          uint64
}

// run returns when the process has ended.
func (t *tracer) run() error {
	var status unix.WaitStatus
	if _, err := unix.Wait4(t.pid, &status, unix.WALL, nil); err != nil {
		return err
	}
	// It stands at the first instruction, of this program still.
	const options = unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(t.pid, options); err != nil {
		return err
	}
	t.threads[t.pid] = &tracedCall{}
	if err := unix.PtraceCont(t.pid, 0); err != nil {
		return err
	}
	for {
		tid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case tid == t.pid && !status.Stopped():
			t.report.Killed = status.Signaled() && status.Signal() == unix.SIGKILL
			return nil
		case !status.Stopped():
			continue
		}
		if err := t.stopped(tid, status.StopSignal(), status.TrapCause()); err != nil && !errors.Is(err, unix.ESRCH) { // killed meanwhile
			return err
		}
	}
}

// stopped sets a thread going again, to the end of the system call that it is about to make if that is of interest. A signal that was
// meant for it goes along.
func (t *tracer) stopped(tid int, signal unix.Signal, event int) error {
	call, known := t.threads[tid]
	if !known { // a new thread begins with a stop of its own
		call = &tracedCall{}
		t.threads[tid] = call
	}
	switch {
	case signal == unix.SIGTRAP|0x80, event == unix.PTRACE_EVENT_SECCOMP:
		if err := t.systemCall(tid, call); err != nil {
			return err
		}
		signal = 0
	case event > 0, !known && signal == unix.SIGSTOP:
		signal = 0
	}
	if call.isWrite || call.isSocket {
		return unix.PtraceSyscall(tid, int(signal))
	}
	return unix.PtraceCont(tid, int(signal))
}

// systemCallInfo is struct ptrace_syscall_info of linux/ptrace.h. The words are number and arguments at the filter, the result at the exit.
type systemCallInfo struct {
	op    uint8
	_     [3]uint8
	_     uint32
	_     [2]uint64
	words [8]uint64
}

const (
	systemCallExit   = 2
	systemCallFilter = 3
)

func (t *tracer) systemCall(tid int, call *tracedCall) error {
	var info systemCallInfo
	size := unsafe.Sizeof(info)
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), size, uintptr(unsafe.Pointer(&info)), 0, 0); errno != 0 {
		return fmt.Errorf("system call of thread %d: %w", tid, errno)
	}
	switch info.op {
	case systemCallFilter:
		written, isWrite, err := t.writes(info.words)
		if err != nil {
			return err
		}
		*call = tracedCall{isWrite: isWrite}
		switch number, first := info.words[0], info.words[1]; {
		case number == unix.SYS_CLOSE:
			delete(t.sockets, first)
		case number == unix.SYS_SOCKET && first == unix.AF_NETLINK:
			call.isSocket, call.protocol = true, info.words[3]
		}
		if !isWrite {
			return nil
		}
		if t.report.Writes == t.task.Death {
			return unix.Kill(t.pid, unix.SIGKILL)
		}
		t.report.Writes++
		t.report.ToKernel = append(t.report.ToKernel, written...)
	case systemCallExit:
		if call.isSocket && int64(info.words[0]) >= 0 {
			t.sockets[info.words[0]] = call.protocol
		}
		if call.isWrite && t.report.Writes == t.task.Death {
			return unix.Kill(t.pid, unix.SIGKILL)
		}
		if call.isWrite && t.task.Watched {
			t.polls.pass()
		}
		*call = tracedCall{}
	}
	return nil
}
