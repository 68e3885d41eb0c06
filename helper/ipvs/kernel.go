package ipvs

import (
	"errors"

	"ipvs-operator.io/helper/rawnetlink"
)

// Kernel is one network namespace's IPVS table. Errors carry the kernel's errno (a unix.Errno under errors.As).
//
// There is no flush and never will be: nothing in this project empties a table.
type Kernel interface {
	// Services dumps all virtual servers, in the kernel's order, without duplicates.
	Services() ([]Service, error)
	// Service reads one virtual server; ESRCH when it does not exist.
	Service(key ServiceKey) (Service, error)
	// Destinations dumps the real servers of one virtual server, in the kernel's order, without duplicates. For a missing
	// virtual server it succeeds with nothing, as the kernel does: ask Service to tell the two apart.
	Destinations(key ServiceKey) ([]Destination, error)
	// Execute carries out the operations in order and returns one result for each: nil, the errno, or an error that wraps
	// ErrOutcomeUnknown when the answer was lost. A failure does not stop those behind it.
	Execute(operations []Operation) []error
	// Probe reads nothing but the protocol's version: nil when the table can be used, ErrNoFamily or EPERM when not.
	Probe() error
	// Close releases the kernel's resources.
	Close() error
}

// ErrOutcomeUnknown says that an operation may or may not have been carried out: its acknowledgement was lost
// (ENOBUFS, timeout). Read again to learn which.
var ErrOutcomeUnknown = rawnetlink.ErrOutcomeUnknown

// ErrNoFamily says that the kernel has no IPVS: the module is neither loaded nor loadable.
var ErrNoFamily = errors.New("the kernel has no generic netlink family IPVS")

// OperationKind is a command of the IPVS family (IPVS_CMD_*) that changes something.
type OperationKind uint8

// The operations.
const (
	NewService        OperationKind = 1
	SetService        OperationKind = 2
	DeleteService     OperationKind = 3
	NewDestination    OperationKind = 5
	SetDestination    OperationKind = 6
	DeleteDestination OperationKind = 7
)

// Operation is one netlink message that changes the table: atomic, and independent of its neighbours in a batch.
// Destination is unused by operations on services; operations on destinations use only the key of Service.
type Operation struct {
	Kind        OperationKind
	Service     Service
	Destination Destination
}
