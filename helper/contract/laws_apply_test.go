package contract

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"ipvs-operator.io/helper/desired"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// foreignVIP is an address on our interface that somebody else has put there.
const foreignVIP = "198.51.100.9"

// From any table to any other: done = what a dry run said; read = wanted; again = no write; what is foreign is as it was.
func TestLawConvergence(t *testing.T) {
	forRandomTables(t, func(t *testing.T, d *lawful, random *rand.Rand) {
		d.must(t, randomForeign(random)...)
		foreign := d.snapshot(t)
		addLo(t, d.director, foreignVIP)
		var wanted []wire.VirtualServer
		for range 2 {
			wanted = randomTable(random)
			dry := d.apply(t, d.engine, wire.Apply{Fence: d.fence, DryRun: true, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: wanted})
			answer := d.all(t, wanted...)
			if !reflect.DeepEqual(dry.Changes, answer.Changes) {
				t.Errorf("a dry run said %+v, the run did %+v", dry.Changes, answer.Changes)
			}
			if len(answer.Errors) > 0 || len(answer.Failed) > 0 || answer.Writes != len(answer.Changes) {
				t.Errorf("answer %+v", answer)
			}
			d.isExactly(t, wanted)
			slices.Reverse(wanted)
			if again := d.all(t, wanted...); again.Writes != 0 || again.TableHash != answer.TableHash {
				t.Errorf("again: %+v", again)
			}
		}
		d.pass(t, 48*time.Hour)
		if len(d.draining(t)) > 0 {
			t.Error("after two days something still drains")
		}
		d.isExactly(t, wanted)
		after := d.snapshot(t)
		for key, before := range foreign {
			if !reflect.DeepEqual(before, after[key]) {
				t.Errorf("foreign %s was %+v and is %+v", key, before, after[key])
			}
		}
		if !d.holds(t, foreignVIP) {
			t.Error("the foreign address is gone")
		}
	})
}

// The order of what is sent does not matter, down to the order in which real servers are added.
func TestLawOrderOfInput(t *testing.T) {
	forRandomTables(t, func(t *testing.T, d *lawful, random *rand.Rand) {
		wanted := randomTable(random)
		one := d.all(t, wanted...)
		d.clear(t)
		random.Shuffle(len(wanted), func(i, j int) { wanted[i], wanted[j] = wanted[j], wanted[i] })
		for _, virtualServer := range wanted {
			slices.Reverse(virtualServer.RealServers)
			slices.Reverse(virtualServer.SourceRanges)
			slices.Reverse(virtualServer.SchedulerFlags)
		}
		other := newLawful(t, d.world).all(t, wanted...)
		if !reflect.DeepEqual(one, other) {
			t.Errorf("one order gives %+v, another %+v", one, other)
		}
	})
}

// With scope listed, the rest is as it was; in the end the table is the same as if everything had been sent.
func TestLawScopeListed(t *testing.T) {
	forRandomTables(t, func(t *testing.T, d *lawful, random *rand.Rand) {
		start, target := randomTable(random), randomTable(random)
		d.all(t, start...)
		final := slices.Clone(start)
		var answer wire.ApplyResult
		for _, virtualServer := range target {
			before := d.snapshot(t)
			var absent []wire.Key
			final = slices.DeleteFunc(final, func(other wire.VirtualServer) bool {
				if other.Key != virtualServer.Key && oneIn(random, 5) {
					absent = append(absent, other.Key)
					return true
				}
				return other.Key == virtualServer.Key
			})
			final = append(final, virtualServer)
			answer = d.listed(t, list(virtualServer), absent...)
			untouched(t, before, d.snapshot(t), append(absent, virtualServer.Key))
		}
		d.isExactly(t, final)
		if whole := d.all(t, final...); whole.Writes != 0 || len(target) > 0 && (whole.TableHash != answer.TableHash || whole.Counts != answer.Counts) {
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
