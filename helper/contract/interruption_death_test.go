package contract

import (
	"fmt"
	"os"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/settings"
)

// death counts the writes of an engine to the kernel, one message each, and ends it after some.
type death struct {
	left    int
	written string
	// pause lets the reader look before the next write.
	pause func()
	kill  func()
}

func (e *death) write(what string, do func() error) error {
	if e.left == 0 {
		e.kill()
	}
	file, err := os.OpenFile(e.written, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(file, what)
		_ = file.Close()
	}
	if err != nil {
		return err
	}
	err = do()
	e.pause()
	if e.left--; e.left == 0 {
		e.kill()
	}
	return err
}

// engine is the director's, as serve and apply put it together, with this death between it and the kernel.
func (e *death) engine(d *director) *apply.Engine {
	engine := d.newEngine("prod")
	engine.IPVS, engine.Addresses = dyingTable{engine.IPVS, e}, dyingAddresses{engine.Addresses, e}
	engine.Host, engine.Packets = dyingSettings{engine.Host, e}, dyingPackets{engine.Packets, e}
	return engine
}

type dyingTable struct {
	ipvs.Kernel
	death *death
}

var operationNames = map[ipvs.OperationKind]string{ipvs.NewService: "new service", ipvs.SetService: "set service", ipvs.DeleteService: "delete service",
	ipvs.NewDestination: "new destination", ipvs.SetDestination: "set destination", ipvs.DeleteDestination: "delete destination"}

// Execute sends what would be a batch one by one: a process can be killed after a batch only, which is less than this.
func (d dyingTable) Execute(operations []ipvs.Operation) []error {
	results := make([]error, len(operations))
	for index, operation := range operations {
		what := fmt.Sprintf("%s %s", operationNames[operation.Kind], operation.Service.ServiceKey)
		if operation.Kind >= ipvs.NewDestination {
			what += fmt.Sprintf(" %s weight %d", operation.Destination.DestinationKey, operation.Destination.Weight)
		}
		results[index] = d.death.write(what, func() error { return d.Kernel.Execute([]ipvs.Operation{operation})[0] })
	}
	return results
}

type dyingAddresses struct {
	address.Kernel
	death *death
}

func (d dyingAddresses) Add(assigned ...address.Assigned) []error {
	return eachAddress(assigned, func(each address.Assigned) error {
		return d.death.write("add address "+each.String(), func() error { return d.Kernel.Add(each)[0] })
	})
}

func (d dyingAddresses) Delete(assigned ...address.Assigned) []error {
	return eachAddress(assigned, func(each address.Assigned) error {
		return d.death.write("delete address "+each.String(), func() error { return d.Kernel.Delete(each)[0] })
	})
}

// eachAddress makes of a batch of addresses as many calls.
func eachAddress(assigned []address.Assigned, do func(address.Assigned) error) []error {
	results := make([]error, len(assigned))
	for index, each := range assigned {
		results[index] = do(each)
	}
	return results
}

type dyingPackets struct {
	packets.Kernel
	death *death
}

func (d dyingPackets) Write(before, after packets.State) error {
	return d.death.write(fmt.Sprintf("packet rules of %d virtual servers", len(after.Rules)), func() error { return d.Kernel.Write(before, after) })
}

type dyingSettings struct {
	settings.Kernel
	death *death
}

func (d dyingSettings) SetSysctl(name, value string) error {
	return d.death.write("set "+name, func() error { return d.Kernel.SetSysctl(name, value) })
}

func (d dyingSettings) SetTimeouts(timeouts ipvs.Timeouts) error {
	return d.death.write("set timeouts", func() error { return d.Kernel.SetTimeouts(timeouts) })
}
