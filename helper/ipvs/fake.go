package ipvs

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Fake is an IPVS table in memory. It keeps state and refuses nonsense with the errnos of a 6.1 kernel; the contract suite
// runs on it and on real kernels. Safe for concurrent use.
type Fake struct {
	// Schedulers that can be loaded; NewFake fills in those of Debian 12's kernel.
	Schedulers map[string]bool
	// Unprivileged makes it answer as to a caller without CAP_NET_ADMIN.
	Unprivileged bool
	// WithoutTunnelTypes makes it a kernel before 5.2: it ignores the attributes of a tunnel, and stores plain ipip.
	WithoutTunnelTypes bool
	// SyncDaemon says that one runs: no real server of another family than its virtual server's then.
	SyncDaemon bool
	// PersistenceEngines that can be loaded; NewFake knows sip.
	PersistenceEngines map[string]bool

	settings fakeSettings
	mutex    sync.Mutex
	services []fakeService // head first: the kernel inserts at the head of its hash chains
}

type fakeService struct {
	Service
	destinations []Destination // head first: the kernel inserts at the head of the list
}

// NewFake is an empty table of a kernel with every scheduler of Debian 12 (no twos).
func NewFake() *Fake {
	schedulers := map[string]bool{}
	for _, name := range []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf"} {
		schedulers[name] = true
	}
	return &Fake{Schedulers: schedulers, PersistenceEngines: map[string]bool{"sip": true}}
}

// Services implements Kernel.
func (f *Fake) Services() ([]Service, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.Unprivileged {
		return nil, unix.EPERM
	}
	var services []Service
	for _, service := range f.services {
		services = append(services, service.Service)
	}
	return services, nil
}

// Service implements Kernel.
func (f *Fake) Service(key ServiceKey) (Service, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.Unprivileged {
		return Service{}, unix.EPERM
	}
	if service := f.find(key); service != nil {
		return service.Service, nil
	}
	return Service{}, unix.ESRCH
}

// Destinations implements Kernel.
func (f *Fake) Destinations(key ServiceKey) ([]Destination, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.Unprivileged {
		return nil, unix.EPERM
	}
	if service := f.find(key); service != nil {
		return slices.Clone(service.destinations), nil
	}
	return nil, nil
}

// Execute implements Kernel.
func (f *Fake) Execute(operations []Operation) []error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	results := make([]error, len(operations))
	for index, operation := range operations {
		results[index] = f.execute(operation)
	}
	return results
}

// Probe implements Kernel.
func (f *Fake) Probe() error {
	_, err := f.Info()
	return err
}

// Close implements Kernel.
func (f *Fake) Close() error { return nil }

// Count sets the connections and counters of a destination, which traffic would do in a kernel.
func (f *Fake) Count(service ServiceKey, destination DestinationKey, connections Connections, stats Stats) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	found := f.find(service)
	if found == nil {
		return
	}
	if index := found.indexOf(destination); index >= 0 {
		found.destinations[index].Connections = connections
		found.destinations[index].Stats = stats
	}
}

func (f *Fake) find(key ServiceKey) *fakeService {
	index := f.indexOf(key)
	if index < 0 {
		return nil
	}
	return &f.services[index]
}

func (f *Fake) indexOf(key ServiceKey) int {
	return slices.IndexFunc(f.services, func(service fakeService) bool { return service.ServiceKey == key })
}

func (s *fakeService) indexOf(key DestinationKey) int {
	return slices.IndexFunc(s.destinations, func(destination Destination) bool { return destination.DestinationKey == key })
}

func (f *Fake) execute(operation Operation) error {
	if f.Unprivileged {
		return unix.EPERM
	}
	switch operation.Kind {
	case NewService, SetService:
		return f.writeService(operation)
	case DeleteService:
		index := f.indexOf(operation.Service.ServiceKey)
		if index < 0 {
			return unix.ESRCH
		}
		f.services = slices.Delete(f.services, index, index+1)
		return nil
	case NewDestination, SetDestination, DeleteDestination:
		return f.writeDestination(operation)
	}
	return unix.EOPNOTSUPP
}

func (f *Fake) writeService(operation Operation) error {
	existing := f.find(operation.Service.ServiceKey)
	switch {
	case operation.Kind == NewService && existing != nil:
		return unix.EEXIST
	case operation.Kind == SetService && existing == nil:
		return unix.ESRCH
	}
	if err := checkService(operation.Service, f.Schedulers, f.PersistenceEngines); err != nil {
		return err
	}
	stored := operation.Service
	stored.Flags |= FlagHashed
	stored.Stats = Stats{}
	if existing != nil {
		stored.Stats = existing.Stats
		existing.Service = stored
		return nil
	}
	f.services = slices.Insert(f.services, 0, fakeService{Service: stored})
	return nil
}

func (f *Fake) writeDestination(operation Operation) error {
	service := f.find(operation.Service.ServiceKey)
	if service == nil {
		return unix.ESRCH
	}
	index := service.indexOf(operation.Destination.DestinationKey)
	if operation.Kind == DeleteDestination {
		if index < 0 {
			return unix.ENOENT
		}
		service.destinations = slices.Delete(service.destinations, index, index+1)
		return nil
	}
	if err := checkDestination(service.ServiceKey, operation.Destination); err != nil {
		return err
	}
	if f.SyncDaemon && FamilyOf(operation.Destination.Address) != service.Family {
		return unix.EINVAL
	}
	switch {
	case operation.Kind == NewDestination && index >= 0:
		return unix.EEXIST
	case operation.Kind == SetDestination && index < 0:
		return unix.ENOENT
	}
	stored := operation.Destination
	stored.Connections, stored.Stats = Connections{}, Stats{}
	if stored.ForwardingMethod != Tunneling || f.WithoutTunnelTypes {
		stored.Tunnel = Tunnel{}
	}
	if index >= 0 {
		stored.Connections, stored.Stats = service.destinations[index].Connections, service.destinations[index].Stats
		service.destinations[index] = stored
		return nil
	}
	service.destinations = slices.Insert(service.destinations, 0, stored)
	return nil
}
