package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// Names of what is measured, as the report prints them.
const (
	whole      = "helper, whole request"
	writes     = "helper, its writes alone"
	bare       = "bare netlink loop"
	restore    = "ipvsadm -R"
	again      = "helper, the same request again"
	digest     = "helper, read digest"
	save       = "ipvsadm -Sn"
	peakHelper = "helper"
	peakOther  = "ipvsadm -R"
)

// loads measures filling an empty table, and verifying the full one.
func (p plan) loads(size int) error {
	table := makeTable(size, p.realServers)
	body, err := request(wire.ScopeAll, table.virtualServers)
	if err != nil {
		return err
	}
	times, memory := samples{}, map[string]uint64{}
	competitors := []func() error{
		func() error { return p.measureHelper(table, body, times, memory) },
		func() error { return measureWrites(table, times) },
		func() error { return measureBare(table, times) },
		func() error { return measureRestore(table, times, memory) },
	}
	for round := range p.rounds {
		for index := range competitors { // each is first as often as the others
			if err := inNamespace(competitors[(round+index)%len(competitors)]); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\nfull load, %d virtual servers × %d real servers: %d IPVS messages, and %d addresses (ipvsadm has none to add)\n", size, p.realServers, len(table.operations), len(table.addresses))
	times.print(whole, writes, bare, restore)
	times.printRatio(inKernel(whole), inKernel(bare), "what the kernel alone costs, reading back included", nil)
	times.printRatio(restore, whole, "goal at least 3", func(ratio float64) bool { return ratio >= 3 })
	times.printRatio(whole, bare, "goal at most 1.3", func(ratio float64) bool { return ratio <= 1.3 })
	times.printRatio(writes, bare, "", nil)
	fmt.Printf("verification of that table, nothing to write\n")
	times.print(again, digest, save)
	times.printRatio(again, save, "", nil)
	times.printRatio(digest, save, "", nil)
	fmt.Printf("peak memory: helper %d MB, ipvsadm -R %d MB\n", memory[peakHelper]>>20, memory[peakOther]>>20)
	return nil
}

func (p plan) measureHelper(table testTable, body []byte, times samples, memory map[string]uint64) error {
	session, err := startHelper(p.helper)
	if err != nil {
		return err
	}
	defer session.stop()
	took, err := session.apply(body, len(table.operations)+len(table.addresses))
	if err != nil {
		return err
	}
	times.add(whole, took)
	if took, err = checkRules(table); err != nil {
		return fmt.Errorf("after the helper: %w", err)
	}
	times.add(save, took)
	if took, err = session.apply(body, 0); err != nil {
		return err
	}
	times.add(again, took)
	if _, took, err = session.ask([]byte(`{"id":2,"op":"read","what":"digest"}`)); err != nil {
		return err
	}
	times.add(digest, took)
	peak, err := peakOf(session.process.Process)
	memory[peakHelper] = max(memory[peakHelper], peak)
	return err
}

// measureWrites uses the helper's own code for writing, without decoding, planning, recording, reading back and answering.
func measureWrites(table testTable, times samples) error {
	kernel, addresses := ipvs.NewNetlink(), address.NewNetlink()
	defer func() { _, _ = kernel.Close(), addresses.Close() }()
	took, err := measure(func() error {
		failures := kernel.Execute(table.operations)
		return errors.Join(append(failures, addresses.Add(table.addresses...)...)...)
	})
	times.add(writes, took)
	return err
}

func measureBare(table testTable, times samples) error {
	took, err := bareLoop(table)
	if err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	times.add(bare, took)
	_, err = checkRules(table)
	return err
}

func measureRestore(table testTable, times samples, memory map[string]uint64) error {
	var output bytes.Buffer
	process := exec.Command("ipvsadm", "-R")
	process.Stdout, process.Stderr = &output, &output
	input, err := process.StdinPipe()
	if err != nil {
		return err
	}
	settle()
	start := time.Now()
	if err := process.Start(); err != nil {
		return err
	}
	_, failure := io.WriteString(input, table.rules)
	peak, err := peakOf(process.Process) // all but the last lines are done: the pipe holds 64 KiB
	if err := errors.Join(failure, err, input.Close(), process.Wait()); err != nil {
		return fmt.Errorf("ipvsadm -R: %w: %s", err, output.String())
	}
	times.add(restore, spent{time.Since(start), process.ProcessState.SystemTime()})
	memory[peakOther] = max(memory[peakOther], peak)
	_, err = checkRules(table)
	return err
}

// checkRules asks ipvsadm whether the table is what was asked for, and tells how long ipvsadm took.
func checkRules(table testTable) (spent, error) {
	var printed bytes.Buffer
	process := exec.Command("ipvsadm", "-Sn")
	process.Stdout = &printed
	settle()
	start := time.Now()
	if err := process.Run(); err != nil {
		return spent{}, fmt.Errorf("ipvsadm -Sn: %w", err)
	}
	took := spent{time.Since(start), process.ProcessState.SystemTime()}
	if !sameRules(printed.String(), table.rules) {
		return spent{}, errors.New("ipvsadm -Sn prints another table than was asked for")
	}
	return took, nil
}
