package apply

import (
	"errors"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/rawnetlink"
	"ipvs-operator.io/helper/settings"
)

// repeated tries as long as the kernel's refusal says nothing about what was tried, maxRounds times in all. Writes to the table and to
// addresses are not repeated here: converge reads and plans anew before it tries them again.
func repeated(try func() error) error { return repeatedWhen(isTransient, try) }

func repeatedWhen(worthIt func(error) bool, try func() error) error {
	for round := 1; ; round++ {
		err := try()
		if err == nil || round == maxRounds || !worthIt(err) {
			return err
		}
	}
}

// listed is repeated for lists, which begin again by themselves when they contradict themselves or a part was lost.
func listed(try func() error) error {
	return repeatedWhen(func(err error) bool {
		return isTransient(err) && !errors.Is(err, ipvs.ErrOutcomeUnknown) && !errors.Is(err, rawnetlink.ErrInterrupted)
	}, try)
}

// service, services and destinations read the table.
func (e *Engine) service(key ipvs.ServiceKey) (service ipvs.Service, err error) {
	err = repeated(func() (err error) { service, err = e.IPVS.Service(key); return err })
	return service, err
}

func (e *Engine) services() (services []ipvs.Service, err error) {
	err = listed(func() (err error) { services, err = e.IPVS.Services(); return err })
	return services, err
}

func (e *Engine) destinations(key ipvs.ServiceKey) (destinations []ipvs.Destination, err error) {
	err = listed(func() (err error) { destinations, err = e.IPVS.Destinations(key); return err })
	return destinations, err
}

func (e *Engine) observeSettings(wanted settings.Desired) (seen settings.Observed, missing []settings.Problem, err error) {
	err = repeated(func() (err error) { seen, missing, err = settings.Observe(e.Host, wanted); return err })
	return seen, missing, err
}

// executeSetting writes one setting. What an attempt has done without an acknowledgement is done: the kernel stops a sync daemon whose
// thread has not run yet, but its handler says EINTR (kthread_stop), for which netlink_rcv_skb sends no answer. What runs in the end is read
// back by who calls.
func (e *Engine) executeSetting(change settings.Change) error {
	tried := false
	return repeated(func() error {
		err := settings.Execute(e.Host, change)
		gone := change.Kind == settings.StopDaemon && errors.Is(err, unix.ESRCH)
		there := change.Kind == settings.StartDaemon && errors.Is(err, unix.EEXIST) && tried
		tried = true
		if gone || there {
			return nil
		}
		return err
	})
}

// writePackets writes the changes in one batch, which is carried out whole or not at all. What is there is read again before another
// attempt: the acknowledgement may have been lost only.
func (e *Engine) writePackets(state packets.State, changes []packets.Change) error {
	tried := false
	return repeated(func() error {
		if tried {
			var err error
			if state, err = e.readPackets(); err != nil {
				return err
			}
		}
		tried = true
		return e.Packets.Write(state, state.With(changes))
	})
}
