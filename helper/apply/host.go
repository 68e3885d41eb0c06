package apply

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/ledger"
	"ipvs-operator.io/helper/settings"
	"ipvs-operator.io/helper/wire"
)

// planHost reads the settings that the request is about and says what differs. What is nonsense, or not granted, is reported
// and left as it is.
func (e *Engine) planHost(j *job) ([]settings.Change, error) {
	if j.sent.Host == nil {
		return nil, nil
	}
	desired, problems := settings.Parse(*j.sent.Host)
	desired = e.granted(j, desired)
	j.around.wanted = desired
	seen, missing, err := e.observeSettings(desired)
	if err != nil {
		return nil, err
	}
	for _, problem := range append(problems, missing...) {
		j.around.refuse(wire.ClassObject, problem.Object, errors.New(problem.Message))
	}
	changes := settings.Plan(desired, seen)
	return j.withoutForeignDaemons(changes), nil
}

// withoutForeignDaemons refuses to stop a sync daemon on an interface that is not granted: it stays, and so none takes its place.
func (j *job) withoutForeignDaemons(changes []settings.Change) []settings.Change {
	foreign := map[string]bool{}
	for _, change := range changes {
		if err := j.grant.CheckSyncDaemon(change.Daemon.Interface); change.Kind == settings.StopDaemon && err != nil {
			j.around.refuse(wire.ClassCollision, change.Object(), fmt.Errorf("%s runs on interface %s and is someone else's: %w", change.Object(), change.Daemon.Interface, err))
			foreign[change.Object()] = true
		}
	}
	return slices.DeleteFunc(changes, func(change settings.Change) bool { return foreign[change.Object()] })
}

// granted takes out what the host's policy does not grant. A parameter that has its value already needs no grant: the host's
// administrator may have set it himself.
func (e *Engine) granted(j *job, desired settings.Desired) settings.Desired {
	for name, value := range desired.Sysctls {
		err := j.grant.CheckSysctl(name)
		if err == nil {
			continue
		}
		if seen, unread := e.Host.Sysctl(name); unread != nil || !settings.SameSysctl(name, seen, value) {
			j.around.refuse(wire.ClassPolicy, settings.SysctlObject(name), err)
		}
		delete(desired.Sysctls, name)
	}
	if err := j.grant.CheckTimeouts(); desired.Timeouts != nil && err != nil {
		j.around.refuse(wire.ClassPolicy, settings.TimeoutsObject, err)
		desired.Timeouts = nil
	}
	for _, daemon := range desired.Daemons {
		if err := j.grant.CheckSyncDaemon(daemon.Interface); err != nil {
			j.around.refuse(wire.ClassPolicy, settings.DaemonObject(daemon.Role), err)
			desired.Daemons = nil
			break
		}
	}
	return desired
}

// applyHost writes the settings that differ, and reads them back.
func (e *Engine) applyHost(j *job, changes []settings.Change) *wire.Error {
	if len(changes) == 0 {
		return nil
	}
	if err := e.record(j, ledger.Delta{Fence: j.sent.Fence}); err != nil {
		return failure("record the request before writing", err)
	}
	written := 0
	for _, change := range changes {
		if err := e.executeSetting(change); err != nil {
			j.around.errors = append(j.around.errors, explainSetting(change, err))
			continue
		}
		written++
		j.around.before = append(j.around.before, describeSetting(change))
	}
	j.around.writes += written
	if err := e.record(j, ledger.Delta{Writes: uint64(written)}); err != nil {
		return failure("record what was written", err)
	}
	return e.confirmHost(j)
}

// confirmHost reports what the kernel acknowledged and did not keep.
func (e *Engine) confirmHost(j *job) *wire.Error {
	seen, _, err := e.observeSettings(j.around.wanted)
	if err != nil {
		return failure("read back the director's settings", err)
	}
	for _, left := range settings.Plan(j.around.wanted, seen) {
		j.around.refuse(wire.ClassRetry, left.Object(), fmt.Errorf("%s was read back from the kernel other than it was written; still to do: %s", left.Object(), left.Sentence()))
	}
	return nil
}

// explainSetting makes the refusal that the operator reads out of what the kernel answered.
func explainSetting(change settings.Change, err error) wire.Error {
	errno, known := errnoOf(err)
	refusal := wire.Error{Class: wire.ClassObject, Object: change.Object(), Message: fmt.Sprintf("%s: %s", change.Sentence(), describe(err))}
	if known {
		refusal.Errno = unix.ErrnoName(errno)
	}
	switch {
	case isTransient(err) || change.Kind == settings.StartDaemon && errno == unix.EEXIST:
		refusal.Class = wire.ClassRetry
	case errno == unix.EPERM || errno == unix.EACCES:
		refusal.Class = wire.ClassPermanent
		refusal.Message += "; give the helper its capabilities: setcap cap_net_admin,cap_net_raw+ep"
	case change.Kind == settings.StartDaemon && errno == unix.ENODEV:
		refusal.Class = wire.ClassPermanent
		refusal.Message = fmt.Sprintf("%s: this director has no interface %s: name one that exists", change.Sentence(), change.Daemon.Interface)
	case change.Kind == settings.StartDaemon && errno == unix.EINVAL:
		refusal.Message += ": it runs no sync daemon while a real server has another address family than its virtual server, nor with a group of a family that the interface has no address of"
	}
	return refusal
}

// readHost reads what IPVS says of itself, and all settings that the helper knows and this kernel has.
func (e *Engine) readHost() (*wire.ObservedHost, error) {
	host := &wire.ObservedHost{Sysctls: map[string]string{}, SyncDaemons: []wire.SyncDaemon{}}
	info, err := e.Host.Info()
	if err != nil {
		return nil, err
	}
	host.IPVS = wire.Info{Version: info.Version, ConnectionTableSize: info.ConnectionTableSize}
	for _, name := range settings.SysctlNames {
		value, err := e.Host.Sysctl(settings.SysctlPrefix + name)
		switch {
		case err == nil:
			host.Sysctls[settings.SysctlPrefix+name] = value
		case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES):
			return nil, err
		}
	}
	timeouts, err := e.Host.Timeouts()
	if err != nil {
		return nil, err
	}
	host.Timeouts = wire.Timeouts{TCPSeconds: int64(timeouts.TCP), TCPFinSeconds: int64(timeouts.TCPFin), UDPSeconds: int64(timeouts.UDP)}
	daemons, err := e.Host.Daemons()
	for _, daemon := range daemons {
		host.SyncDaemons = append(host.SyncDaemons, wireDaemon(daemon))
	}
	return host, err
}

func wireDaemon(daemon ipvs.Daemon) wire.SyncDaemon {
	described := wire.SyncDaemon{Role: daemon.Role.String(), Interface: daemon.Interface, SyncID: int64(daemon.SyncID),
		MaxLength: int64(daemon.MaxLength), Port: int64(daemon.Port), TTL: int64(daemon.TTL)}
	if daemon.Group.IsValid() {
		described.Group = daemon.Group.String()
	}
	return described
}
