package kubelet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
)

// processStart says how to start one process of a pod or a node.
type processStart struct {
	commandLine      []string
	networkNamespace string
	hostname         string
	mounts           []bindMount
	environment      []string
	workingDir       string
	logFile          string
}

// process is a started process and the group of everything it starts.
type process struct {
	command   *exec.Cmd
	startedAt time.Time
	endedAt   time.Time
	exited    chan struct{}
}

// prologue runs as /bin/sh in the new namespaces, before the program: its first argument is the host name, then come
// pairs of source and target to mount, then "--" and the program. A target below a directory that this machine does
// not have is made on a tmpfs that shows the nearest existing directory's entries as links: nothing is written to the machine.
const prologue = `
set -e
hostname "$1"; shift
while [ "$1" != -- ]; do
  from=$1 to=$2; shift 2
  if [ ! -e "$to" ]; then
    base=$to
    while [ ! -d "$base" ]; do base=$(dirname "$base"); done
    case "$(readlink -f "$base")" in
    /) echo "the lab cannot mount $to: / has no such directory; use a path below an existing one" >&2; exit 128 ;;
    /run|/run/*) ;;
    *)
      real=/run/machine$base
      mkdir -p "$real"; mount --bind "$base" "$real"; mount -t tmpfs tmpfs "$base"
      find "$real" -mindepth 1 -maxdepth 1 -exec ln -s -t "$base" {} + ;;
    esac
    if [ -d "$from" ]; then mkdir -p "$to"; else mkdir -p "$(dirname "$to")"; : > "$to"; fi
  fi
  mount --bind "$from" "$to"
done
shift
exec "$@"
`

// run starts the process. Its output is appended to the log file.
func (s processStart) run() (*process, error) {
	if err := os.MkdirAll(filepath.Dir(s.logFile), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	arguments := []string{"-c", prologue, "prologue", s.hostname}
	for _, mount := range s.mounts {
		arguments = append(arguments, mount.source, mount.target)
	}
	command := exec.Command("/bin/sh", append(append(arguments, "--"), s.commandLine...)...)
	command.Env = s.environment
	command.Dir = s.workingDir
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS}
	started := &process{command: command, startedAt: time.Now(), exited: make(chan struct{})}
	if err := inNetworkNamespace(s.networkNamespace, command.Start); err != nil {
		return nil, fmt.Errorf("start %q in network namespace %s: %w", s.commandLine, s.networkNamespace, err)
	}
	go func() {
		// The exit code is read from ProcessState; the error says nothing more.
		_ = command.Wait()
		started.signal(syscall.SIGKILL)
		started.endedAt = time.Now()
		close(started.exited)
	}()
	return started, nil
}

// inNetworkNamespace runs work on a thread that is in the namespace; processes started there are born in it.
func inNetworkNamespace(name string, work func() error) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine, so no other goroutine can inherit the namespace.
		runtime.LockOSThread()
		result <- func() error {
			namespace, err := netns.GetFromName(name)
			if err != nil {
				return fmt.Errorf("network namespace %s: %w", name, err)
			}
			defer namespace.Close()
			if err := netns.Set(namespace); err != nil {
				return fmt.Errorf("network namespace %s: %w", name, err)
			}
			return work()
		}()
	}()
	return <-result
}

// inNewNetworkNamespace runs work on a thread that is alone in a new network namespace.
func inNewNetworkNamespace(work func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Never unlocked, as above.
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("new network namespace: %w", err)
			return
		}
		result <- work()
	}()
	return <-result
}

func (p *process) signal(signal syscall.Signal) {
	// ESRCH only says that the group has ended already.
	_ = syscall.Kill(-p.command.Process.Pid, signal)
}

func (p *process) kill() { p.signal(syscall.SIGKILL) }

// exitCode is as a shell reports it: 128 and the signal's number when a signal ended the process.
func (p *process) exitCode() int32 {
	status, known := p.command.ProcessState.Sys().(syscall.WaitStatus)
	if known && status.Signaled() {
		return 128 + int32(status.Signal())
	}
	return int32(p.command.ProcessState.ExitCode())
}

// stop asks with SIGTERM, waits, and kills what is left.
func (p *process) stop(grace time.Duration) error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return nil
	case <-time.After(grace):
		p.kill()
		<-p.exited
		return errors.New("did not end within its grace period")
	}
}
