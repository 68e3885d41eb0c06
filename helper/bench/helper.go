package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ipvs-operator.io/helper/wire"
)

const grant = `{"owners":{"bench":{"virtualServers":["203.0.113.0/24"],"realServers":["192.0.2.0/24"],"interfaces":["lo"]}}}`

// helper is a session with a real process.
type helper struct {
	process   *exec.Cmd
	input     io.WriteCloser
	output    io.Reader
	directory string
}

// startHelper starts the process in the caller's namespace and waits for its greeting.
func startHelper(program string) (*helper, error) {
	directory, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	policy := filepath.Join(directory, "policy.json")
	if err := os.WriteFile(policy, []byte(grant), 0o644); err != nil {
		return nil, err
	}
	process := exec.Command(program, "serve", "--owner", "bench", "--policy", policy, "--state-dir", directory, "--journal-dir", directory)
	process.Stderr = io.Discard
	input, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	session := &helper{process, input, output, directory}
	if _, err := wire.ReadFrame(output); err != nil {
		session.stop()
		return nil, fmt.Errorf("no greeting: %w", err)
	}
	return session, nil
}

func (h *helper) stop() {
	_ = h.input.Close()
	_ = h.process.Wait()
	_ = os.RemoveAll(h.directory)
}

// applied is what the answer to an apply says, as far as it is of interest here.
type applied struct {
	OK     bool
	Error  json.RawMessage
	Result struct {
		Writes int
		Errors []json.RawMessage
	}
}

// ask sends one request and measures until the last byte of the answer is here.
func (h *helper) ask(body []byte) (applied, spent, error) {
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	settle()
	kernelBefore, err := h.kernelTime()
	if err != nil {
		return applied{}, spent{}, err
	}
	start := time.Now()
	if _, err := h.input.Write(frame); err != nil {
		return applied{}, spent{}, err
	}
	answer, err := wire.ReadFrame(h.output)
	took := time.Since(start)
	if err != nil {
		return applied{}, spent{}, fmt.Errorf("no answer: %w", err)
	}
	kernel, err := h.kernelTime()
	if err != nil {
		return applied{}, spent{}, err
	}
	var decoded applied
	if err := json.Unmarshal(answer, &decoded); err != nil {
		return applied{}, spent{}, err
	}
	if !decoded.OK || len(decoded.Result.Errors) > 0 {
		return applied{}, spent{}, fmt.Errorf("the helper answers %.300s", answer)
	}
	return decoded, spent{took, kernel - kernelBefore}, nil
}

// kernelTime is how long the process has been in the kernel so far: field stime of proc_pid_stat(5), in ticks of 10 ms.
func (h *helper) kernelTime() (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, fields, _ := strings.Cut(string(content), ") ") // behind the name, which may have blanks
	ticks, err := strconv.ParseInt(strings.Fields(fields)[12], 10, 64)
	return time.Duration(ticks) * 10 * time.Millisecond, err
}

// apply asks, and wants so many writes.
func (h *helper) apply(body []byte, writes int) (spent, error) {
	answer, took, err := h.ask(body)
	if err == nil && answer.Result.Writes != writes {
		err = fmt.Errorf("the helper has written %d times instead of %d", answer.Result.Writes, writes)
	}
	return took, err
}

// peakOf is the most memory that a process has held so far, in bytes: VmHWM of proc_pid_status(5). (What wait4(2) tells of a child counts
// its parent at the time of the fork.)
func peakOf(process *os.Process) (uint64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kilobytes, err := strconv.ParseUint(fields[1], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("no VmHWM")
}
