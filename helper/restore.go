package main

import (
	"fmt"
	"slices"
	"time"

	"ipvs-operator.io/helper/apply"
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

// restorer is the engine.
type restorer interface {
	Restore() (apply.Restored, *wire.Error)
}

// restorePause is how long to wait before the one more attempt.
const restorePause = 2 * time.Second

func restoreOwner(chosen options, on terminal) bool {
	engine := newEnvironment(chosen).engine
	defer engine.Addresses.Wait()
	return carryOutRestore(engine, chosen, on)
}

// carryOutRestore tries once more when the reason may have passed: at boot nobody else does.
func carryOutRestore(engine restorer, chosen options, on terminal) bool {
	restored, refusal := engine.Restore()
	if refusal != nil && refusal.Class == wire.ClassRetry {
		fmt.Fprintf(on.errors, "restore: owner %s: %s; trying once more\n", chosen.owner, howFar(restored, refusal))
		time.Sleep(restorePause)
		before := restored
		restored, refusal = engine.Restore()
		restored.Begun, restored.Writes = restored.Begun || before.Begun, restored.Writes+before.Writes
	}
	if refusal != nil {
		fmt.Fprintf(on.errors, "restore: owner %s: %s\n", chosen.owner, howFar(restored, refusal))
		return false
	}
	return tellRestored(restored, chosen, on)
}

// howFar says what a restore that failed has done.
func howFar(restored apply.Restored, refusal *wire.Error) string {
	if !restored.Begun {
		return fmt.Sprintf("NOTHING RESTORED: %s (%s)", refusal.Message, refusal.Class)
	}
	return fmt.Sprintf("NOT KNOWN TO BE WHOLE, after %d writes that are known of: %s (%s); what was written stays, and restore adds what is missing when it is run again",
		restored.Writes, refusal.Message, refusal.Class)
}

func tellRestored(restored apply.Restored, chosen options, on terminal) bool {
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
