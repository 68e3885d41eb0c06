package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/preflight"
	"ipvs-operator.io/helper/wire"
)

// earliest is before any release of the helper.
var earliest = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// preflightOnce says whether this host can be a director, as a table; it fails when something makes that impossible.
func preflightOnce(arguments []string, on terminal) int {
	chosen, parsed := parseOptions("preflight", arguments, on, nil)
	if !parsed || !requireOwner("preflight", chosen, on) {
		return exitUsage
	}
	checks := newEnvironment(chosen).preflight()
	if chosen.json {
		printJSON(wire.PreflightResult{Checks: checks}, on.output)
	} else {
		columns := tabwriter.NewWriter(on.output, 0, 0, 2, ' ', 0)
		for _, check := range checks {
			fmt.Fprintf(columns, "%s\t%s\t%s\n", strings.ToUpper(string(check.Verdict)), check.Name, check.Message)
			if check.Remedy != "" {
				fmt.Fprintf(columns, "\t\t→ %s\n", check.Remedy)
			}
		}
		_ = columns.Flush()
	}
	if preflight.Failed(checks) {
		return exitFailed
	}
	return exitDone
}

func (e *environment) preflight() []wire.Check {
	subject := preflight.Subject{
		Root: "/", Facts: e.facts, Engine: e.engine, Owner: e.owner, PolicyPath: e.policyPath, StateDir: e.stateDir,
		NetAdmin: hasCapability(unix.CAP_NET_ADMIN) || e.fakeKernel, NetRaw: hasCapability(unix.CAP_NET_RAW) || e.fakeKernel,
		Probe: func() error {
			if err := e.kernel.Probe(); err != nil {
				return describeProbe(err)
			}
			return nil
		},
		Packets: func() error { _, err := e.engine.Packets.Read(); return err },
		Scratch: preflight.Scratch,
		Now:     time.Now(), Built: earliest,
	}
	if e.fakeKernel {
		subject.Scratch = func() (preflight.Trial, error) { return preflight.Trial{}, unix.EPERM }
	}
	if own, err := os.Executable(); err == nil {
		if status, err := os.Stat(own); err == nil && status.ModTime().After(earliest) {
			subject.Built = status.ModTime()
		}
	}
	return subject.Run()
}
