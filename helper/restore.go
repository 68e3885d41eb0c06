package main

import (
	"fmt"
	"slices"

	"ipvs-operator.io/helper/policy"
	"ipvs-operator.io/helper/wire"
)

// restoreOnce rebuilds after a boot what the journals say: of one owner, or of all that the policy file names. It fails when
// something that the policy permits could not be restored.
func restoreOnce(arguments []string, on terminal) int {
	chosen, ok := parseOptions("restore", arguments, on, nil)
	if !ok || chosen.owner != "" && !requireOwner("restore", chosen, on) {
		return exitUsage
	}
	owners := []string{chosen.owner}
	if chosen.owner == "" {
		var err error
		if owners, err = policy.Owners(chosen.policyPath); err != nil {
			fmt.Fprintf(on.errors, "restore: %s\n", err)
			return exitFailed
		}
	}
	code := exitDone
	for _, owner := range owners {
		chosen.owner = owner
		if !requireOwner("restore", chosen, on) || !restoreOwner(chosen, on) {
			code = exitFailed
		}
	}
	return code
}

func restoreOwner(chosen options, on terminal) bool {
	engine := newEnvironment(chosen).engine
	defer engine.Addresses.Wait()
	restored, refusal := engine.Restore()
	if refusal != nil {
		fmt.Fprintf(on.errors, "restore: owner %s: NOTHING RESTORED: %s (%s)\n", chosen.owner, refusal.Message, refusal.Class)
		return false
	}
	if restored.Warning != "" {
		fmt.Fprintf(on.errors, "restore: owner %s: %s\n", chosen.owner, restored.Warning)
	}
	if restored.Nothing != "" {
		fmt.Fprintf(on.output, "owner %s: %s\n", chosen.owner, restored.Nothing)
		return true
	}
	for _, refused := range restored.Errors {
		fmt.Fprintf(on.errors, "restore: owner %s: left out (%s): %s\n", chosen.owner, refused.Class, refused.Message)
	}
	if chosen.json {
		printJSON(restored.ApplyResult, on.output)
	} else {
		fmt.Fprintf(on.output, "owner %s: %d writes; table %s has %d virtual servers, %d real servers, as told on %s (epoch %d generation %d)\n", chosen.owner, restored.Writes,
			restored.TableHash, restored.Counts.VirtualServers, restored.Counts.RealServers, restored.Written, restored.Fence.Epoch, restored.Fence.Generation)
	}
	return !slices.ContainsFunc(restored.Errors, func(refused wire.Error) bool { return refused.Class != wire.ClassPolicy })
}
