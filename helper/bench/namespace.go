package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace runs work in a fresh network namespace with lo up. The thread that lives there, and the programs it starts, are
// used for nothing else; afterwards the machine is given time to take the namespace and its table apart.
func inNamespace(work func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("new network namespace: %w", err)
			return
		}
		if output, err := exec.Command("ip", "link", "set", interfaceName, "up").CombinedOutput(); err != nil {
			done <- fmt.Errorf("ip link set lo up: %w: %s", err, output)
			return
		}
		done <- work()
	}()
	err := <-done
	waitUntilIdle()
	return err
}

const (
	idleWindow = 200 * time.Millisecond
	idleLimit  = time.Minute
)

// settle is called before a clock is started: this program collects its garbage then, and never while a competitor shares the processor.
func settle() { runtime.GC() }

// waitUntilIdle returns when the machine has had nothing to do for a moment; after a minute in any case.
func waitUntilIdle() {
	for deadline := time.Now().Add(idleLimit); time.Now().Before(deadline); {
		idle, all := processorTime()
		time.Sleep(idleWindow)
		nowIdle, nowAll := processorTime()
		if 10*(nowIdle-idle) >= 9*(nowAll-all) {
			return
		}
	}
}

// processorTime reads the first line of /proc/stat (proc(5)): cpu user nice system idle iowait …
func processorTime() (idle, all uint64) {
	content, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(content), "\n")
	for index, field := range strings.Fields(line) {
		value, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			continue
		}
		all += value
		if index == 4 {
			idle = value
		}
	}
	return idle, all
}
