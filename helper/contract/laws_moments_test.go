package contract

import (
	"math/rand/v2"
	"testing"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// observer looks at the host after every single write.
type observer struct {
	ipvs.Kernel
	look func(what string)
}

func (o observer) Execute(operations []ipvs.Operation) []error {
	results := make([]error, len(operations))
	for index := range operations {
		results[index] = o.Kernel.Execute(operations[index : index+1])[0]
		o.look(operations[index].Service.ServiceKey.String())
	}
	return results
}

type observedAddresses struct {
	address.Kernel
	look func(what string)
}

func (o observedAddresses) Add(assigned ...address.Assigned) []error {
	return o.each(assigned, o.Kernel.Add)
}

func (o observedAddresses) Delete(assigned ...address.Assigned) []error {
	return o.each(assigned, o.Kernel.Delete)
}

func (o observedAddresses) each(assigned []address.Assigned, do func(...address.Assigned) []error) []error {
	return eachAddress(assigned, func(each address.Assigned) error {
		defer o.look(each.String())
		return do(each)[0]
	})
}

type observedPackets struct {
	packets.Kernel
	look func(what string)
}

func (o observedPackets) Write(before, after packets.State) error {
	defer o.look("packet rules")
	return o.Kernel.Write(before, after)
}

// moments are what must hold between any two writes of an apply.
type moments struct {
	*lawful
	start, target map[ipvs.ServiceKey]table.VirtualServer
	before, after map[ipvs.ServiceKey]packets.Rules
	writes        int
}

func (m *moments) parsedTables(t *testing.T, start, target []wire.VirtualServer) {
	for _, each := range []struct {
		sent   []wire.VirtualServer
		tables *map[ipvs.ServiceKey]table.VirtualServer
		rules  *map[ipvs.ServiceKey]packets.Rules
	}{{start, &m.start, &m.before}, {target, &m.target, &m.after}} {
		*each.tables, *each.rules = map[ipvs.ServiceKey]table.VirtualServer{}, map[ipvs.ServiceKey]packets.Rules{}
		for _, sent := range each.sent {
			virtualServer, rules := parsed(t, sent)
			(*each.tables)[virtualServer.ServiceKey], (*each.rules)[virtualServer.ServiceKey] = virtualServer, rules
		}
	}
}

// look holds the host against the order of design and dataplane 9.1: nothing that stays is ever absent, a VIP is never up without a virtual
// server behind it, and no virtual server is ever open to more clients than before or than wanted.
func (m *moments) look(t *testing.T, wrote string) {
	m.writes++
	now := m.snapshot(t)
	behind := map[string]bool{}
	for key := range now {
		behind[key.Address.String()] = true
	}
	for _, vip := range vips {
		if m.holds(t, vip) && !behind[vip] {
			t.Errorf("after %s: VIP %s is up and has no virtual server", wrote, vip)
		}
	}
	for key, was := range m.start {
		stays, wanted := m.target[key]
		is, exists := now[key]
		if !wanted {
			continue
		}
		if !exists {
			t.Errorf("after %s: %s stays, and is absent", wrote, key)
		}
		for _, destination := range was.Destinations {
			_, wanted := stays.Destination(destination.DestinationKey)
			if _, exists := is.Destination(destination.DestinationKey); wanted && !exists {
				t.Errorf("after %s: real server %s of %s stays, and is absent", wrote, destination.DestinationKey, key)
			}
		}
	}
	state, err := m.packets("prod").Read()
	if err != nil {
		t.Fatal(err)
	}
	for key := range now {
		old, existed := m.before[key]
		wanted, stays := m.after[key]
		if is := state.Rules[key]; !(stays && is.Equal(wanted)) && !(existed && is.Equal(old)) {
			t.Errorf("after %s: packet rules of %s are %s, which are neither those before (%s) nor those wanted (%s)", wrote, key, is, old, wanted)
		}
	}
}

// Between any two writes on the way from any table to any other. On the fake only: which kernel it is does not change what we send it.
func TestLawEveryMoment(t *testing.T) {
	t.Parallel()
	w, seed := fakeWorld(memoryDir(t)), setting(t, "IPVS_CONTRACT_SEED", 1)
	writes := 0
	for number := range setting(t, "IPVS_CONTRACT_TABLES", tablesOnFake) {
		w = fakeWorld(w.stateDir)
		onTable(t, w, seed, number, func(t *testing.T, d *lawful, random *rand.Rand) {
			start, target := randomTable(random), randomTable(random)
			d.all(t, start...)
			m := &moments{lawful: d}
			m.parsedTables(t, start, target)
			look := func(wrote string) { m.look(t, wrote) }
			d.engine.IPVS, d.engine.Addresses = observer{d.ipvs, look}, observedAddresses{d.addresses, look}
			d.engine.Packets = observedPackets{d.packets("prod"), look}
			if answer := d.all(t, target...); len(answer.Errors) > 0 {
				t.Errorf("%+v", answer.Errors)
			}
			writes += m.writes
			d.engine = d.session()
			d.isExactly(t, target)
		})
		if t.Failed() {
			return
		}
	}
	if writes < 1000 {
		t.Errorf("only %d writes were looked at", writes)
	}
}
