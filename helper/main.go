// Command ipvs-helper makes the IPVS table of this host equal to what an operator wants, within what the host's policy
// file grants. See README.md.
package main

import (
	"fmt"
	"io"
	"os"
)

// version is what hello tells; a release sets it with -X main.version.
var version = "0.1.0"

// terminal is what a verb may touch of the outside world.
type terminal struct {
	input  io.Reader
	output io.Writer
	errors io.Writer
}

var verbs = map[string]func([]string, terminal) int{
	"serve":     serve,
	"dump":      dump,
	"plan":      planOnce,
	"apply":     applyOnce,
	"restore":   restoreOnce,
	"drift":     driftOnce,
	"orphans":   orphansOnce,
	"adopt":     adoptOnce,
	"remove":    removeOnce,
	"preflight": preflightOnce,
	"version":   printVersion,
}

const usage = `usage: ipvs-helper VERB [flags]

  serve --owner NAME [--policy FILE] [--state-dir DIR]           speak with an operator on stdin and stdout
  dump  [--owner NAME] [--json]                                  print this host's IPVS table, and whose it is
  plan  --owner NAME [--file FILE] [--json]                      tell what the request (JSON, default stdin) would change
  apply --once --owner NAME [--file FILE] [--json]               carry the request out
  restore [--owner NAME] [--json]                                at boot: rebuild what the journal says; all owners of the policy
  drift --owner NAME [--json]                                    tell where the kernel is not as the journal says; 1 when it is not
  orphans --owner NAME [--json]                                  list entries in the owner's ranges that nobody knows
  adopt --owner NAME [--dry-run] [--json] KEY...                 make orphans the owner's, as they stand: TCP 203.0.113.10:80
  remove --owner NAME [--dry-run] [--json] KEY...                delete orphans
  preflight --owner NAME [--json]                                say whether this host can be a director; 1 when it cannot
  version

--fake-kernel uses a table in memory instead of the kernel's, for tests. See README.md.
`

// Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr}))
}

func run(arguments []string, on terminal) int {
	if len(arguments) > 0 {
		if verb, known := verbs[arguments[0]]; known {
			return verb(arguments[1:], on)
		}
		if arguments[0] == "help" || arguments[0] == "--help" || arguments[0] == "-h" {
			fmt.Fprint(on.output, usage)
			return exitDone
		}
	}
	fmt.Fprint(on.errors, usage)
	return exitUsage
}

func printVersion(_ []string, on terminal) int {
	fmt.Fprintln(on.output, version)
	return exitDone
}
