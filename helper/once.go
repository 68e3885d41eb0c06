package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// planOnce tells what a request would change.
func planOnce(arguments []string, on terminal) int {
	chosen, ok := parseOptions("plan", arguments, on, nil)
	if !ok || !requireOwner("plan", chosen, on) {
		return exitUsage
	}
	return once("plan", chosen, on, true)
}

// applyOnce carries a request out.
func applyOnce(arguments []string, on terminal) int {
	var confirmed bool
	chosen, ok := parseOptions("apply", arguments, on, func(flags *flag.FlagSet) {
		flags.BoolVar(&confirmed, "once", false, "carry out one request and exit (required)")
	})
	if !ok || !requireOwner("apply", chosen, on) {
		return exitUsage
	}
	if !confirmed {
		fmt.Fprintln(on.errors, "apply: --once is required")
		return exitUsage
	}
	return once("apply", chosen, on, false)
}

func once(verb string, chosen options, on terminal, dryRun bool) int {
	body, err := readRequest(chosen.file, on.input)
	if err != nil {
		fmt.Fprintf(on.errors, "%s: read the request: %s\n", verb, err)
		return exitFailed
	}
	request, refusal := wire.DecodeRequest(body)
	if refusal == nil && request.Apply == nil {
		refusal = &wire.Error{Class: wire.ClassProtocol, Message: "the request is not an apply (docs/wire-protocol.md)"}
	}
	if refusal != nil {
		fmt.Fprintf(on.errors, "%s: %s\n", verb, refusal.Message)
		return exitFailed
	}
	request.Apply.DryRun = request.Apply.DryRun || dryRun
	return carryOut(verb, *request.Apply, chosen, newEnvironment(chosen).engine, on)
}

func carryOut(verb string, request wire.Apply, chosen options, engine *apply.Engine, on terminal) int {
	answer, refusal := engine.Apply(request)
	if refusal != nil {
		fmt.Fprintf(on.errors, "%s: %s (%s)\n", verb, refusal.Message, refusal.Class)
		return exitFailed
	}
	printAnswer(answer, chosen.json, request.DryRun, on)
	if !request.DryRun {
		settleDrains(verb, engine, on)
		engine.Addresses.Wait()
	}
	if len(answer.Errors) > 0 || len(answer.Failed) > 0 {
		return exitFailed
	}
	return exitDone
}

// settleDrains ends the drains whose time has come: of requests that were carried out with no session after them.
func settleDrains(verb string, engine *apply.Engine, on terminal) {
	for more := true; more; {
		next, refusal := engine.SettleDrains()
		if refusal != nil {
			fmt.Fprintf(on.errors, "%s: drains cannot go on: %s (%s)\n", verb, refusal.Message, refusal.Class)
		}
		more = refusal == nil && next == apply.SettlePause
	}
}

func readRequest(file string, input io.Reader) ([]byte, error) {
	if file != "" {
		return os.ReadFile(file)
	}
	return io.ReadAll(io.LimitReader(input, wire.MaxFrameBytes))
}

func printAnswer(answer wire.ApplyResult, asJSON, dryRun bool, on terminal) {
	if asJSON {
		printJSON(answer, on.output)
		return
	}
	for _, change := range answer.Changes {
		fmt.Fprintln(on.output, change.Sentence)
	}
	for _, refusal := range answer.Errors {
		fmt.Fprintf(on.output, "refused (%s): %s\n", refusal.Class, refusal.Message)
	}
	if dryRun {
		fmt.Fprintf(on.output, "%d changes planned, nothing written\n", len(answer.Changes))
		return
	}
	fmt.Fprintf(on.output, "%d writes; table %s has %d virtual servers, %d real servers, %d draining\n",
		answer.Writes, answer.TableHash, answer.Counts.VirtualServers, answer.Counts.RealServers, answer.Counts.Draining)
}

func printJSON(value any, output io.Writer) {
	encoder := json.NewEncoder(output)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value)
}

// dump prints the whole table of this host; with an owner, only what that owner has, with counters.
func dump(arguments []string, on terminal) int {
	chosen, ok := parseOptions("dump", arguments, on, nil)
	if !ok || chosen.owner != "" && !requireOwner("dump", chosen, on) {
		return exitUsage
	}
	if chosen.owner != "" {
		return dumpOwner(chosen, on)
	}
	environment := newEnvironment(chosen)
	services, err := environment.kernel.Services()
	if err != nil {
		fmt.Fprintf(on.errors, "dump: %s\n", describeProbe(err))
		return exitFailed
	}
	for _, service := range services {
		destinations, err := environment.kernel.Destinations(service.ServiceKey)
		if err != nil {
			fmt.Fprintf(on.errors, "dump: %s: %s\n", service.ServiceKey, err)
			return exitFailed
		}
		printVirtualServer(table.New(service, destinations), on.output)
	}
	return exitDone
}

func dumpOwner(chosen options, on terminal) int {
	engine := newEnvironment(chosen).engine
	settleDrains("dump", engine, on)
	answer, refusal := engine.Read(wire.WhatCounters)
	if refusal != nil {
		fmt.Fprintf(on.errors, "dump: %s (%s)\n", refusal.Message, refusal.Class)
		return exitFailed
	}
	printJSON(answer, on.output)
	return exitDone
}

func printVirtualServer(virtualServer table.VirtualServer, output io.Writer) {
	flags := ipvs.SchedulerFlagNames(virtualServer.Scheduler, virtualServer.Flags)
	fmt.Fprintf(output, "%s %s %s\n", virtualServer.ServiceKey, virtualServer.Scheduler, strings.Join(flags, ","))
	for _, destination := range virtualServer.Destinations {
		fmt.Fprintf(output, "  -> %s %s weight %d active %d inactive %d\n", destination.DestinationKey, destination.MethodText(),
			destination.Weight, destination.Connections.Active, destination.Connections.Inactive)
	}
}
