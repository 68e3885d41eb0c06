package main

import (
	"flag"
	"fmt"
	"slices"

	"ipvs-operator.io/helper/desired"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/policy"
	"ipvs-operator.io/helper/wire"
)

// takesKeys are the verbs behind whose flags virtual servers stand.
var takesKeys = map[string]bool{"adopt": true, "remove": true}

// driftOnce tells where the kernel is not as the journal says; it fails when that is so anywhere.
func driftOnce(arguments []string, on terminal) int {
	chosen, ok := parseOptions("drift", arguments, on, nil)
	if !ok || !requireOwner("drift", chosen, on) {
		return exitUsage
	}
	answer, refusal := newEnvironment(chosen).engine.Read(wire.WhatDrift)
	if refusal != nil {
		fmt.Fprintf(on.errors, "drift: %s (%s)\n", refusal.Message, refusal.Class)
		return exitFailed
	}
	if chosen.json {
		printJSON(answer, on.output)
	} else {
		for _, change := range *answer.Drift {
			fmt.Fprintln(on.output, change.Sentence)
		}
		fmt.Fprintf(on.output, "%d differences between kernel and journal; %d orphans\n", len(*answer.Drift), answer.Counts.Orphans)
	}
	if !*answer.Agrees {
		return exitFailed
	}
	return exitDone
}

// orphansOnce lists the entries in the owner's ranges that neither ledger nor journal knows, in the form that adopt and remove take.
func orphansOnce(arguments []string, on terminal) int {
	chosen, ok := parseOptions("orphans", arguments, on, nil)
	if !ok || !requireOwner("orphans", chosen, on) {
		return exitUsage
	}
	answer, refusal := newEnvironment(chosen).engine.Read(wire.WhatKeys)
	if refusal != nil {
		fmt.Fprintf(on.errors, "orphans: %s (%s)\n", refusal.Message, refusal.Class)
		return exitFailed
	}
	if chosen.json {
		printJSON(answer.Orphans, on.output)
		return exitDone
	}
	for _, key := range answer.Orphans {
		fmt.Fprintf(on.output, "%s\n", desired.Describe(key))
	}
	return exitDone
}

func adoptOnce(arguments []string, on terminal) int {
	return named("adopt", arguments, on, func(request *wire.Apply, keys []wire.Key) { request.Adopt = keys })
}

func removeOnce(arguments []string, on terminal) int {
	return named("remove", arguments, on, func(request *wire.Apply, keys []wire.Key) { request.Remove = keys })
}

// named carries out what a person asks for about orphans, as the newest writer that the director knows: no operator is fenced off.
func named(verb string, arguments []string, on terminal, put func(*wire.Apply, []wire.Key)) int {
	dryRun, interfaceName := false, ""
	chosen, ok := parseOptions(verb, arguments, on, func(flags *flag.FlagSet) {
		flags.BoolVar(&dryRun, "dry-run", false, "tell what would be done, and write nothing")
		flags.StringVar(&interfaceName, "interface", "", "interface that carries VIPs that are not known yet (default: the first that the policy names)")
	})
	if !ok || !requireOwner(verb, chosen, on) {
		return exitUsage
	}
	keys, err := parseKeys(chosen.arguments)
	if err != nil {
		fmt.Fprintf(on.errors, "%s: %s\n", verb, err)
		return exitUsage
	}
	engine := newEnvironment(chosen).engine
	request := wire.Apply{DryRun: dryRun, Scope: wire.ScopeListed, Interface: interfaceName}
	if request.Interface == "" {
		grant, err := policy.Load(chosen.policyPath, chosen.owner)
		if err != nil {
			fmt.Fprintf(on.errors, "%s: %s\n", verb, err)
			return exitFailed
		}
		request.Interface = grant.Interfaces[0]
	}
	put(&request, keys)
	if request.Fence, err = engine.Fence(); err != nil {
		fmt.Fprintf(on.errors, "%s: %s\n", verb, err)
		return exitFailed
	}
	return carryOut(verb, request, chosen, engine, on)
}

// parseKeys reads virtual servers as orphans prints them: TCP 203.0.113.10:80, in one word or two, or firewall mark 7 (IPv4) in one.
func parseKeys(words []string) ([]wire.Key, error) {
	var keys []wire.Key
	for index := 0; index < len(words); index++ {
		text := words[index]
		if slices.Contains([]string{ipvs.TCP.String(), ipvs.UDP.String(), ipvs.SCTP.String()}, text) && index+1 < len(words) {
			index++
			text += " " + words[index]
		}
		key, err := ipvs.ParseServiceKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, desired.KeyOf(key))
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("name at least one virtual server: TCP 203.0.113.10:80")
	}
	return keys, nil
}
