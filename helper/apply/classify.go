package apply

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/plan"
	"ipvs-operator.io/helper/rawnetlink"
	"ipvs-operator.io/helper/wire"
)

// transient errnos say nothing about the request: the same may succeed a moment later.
var transient = map[unix.Errno]bool{unix.ENOBUFS: true, unix.EBUSY: true, unix.EINTR: true, unix.EAGAIN: true, unix.ENOMEM: true}

// isTransient reports whether reading and planning again may help.
func isTransient(err error) bool {
	errno, known := errnoOf(err)
	return errors.Is(err, ipvs.ErrOutcomeUnknown) || errors.Is(err, rawnetlink.ErrInterrupted) || known && transient[errno]
}

// isStale reports whether the kernel contradicts what was read: someone else has written meanwhile.
func isStale(change plan.Change, err error) bool {
	errno, _ := errnoOf(err)
	switch change.Kind {
	case plan.AddVirtualServer, plan.AddRealServer:
		return errno == unix.EEXIST || change.Kind == plan.AddRealServer && errno == unix.ESRCH
	case plan.EditVirtualServer, plan.DeleteVirtualServer:
		return errno == unix.ESRCH
	case plan.EditRealServer, plan.DeleteRealServer, plan.DrainRealServer, plan.UndrainRealServer:
		return errno == unix.ESRCH || errno == unix.ENOENT
	}
	return false
}

// explain makes the refusal that the operator reads out of what the kernel answered to one change.
func explain(change plan.Change, err error) wire.Error {
	errno, known := errnoOf(err)
	refusal := wire.Error{Class: wire.ClassObject, Object: change.Object(), Message: fmt.Sprintf("%s: %s", change.Sentence(), describe(err))}
	if known {
		refusal.Errno = unix.ErrnoName(errno)
	}
	onService := change.Kind == plan.AddVirtualServer || change.Kind == plan.EditVirtualServer
	onAddress := change.Kind == plan.AddAddress || change.Kind == plan.DeleteAddress
	switch {
	case isTransient(err) || isStale(change, err):
		refusal.Class = wire.ClassRetry
	case errno == unix.EPERM:
		refusal.Class = wire.ClassPermanent
		refusal.Message += "; give the helper its capabilities: setcap cap_net_admin,cap_net_raw+ep"
	case onService && errno == unix.ENOENT && change.Service.PersistenceEngine != "":
		refusal.Class = wire.ClassPermanent
		refusal.Message = fmt.Sprintf("%s: the director's kernel cannot load scheduler %s or persistence engine %s: load their modules (modprobe ip_vs_%s, modprobe ip_vs_pe_%s) or do without",
			change.Sentence(), change.Service.Scheduler, change.Service.PersistenceEngine, change.Service.Scheduler, change.Service.PersistenceEngine)
	case onService && errno == unix.ENOENT:
		refusal.Class = wire.ClassPermanent
		refusal.Message = fmt.Sprintf("%s: the director's kernel cannot load scheduler %s: load its module (modprobe ip_vs_%s) or choose another scheduler",
			change.Sentence(), change.Service.Scheduler, change.Service.Scheduler)
	case errno == unix.EINVAL && isMixed(change):
		refusal.Class = wire.ClassPermanent
		refusal.Message += "; a real server of another address family than the virtual server's is not possible while a sync daemon runs: stop it (ipvsadm --stop-daemon), or use a real server of the same family"
	case onAddress && errno == unix.ENODEV:
		refusal.Class = wire.ClassPermanent
		refusal.Message = fmt.Sprintf("%s: this director has no interface %s: name one that exists", change.Sentence(), change.Address.Interface)
	case errno == unix.EAFNOSUPPORT || errno == unix.EPROTONOSUPPORT || onAddress:
		refusal.Class = wire.ClassPermanent
	}
	return refusal
}

func isMixed(change plan.Change) bool {
	switch change.Kind {
	case plan.AddRealServer, plan.EditRealServer, plan.DrainRealServer, plan.UndrainRealServer:
		return ipvs.FamilyOf(change.Destination.Address) != change.Service.Family
	}
	return false
}

// failure makes the answer to a whole request out of an error of reading, locking or recording.
func failure(doing string, err error) *wire.Error {
	refusal := &wire.Error{Class: wire.ClassPermanent, Message: doing + ": " + describe(err)}
	errno, known := errnoOf(err)
	if known {
		refusal.Errno = unix.ErrnoName(errno)
	}
	switch {
	case isTransient(err):
		refusal.Class = wire.ClassRetry
	case errno == unix.EPERM:
		refusal.Message += "; give the helper its capabilities: setcap cap_net_admin,cap_net_raw+ep"
	case errors.Is(err, ipvs.ErrNoFamily):
		refusal.Message += "; load it: modprobe ip_vs"
	}
	return refusal
}

func errnoOf(err error) (unix.Errno, bool) {
	var errno unix.Errno
	return errno, errors.As(err, &errno)
}

func describe(err error) string {
	if errno, known := errnoOf(err); known && err == error(errno) {
		return fmt.Sprintf("the kernel answers %s (%s)", unix.ErrnoName(errno), errno.Error())
	}
	return err.Error()
}
