package contract

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/desired"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// How many random tables each law meets unless IPVS_CONTRACT_TABLES says so: enough on the fake to meet every overlap of the small
// universe within seconds; fewer in a virtual machine, which is slow. `make test` asks for 10,000 on the fake.
const (
	tablesOnFake   = 500
	tablesOnKernel = 200
)

// forRandomTables runs a law on tables 0, 1 … of IPVS_CONTRACT_SEED, or on table IPVS_CONTRACT_TABLE alone. A table that breaks it
// is named, with what repeats it.
func forRandomTables(t *testing.T, law func(t *testing.T, d *lawful, random *rand.Rand)) {
	otherwise := uint64(tablesOnKernel)
	if os.Getenv("IPVS_CONTRACT_KERNEL") != "1" {
		t.Parallel()
		otherwise = tablesOnFake
	}
	onEveryKernel(t, func(t *testing.T, w *world) {
		first, tables := uint64(0), setting(t, "IPVS_CONTRACT_TABLES", otherwise)
		if os.Getenv("IPVS_CONTRACT_TABLE") != "" {
			first, tables = setting(t, "IPVS_CONTRACT_TABLE", 0), 1
		}
		seed := setting(t, "IPVS_CONTRACT_SEED", 1)
		for number := first; number < first+tables && !t.Failed(); number++ {
			if !w.real {
				w = fakeWorld(w.stateDir)
			}
			onTable(t, w, seed, number, law)
		}
	})
}

func onTable(t *testing.T, w *world, seed, number uint64, law func(t *testing.T, d *lawful, random *rand.Rand)) {
	defer func() {
		cause := recover()
		if t.Failed() || cause != nil {
			t.Errorf("the law is broken by table %d of seed %d; again: IPVS_CONTRACT_SEED=%d IPVS_CONTRACT_TABLE=%d go test ./contract -run '%s'", number, seed, seed, number, t.Name())
		}
		if cause != nil {
			panic(cause)
		}
	}()
	d := newLawful(t, w)
	law(t, d, rand.New(rand.NewPCG(seed, number)))
	d.clear(t)
	_ = os.RemoveAll(d.journalDir)
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

// lawful is a director whose owner may use everything, and whose time the test makes pass.
type lawful struct {
	*director
	now drain.Moment
}

var lawPolicy = strings.Replace(defaultPolicy, `"prod":{`, `"prod":{"host":{"sysctls":["*"]},"firewallMarks":["1-9"],`, 1)

func newLawful(t *testing.T, w *world) *lawful {
	t.Helper()
	d := &lawful{director: newDirector(t, w), now: drainStart}
	d.policy = lawPolicy
	d.engine = d.session()
	if err := d.settings.SetSysctl("net.ipv4.vs.conntrack", "1"); err != nil {
		t.Fatal(err)
	}
	return d
}

// session is a new one, which knows nothing but what is on the host.
func (d *lawful) session() *apply.Engine {
	engine := d.newEngine("prod")
	engine.Now = func() drain.Moment { return d.now }
	return engine
}

// pass lets time go by, and drains end.
func (d *lawful) pass(t *testing.T, elapsed time.Duration) {
	t.Helper()
	d.now.SinceBoot += elapsed
	d.now.Wall = d.now.Wall.Add(elapsed)
	for more := true; more; {
		next, refusal := d.engine.SettleDrains()
		if refusal != nil {
			t.Fatalf("drains cannot go on: %+v", refusal)
		}
		more = next == apply.SettlePause
	}
}

// clear empties the test's own namespace for the next table, entry by entry.
func (d *lawful) clear(t *testing.T) {
	t.Helper()
	for key := range d.snapshot(t) {
		d.must(t, ipvs.Operation{Kind: ipvs.DeleteService, Service: ipvs.Service{ServiceKey: key}})
	}
	for _, vip := range append(slices.Clone(vips), foreignVIP) {
		d.addresses.Delete(onLo(vip))
	}
	rules := d.packets("prod")
	state, err := rules.Read()
	if err == nil && len(state.Rules) > 0 {
		err = rules.Write(state, packets.State{})
	}
	if err != nil {
		t.Fatal(err)
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

// isExactly compares the owner's part of the kernel's table, its VIPs and its packet rules with what was asked for. Only what
// drains, at weight 0, may be there beside it.
func (d *lawful) isExactly(t *testing.T, wanted []wire.VirtualServer) {
	t.Helper()
	left, draining := d.snapshot(t), d.draining(t)
	wantedRules, wantedAddresses := map[ipvs.ServiceKey]packets.Rules{}, map[string]bool{}
	for _, sent := range wanted {
		virtualServer, rules := parsed(t, sent)
		got, exists := left[virtualServer.ServiceKey]
		stays := got.Without(func(key ipvs.DestinationKey) bool {
			leaving, _ := got.Destination(key)
			return leaving.Weight == 0 && draining[drain.Key{VirtualServer: virtualServer.ServiceKey, RealServer: key}]
		})
		if !exists || !table.Same(stays, virtualServer) {
			t.Errorf("%s is %s, wanted %s, draining %v", virtualServer.ServiceKey, fields(got), fields(virtualServer), draining)
		}
		delete(left, virtualServer.ServiceKey)
		wantedAddresses[sent.Address] = true
		if !rules.IsZero() {
			wantedRules[virtualServer.ServiceKey] = rules
		}
	}
	for key := range left {
		if slices.Contains(vips, key.Address.String()) || key.FirewallMark > 0 && key.FirewallMark <= ownMarks {
			t.Errorf("%s exists, and was not wanted", key)
		}
	}
	for _, vip := range vips {
		if held := d.holds(t, vip); held != wantedAddresses[vip] {
			t.Errorf("address %s is held: %t", vip, held)
		}
	}
	d.hasRules(t, wantedRules)
}

// fields names everything a user sets on a virtual server: %+v would print its key only, which prints itself.
func fields(v table.VirtualServer) string {
	text := fmt.Sprintf("(%s flags 0x%x timeout %d prefix %d engine %q:", v.Scheduler, v.Flags, v.Timeout, v.PrefixLength, v.PersistenceEngine)
	for _, destination := range v.Destinations {
		text += fmt.Sprintf(" %s %s weight %d thresholds %d %d tunnel %s,", destination.DestinationKey, destination.ForwardingMethod,
			destination.Weight, destination.UpperThreshold, destination.LowerThreshold, destination.Tunnel)
	}
	return text + ")"
}

func (d *lawful) hasRules(t *testing.T, wanted map[ipvs.ServiceKey]packets.Rules) {
	t.Helper()
	state, err := d.packets("prod").Read()
	if err != nil || state.Damaged {
		t.Fatalf("packet rules are damaged: %t, %v", state.Damaged, err)
	}
	for key, rules := range wanted {
		if !state.Rules[key].Equal(rules) {
			t.Errorf("packet rules of %s: %s, wanted %s", key, state.Rules[key], rules)
		}
	}
	if len(state.Rules) != len(wanted) {
		t.Errorf("packet rules of %d virtual servers, wanted of %d", len(state.Rules), len(wanted))
	}
}

// draining are the real servers of which the ledger says so.
func (d *lawful) draining(t *testing.T) map[drain.Key]bool {
	t.Helper()
	record, err := d.engine.Ledger.Read()
	if err != nil {
		t.Fatal(err)
	}
	result := map[drain.Key]bool{}
	for key := range record.Drains {
		result[key] = true
	}
	return result
}

func parsed(t *testing.T, sent wire.VirtualServer) (table.VirtualServer, packets.Rules) {
	t.Helper()
	virtualServer, err := desired.Parse(sent)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := packets.Parse(virtualServer.ServiceKey, sent.PacketRules, virtualServer.Destinations)
	if err != nil {
		t.Fatal(err)
	}
	return virtualServer, rules
}

func (w *world) holds(t *testing.T, vip string) bool {
	t.Helper()
	held, err := w.addresses.Held("lo", []netip.Addr{onLo(vip).Address})
	if err != nil {
		t.Fatal(err)
	}
	return held[onLo(vip).Address]
}
