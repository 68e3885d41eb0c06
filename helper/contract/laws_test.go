package contract

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/desired"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// Random tables per law: enough on the fake to meet every overlap of the small universe within seconds; fewer
// in a virtual machine, which is slow. IPVS_CONTRACT_TABLES and IPVS_CONTRACT_SEED override.
func forRandomTables(t *testing.T, law func(t *testing.T, w *world, random *rand.Rand)) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		tables := setting(t, "IPVS_CONTRACT_TABLES", 1500)
		if os.Getenv("IPVS_CONTRACT_KERNEL") == "1" {
			tables = setting(t, "IPVS_CONTRACT_TABLES", 60)
		}
		seed := setting(t, "IPVS_CONTRACT_SEED", 1)
		for number := range tables {
			random := rand.New(rand.NewPCG(seed, number))
			if !w.real {
				w = fakeWorld(w.stateDir)
			}
			law(t, w, random)
			w.clear(t)
			if t.Failed() {
				t.Fatalf("table %d of seed %d", number, seed)
			}
		}
	})
}

func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

// clear empties the test's own namespace for the next table, entry by entry.
func (w *world) clear(t *testing.T) {
	t.Helper()
	for key := range w.snapshot(t) {
		w.must(t, ipvs.Operation{Kind: ipvs.DeleteService, Service: ipvs.Service{ServiceKey: key}})
	}
	for _, vip := range vips {
		_ = w.addresses.Delete(onLo(vip))
	}
}

// snapshot reads the whole table past the engine.
func (w *world) snapshot(t *testing.T) map[ipvs.ServiceKey]table.VirtualServer {
	t.Helper()
	services, err := w.ipvs.Services()
	if err != nil {
		t.Fatal(err)
	}
	result := map[ipvs.ServiceKey]table.VirtualServer{}
	for _, service := range services {
		destinations, err := w.ipvs.Destinations(service.ServiceKey)
		if err != nil {
			t.Fatal(err)
		}
		result[service.ServiceKey] = table.New(service, destinations)
	}
	return result
}

// isExactly compares the owner's part of the kernel's table, and its VIPs, with what was asked for.
func (w *world) isExactly(t *testing.T, wanted []wire.VirtualServer) {
	t.Helper()
	left := w.snapshot(t)
	wantedAddresses := map[string]bool{}
	for _, sent := range wanted {
		virtualServer, err := desired.Parse(sent)
		if err != nil {
			t.Fatal(err)
		}
		if got, exists := left[virtualServer.ServiceKey]; !exists || !table.Same(got, virtualServer) {
			t.Errorf("%s is %+v, wanted %+v", virtualServer.ServiceKey, got, virtualServer)
		}
		delete(left, virtualServer.ServiceKey)
		wantedAddresses[sent.Address] = true
	}
	for key := range left {
		if slices.Contains(vips, key.Address.String()) {
			t.Errorf("%s exists, and was not wanted", key)
		}
	}
	for _, vip := range vips {
		if held := w.holds(t, vip); held != wantedAddresses[vip] {
			t.Errorf("address %s is held: %t", vip, held)
		}
	}
}

func (w *world) holds(t *testing.T, vip string) bool {
	t.Helper()
	held, err := w.addresses.Held("lo", []netip.Addr{onLo(vip).Address})
	if err != nil {
		t.Fatal(err)
	}
	return held[onLo(vip).Address]
}

// From any table to any other: read = wanted; again = no write; what is foreign is as it was.
func TestLawConvergence(t *testing.T) {
	forRandomTables(t, func(t *testing.T, w *world, random *rand.Rand) {
		w.must(t, randomForeign(random)...)
		foreign := w.snapshot(t)
		d := newDirector(t, w)
		for range 2 {
			wanted := randomTable(random)
			answer := d.all(t, wanted...)
			if len(answer.Errors) > 0 || len(answer.Failed) > 0 || answer.Writes != len(answer.Changes) {
				t.Errorf("answer %+v", answer)
			}
			w.isExactly(t, wanted)
			slices.Reverse(wanted)
			if again := d.all(t, wanted...); again.Writes != 0 || again.TableHash != answer.TableHash {
				t.Errorf("again: %+v", again)
			}
		}
		for key, before := range foreign {
			if after := w.snapshot(t)[key]; !reflect.DeepEqual(before, after) {
				t.Errorf("foreign %s was %+v and is %+v", key, before, after)
			}
		}
	})
}

// The order of what is sent does not matter, down to the order in which real servers are added.
func TestLawOrderOfInput(t *testing.T) {
	forRandomTables(t, func(t *testing.T, w *world, random *rand.Rand) {
		wanted := randomTable(random)
		first := newDirector(t, w)
		one := first.all(t, wanted...)
		w.clear(t)
		random.Shuffle(len(wanted), func(i, j int) { wanted[i], wanted[j] = wanted[j], wanted[i] })
		for _, virtualServer := range wanted {
			slices.Reverse(virtualServer.RealServers)
		}
		other := newDirector(t, w).all(t, wanted...)
		if !reflect.DeepEqual(one, other) {
			t.Errorf("one order gives %+v, another %+v", one, other)
		}
	})
}

// With scope listed, the rest is as it was; in the end the table is the same as if everything had been sent.
func TestLawScopeListed(t *testing.T) {
	forRandomTables(t, func(t *testing.T, w *world, random *rand.Rand) {
		d := newDirector(t, w)
		start, target := randomTable(random), randomTable(random)
		d.all(t, start...)
		final := map[wire.Key]wire.VirtualServer{}
		for _, virtualServer := range start {
			final[virtualServer.Key] = virtualServer
		}
		var answer wire.ApplyResult
		for _, virtualServer := range target {
			before := w.snapshot(t)
			var absent []wire.Key
			for key := range final {
				if key != virtualServer.Key && random.IntN(5) == 0 {
					absent = append(absent, key)
					delete(final, key)
				}
			}
			final[virtualServer.Key] = virtualServer
			answer = d.listed(t, list(virtualServer), absent...)
			untouched(t, before, w.snapshot(t), append(absent, virtualServer.Key))
		}
		var wanted []wire.VirtualServer
		for _, virtualServer := range final {
			wanted = append(wanted, virtualServer)
		}
		w.isExactly(t, wanted)
		if whole := d.all(t, wanted...); whole.Writes != 0 || len(target) > 0 && (whole.TableHash != answer.TableHash || whole.Counts != answer.Counts) {
			t.Errorf("listed said %s %+v, the whole is %+v", answer.TableHash, answer.Counts, whole)
		}
	})
}

func untouched(t *testing.T, before, after map[ipvs.ServiceKey]table.VirtualServer, touched []wire.Key) {
	t.Helper()
	for _, key := range touched {
		parsed, err := desired.ParseKey(key)
		if err != nil {
			t.Fatal(err)
		}
		delete(before, parsed)
		delete(after, parsed)
	}
	if !reflect.DeepEqual(before, after) {
		t.Errorf("what was not listed was %+v and is %+v", before, after)
	}
}

// killed is how a test stops an engine between two writes: nothing of it runs on but what frees the lock, as when the
// process dies.
type killed struct{}

// mortal dies before write number left+1.
type mortal struct {
	ipvs.Kernel
	left int
}

func (m *mortal) live() {
	if m.left == 0 {
		panic(killed{})
	}
	m.left--
}

func (m *mortal) Execute(operations []ipvs.Operation) []error {
	var results []error
	for _, operation := range operations {
		m.live()
		results = append(results, m.Kernel.Execute([]ipvs.Operation{operation})...)
	}
	return results
}

// mortalAddresses shares the life of a mortal.
type mortalAddresses struct {
	address.Kernel
	life *mortal
}

func (m mortalAddresses) Add(assigned address.Assigned) error {
	m.life.live()
	return m.Kernel.Add(assigned)
}

func (m mortalAddresses) Delete(assigned address.Assigned) error {
	m.life.live()
	return m.Kernel.Delete(assigned)
}

// Killed after any number of writes: the next session converges, everything is still ours, and nothing that stays was gone.
func TestLawInterruption(t *testing.T) {
	forRandomTables(t, func(t *testing.T, w *world, random *rand.Rand) {
		d := newDirector(t, w)
		start, target := randomTable(random), randomTable(random)
		d.all(t, start...)
		planned := d.apply(t, d.engine, wire.Apply{Fence: d.fence, DryRun: true, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: target})
		if len(planned.Changes) == 0 {
			return
		}
		d.dieAfter(random.IntN(len(planned.Changes)), wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: target})
		between := w.snapshot(t)
		for _, virtualServer := range target {
			key, err := desired.ParseKey(virtualServer.Key)
			if err != nil {
				t.Fatal(err)
			}
			if _, exists := between[key]; !exists && slices.ContainsFunc(start, func(other wire.VirtualServer) bool { return other.Key == virtualServer.Key }) {
				t.Errorf("%s stays, and was gone in between", key)
			}
		}
		d.engine = d.newEngine("prod")
		if answer := d.all(t, target...); len(answer.Errors) > 0 {
			t.Errorf("after the interruption: %+v", answer)
		}
		w.isExactly(t, target)
		if answer := d.all(t); len(answer.Errors) > 0 || answer.Counts.Orphans != 0 {
			t.Errorf("taking all away: %+v", answer)
		}
		w.isExactly(t, nil)
	})
}

func (d *director) dieAfter(writes int, request wire.Apply) {
	engine := d.newEngine("prod")
	life := &mortal{Kernel: d.ipvs, left: writes}
	engine.IPVS, engine.Addresses = life, mortalAddresses{d.addresses, life}
	defer func() {
		if cause := recover(); cause != nil {
			if _, expected := cause.(killed); !expected {
				panic(cause)
			}
		}
	}()
	engine.Apply(request)
}
