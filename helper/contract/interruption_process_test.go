package contract

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// processRole says what this program is when it is not the suite: a helper that carries out one request and dies on the way,
// a reader that looks all the time, a host for tests of the stream between operator and helper (host_process_test.go), or a tracer of
// the program that directors run. All are processes of their own, in the network namespace that started them.
const processRole = "IPVS_CONTRACT_PROCESS"

func TestMain(m *testing.M) {
	role := os.Getenv(processRole)
	if role == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread() // of all threads only this one is sure to be where we were started
	if err := map[string]func() error{"helper": helperProcess, "reader": readerProcess, "host": hostProcess, "bridge": bridgeProcess, "tracer": tracerProcess, "traced": tracedProcess}[role](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startProcess starts this program in a role, told what to do on its standard input.
func startProcess(role string, told any) (*exec.Cmd, *strings.Builder, io.WriteCloser, error) {
	process := exec.Command("/proc/self/exe")
	process.Env = append(os.Environ(), processRole+"="+role)
	output := &strings.Builder{}
	process.Stdout, process.Stderr = output, os.Stderr
	input, err := process.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	if err := process.Start(); err != nil {
		return nil, nil, nil, err
	}
	return process, output, input, json.NewEncoder(input).Encode(told)
}

// helperTask is what a helper process is to do: one request of owner prod.
type helperTask struct {
	StateDir, JournalDir, Boot, Policy string
	Request                            wire.Apply
	// Death is the number of writes to the kernel after which it kills itself; 0 before the first, negative never.
	Death int
	// Written names a file to which each write is added before it is made, Polls the reader's counter.
	Written, Polls string
}

func helperProcess() error {
	var task helperTask
	if err := json.NewDecoder(os.Stdin).Decode(&task); err != nil {
		return err
	}
	polls, err := openCounter(task.Polls)
	if err != nil {
		return err
	}
	d := &director{world: kernelWorld(task.StateDir), stateDir: task.StateDir, journalDir: task.JournalDir, netns: "netns", boot: task.Boot, policy: task.Policy}
	pause := func() {}
	if task.Death < 0 { // watched closely once; the others stop between the same writes
		pause = polls.pass
	}
	end := &death{left: task.Death, written: task.Written, pause: pause, kill: func() {
		_ = unix.Kill(unix.Getpid(), unix.SIGKILL)
		select {}
	}}
	answer, refusal := end.engine(d).Apply(task.Request)
	if refusal != nil {
		return fmt.Errorf("refused: %s", refusal.Message)
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// readerTask is what a reader looks at until its standard input ends.
type readerTask struct {
	// VirtualServers by name, each with its number of real servers; Addresses on lo.
	VirtualServers map[string]int
	Addresses      []netip.Addr
	Polls          string
	// Pause is how long it rests between two looks: there is one processor for all.
	Pause time.Duration
}

// readerReport is what it saw.
type readerReport struct {
	Polls   uint64
	Absent  []string
	Failure string
}

func readerProcess() error {
	decoder := json.NewDecoder(os.Stdin)
	var task readerTask
	if err := decoder.Decode(&task); err != nil {
		return err
	}
	polls, err := openCounter(task.Polls)
	if err != nil {
		return err
	}
	var stopped atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stopped.Store(true)
	}()
	table, addresses := ipvs.NewNetlink(), address.NewNetlink()
	var report readerReport
	for !stopped.Load() {
		absent, err := task.look(table, addresses)
		if err != nil {
			report.Failure = err.Error()
			break
		}
		for _, what := range absent {
			report.Absent = append(report.Absent, fmt.Sprintf("poll %d: %s", report.Polls, what))
		}
		report.Polls++
		if err := polls.set(report.Polls); err != nil {
			return err
		}
		time.Sleep(task.Pause)
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// look is one poll: every virtual server is asked for by itself, with its real servers.
func (task readerTask) look(table ipvs.Kernel, addresses address.Kernel) (absent []string, err error) {
	for name, realServers := range task.VirtualServers {
		key, err := ipvs.ParseServiceKey(name)
		if err != nil {
			return nil, err
		}
		if _, err := table.Service(key); err != nil {
			absent = append(absent, fmt.Sprintf("%s: %s", name, show(err)))
		}
		destinations, err := table.Destinations(key)
		if err != nil {
			return nil, err
		}
		if len(destinations) != realServers {
			absent = append(absent, fmt.Sprintf("%s has %d real servers", name, len(destinations)))
		}
	}
	held, err := addresses.Held("lo", task.Addresses)
	for _, vip := range task.Addresses {
		if err == nil && !held[vip] {
			absent = append(absent, "address "+vip.String())
		}
	}
	return absent, err
}

// counter is the number of polls that are done, in a file that processes share.
type counter struct{ file *os.File }

func openCounter(path string) (counter, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	return counter{file}, err
}

func (c counter) set(polls uint64) error {
	_, err := c.file.WriteAt(binary.NativeEndian.AppendUint64(nil, polls), 0)
	return err
}

func (c counter) get() uint64 {
	content := make([]byte, 8)
	_, _ = c.file.ReadAt(content, 0)
	return binary.NativeEndian.Uint64(content)
}

// pass waits until a poll that began after now is over: the one that runs, and the next. Of a reader that is no more its report
// tells.
func (c counter) pass() {
	start := c.get()
	for deadline := time.Now().Add(30 * time.Second); c.get() < start+2 && time.Now().Before(deadline); {
		time.Sleep(100 * time.Microsecond)
	}
}
