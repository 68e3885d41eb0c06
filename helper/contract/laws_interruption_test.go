package contract

import (
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/desired"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/wire"
)

// killed is how a test stops an engine between two writes: nothing of it runs on but what frees the lock, as when the
// process dies.
type killed struct{}

// mortal dies before write number left+1; or, when it is sick, has every write from then on refused for want of memory.
type mortal struct {
	ipvs.Kernel
	left int
	sick bool
}

func (m *mortal) live() error {
	if m.left == 0 && m.sick {
		return unix.ENOMEM
	}
	if m.left == 0 {
		panic(killed{})
	}
	m.left--
	return nil
}

func (m *mortal) Execute(operations []ipvs.Operation) []error {
	results := make([]error, len(operations))
	for index := range operations {
		if results[index] = m.live(); results[index] == nil {
			results[index] = m.Kernel.Execute(operations[index : index+1])[0]
		}
	}
	return results
}

// mortalAddresses shares the life of a mortal.
type mortalAddresses struct {
	address.Kernel
	life *mortal
}

func (m mortalAddresses) Add(assigned ...address.Assigned) []error {
	return m.while(assigned, m.Kernel.Add)
}

func (m mortalAddresses) Delete(assigned ...address.Assigned) []error {
	return m.while(assigned, m.Kernel.Delete)
}

// while carries out one after the other what would be a batch, as long as there is life.
func (m mortalAddresses) while(assigned []address.Assigned, do func(...address.Assigned) []error) []error {
	return eachAddress(assigned, func(each address.Assigned) error {
		if err := m.life.live(); err != nil {
			return err
		}
		return do(each)[0]
	})
}

// mortalPackets shares the life of a mortal. A batch is one write: it is carried out whole or not at all.
type mortalPackets struct {
	packets.Kernel
	life *mortal
}

func (m mortalPackets) Write(before, after packets.State) error {
	if err := m.life.live(); err != nil {
		return err
	}
	return m.Kernel.Write(before, after)
}

// Killed, or refused, after any number of writes: the next session converges, everything is still ours, and nothing that stays
// was gone.
func TestLawInterruption(t *testing.T) {
	forRandomTables(t, func(t *testing.T, d *lawful, random *rand.Rand) {
		start, target := randomTable(random), randomTable(random)
		d.all(t, start...)
		request := wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: target}
		dryRun := request
		dryRun.DryRun = true
		planned := d.apply(t, d.engine, dryRun)
		if len(planned.Changes) == 0 {
			return
		}
		d.interrupt(&mortal{Kernel: d.ipvs, left: random.IntN(len(planned.Changes)), sick: oneIn(random, 2)}, request)
		between := d.snapshot(t)
		for _, virtualServer := range target {
			key, err := desired.ParseKey(virtualServer.Key)
			if err != nil {
				t.Fatal(err)
			}
			if _, exists := between[key]; !exists && slices.ContainsFunc(start, func(other wire.VirtualServer) bool { return other.Key == virtualServer.Key }) {
				t.Errorf("%s stays, and was gone in between", key)
			}
		}
		d.engine = d.session()
		if answer := d.all(t, target...); len(answer.Errors) > 0 {
			t.Errorf("after the interruption: %+v", answer)
		}
		d.isExactly(t, target)
		if answer := d.all(t); len(answer.Errors) > 0 || answer.Counts.Orphans != 0 {
			t.Errorf("taking all away: %+v", answer)
		}
		d.isExactly(t, nil)
	})
}

// interrupt lets a session carry the request out as far as its life goes.
func (d *lawful) interrupt(life *mortal, request wire.Apply) {
	engine := d.session()
	engine.IPVS, engine.Addresses, engine.Packets = life, mortalAddresses{d.addresses, life}, mortalPackets{d.packets("prod"), life}
	defer func() {
		if cause := recover(); cause != nil {
			if _, expected := cause.(killed); !expected {
				panic(cause)
			}
		}
	}()
	engine.Apply(request)
}
