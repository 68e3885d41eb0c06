// Command bench measures the helper inside a virtual machine of the lab, as root, against ipvsadm and against a bare loop of the
// same netlink messages, and prints ratios of medians: `make bench-helper`.
//
// Every measurement of a full load has a network namespace of its own, so that no competitor meets the other's table, nor the
// list of deleted real servers that each addition walks. The competitors take turns, round by round.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/packets/nft"
)

// plan is what is to be measured.
type plan struct {
	helper      string
	sizes       []int
	realServers int
	rounds      int
	changes     int
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	var chosen plan
	var sizes string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&chosen.helper, "helper", "/ipvs-helper", "the program that is measured")
	flags.StringVar(&sizes, "sizes", "1000,5000", "virtual servers of the tables that are loaded")
	flags.IntVar(&chosen.realServers, "real-servers", 10, "real servers of each")
	flags.IntVar(&chosen.rounds, "rounds", 3, "how often everything is measured; one change 20 times as often")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	for _, text := range strings.Split(sizes, ",") {
		size, err := strconv.Atoi(text)
		if err != nil || size < 1 || size > maxVirtualServers || chosen.realServers < 1 || chosen.realServers > hosts || chosen.rounds < 1 {
			return fmt.Errorf("sizes are 1 … %d, real servers 1 … %d, rounds at least 1", maxVirtualServers, hosts)
		}
		chosen.sizes = append(chosen.sizes, size)
	}
	chosen.changes = 20 * chosen.rounds
	debug.SetGCPercent(-1) // see settle
	fmt.Printf("Linux %s, %d rounds; medians of wall time [least … most]\n", release(), chosen.rounds)
	if err := inNamespace(loadModules); err != nil {
		return err
	}
	for _, size := range chosen.sizes {
		if err := chosen.loads(size); err != nil {
			return err
		}
	}
	return chosen.oneChange(100, 5000)
}

// loadModules has the kernel load what the first competitor would wait for otherwise: once per boot, IPVS takes some and nftables, which
// the helper asks for packet rules, some hundred milliseconds.
func loadModules() error {
	if _, err := nft.New("bench").Read(); err != nil {
		return err
	}
	_, err := bareLoop(makeTable(1, 1))
	return err
}

func release() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "of unknown release"
	}
	return unix.ByteSliceToString(name.Release[:])
}
