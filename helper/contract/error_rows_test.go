package contract

import (
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// What the operator is told when the kernel answers a change with an errno, and goes on answering so: class and errno, about the virtual
// server. (What the kernels answer to what is in errors_test.go; README.md has the table.)
func TestErrorRowsReachTheOperator(t *testing.T) {
	for _, row := range []struct {
		name  string
		kind  ipvs.OperationKind
		errno unix.Errno
		class wire.Class
	}{
		{"new service that exists", ipvs.NewService, unix.EEXIST, wire.ClassRetry}, // it is not there when read again
		{"new destination that exists", ipvs.NewDestination, unix.EEXIST, wire.ClassRetry},
		{"set service that is missing", ipvs.SetService, unix.ESRCH, wire.ClassRetry},
		{"delete service that is missing", ipvs.DeleteService, unix.ESRCH, wire.ClassRetry},
		{"new destination of a missing service", ipvs.NewDestination, unix.ESRCH, wire.ClassRetry},
		{"set destination of a missing service", ipvs.SetDestination, unix.ESRCH, wire.ClassRetry},
		{"delete destination of a missing service", ipvs.DeleteDestination, unix.ESRCH, wire.ClassRetry},
		{"set destination that is missing", ipvs.SetDestination, unix.ENOENT, wire.ClassRetry},
		{"delete destination that is missing", ipvs.DeleteDestination, unix.ENOENT, wire.ClassRetry},
		{"unknown scheduler of a new service", ipvs.NewService, unix.ENOENT, wire.ClassPermanent},
		{"unknown scheduler of a service", ipvs.SetService, unix.ENOENT, wire.ClassPermanent},
		{"invalid service", ipvs.NewService, unix.EINVAL, wire.ClassObject},
		{"invalid destination", ipvs.NewDestination, unix.EINVAL, wire.ClassObject},
		{"weight or thresholds out of range", ipvs.SetDestination, unix.ERANGE, wire.ClassObject},
		{"family that the kernel lacks", ipvs.NewService, unix.EAFNOSUPPORT, wire.ClassPermanent},
		{"caller without CAP_NET_ADMIN", ipvs.DeleteDestination, unix.EPERM, wire.ClassPermanent},
		{"no buffers", ipvs.SetService, unix.ENOBUFS, wire.ClassRetry},
		{"no memory", ipvs.NewDestination, unix.ENOMEM, wire.ClassRetry},
		{"busy", ipvs.DeleteService, unix.EBUSY, wire.ClassRetry},
	} {
		t.Run(row.name, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				stays, goes, comes := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22"), virtualServer("203.0.113.10", 81, "192.0.2.21"), virtualServer("203.0.113.10", 82)
				d.all(t, stays, goes)
				changed := virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.23")
				changed.Scheduler, changed.RealServers[0].Weight = "rr", 5
				d.engine.IPVS = &meddler{Kernel: d.ipvs, answer: func(operation ipvs.Operation) error {
					if operation.Kind == row.kind {
						return row.errno
					}
					return nil
				}}
				key := map[ipvs.OperationKind]wire.Key{ipvs.NewService: comes.Key, ipvs.DeleteService: goes.Key}[row.kind]
				object := "TCP " + endpoint(key.Address, "82")
				switch row.kind {
				case ipvs.DeleteService:
					object = "TCP 203.0.113.10:81"
				case ipvs.NewService:
				default:
					key, object = changed.Key, "TCP 203.0.113.10:80"
				}
				answer := d.listed(t, list(changed, comes), goes.Key)
				refused(t, answer, row.class, object, "", key)
				if answer.Errors[0].Errno != unix.ErrnoName(row.errno) {
					t.Errorf("errno %q", answer.Errors[0].Errno)
				}
				d.engine.IPVS = d.ipvs
				if after := d.listed(t, list(changed, comes), goes.Key); len(after.Errors)+len(after.Failed) > 0 || after.Counts.VirtualServers != 2 {
					t.Errorf("when the kernel no longer refuses: %+v", after)
				}
			})
		})
	}
}
