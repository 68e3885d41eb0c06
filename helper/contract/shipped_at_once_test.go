package contract

import (
	"fmt"
	"testing"
	"time"

	"ipvs-operator.io/helper/wire"
)

// Two of the programs that directors run, of one owner, are asked at the same moment for two tables, the one with an older fence than the
// other, and each has it in turn: they take turns. The older request, for a table with little in it, is carried out whole before the newer one,
// or refused as fenced; what stands at the end is the newer one's table, and the writes that each tells of add up.
func TestKernelTwoShippedHelpersAtOnce(t *testing.T) {
	kernelOnly(t)
	f := newToAndFro(t)
	f.pause = 50 * time.Millisecond
	stop := f.startReader(t)
	var helpers [2]*shippedStream
	for index := range helpers {
		helpers[index] = f.open(t)
		helpers[index].receive(t)
	}
	const rounds = 20
	total, outcomes := f.read(t).TotalWrites, map[string]int{}
	for round := range rounds {
		older, newer := helpers[round%2], helpers[1-round%2]
		f.fence.Generation++
		before := wire.Apply{Fence: f.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: f.table(unrelated())}
		f.fence.Generation++
		after := f.request(f.other())
		var first, second reply
		switch round {
		case 0: // the older one has ended
			older.send(t, framed(t, before))
			first = older.reply(t)
			newer.send(t, framed(t, after))
			second = newer.reply(t)
		case 1: // the newer one has
			newer.send(t, framed(t, after))
			second = newer.reply(t)
			older.send(t, framed(t, before))
			first = older.reply(t)
		default:
			requests := [][]byte{framed(t, before), framed(t, after)}
			if round%4 < 2 {
				newer.send(t, requests[1])
			}
			older.send(t, requests[0])
			if round%4 >= 2 {
				newer.send(t, requests[1])
			}
			first, second = older.reply(t), newer.reply(t)
		}
		outcome := "finished before"
		switch {
		case first.OK && len(first.Result.Errors)+len(first.Result.Failed) == 0:
			if want := total + uint64(first.Result.Writes); first.Result.TotalWrites != want {
				t.Errorf("round %d: the older one has written %d, in all %d instead of %d", round, first.Result.Writes, first.Result.TotalWrites, want)
			}
			total += uint64(first.Result.Writes)
		case !first.OK && first.Error.Class == wire.ClassFenced && *first.Error.Highest == after.Fence:
			outcome = "refused"
		default:
			t.Errorf("round %d: the older one answers %+v", round, first)
		}
		outcomes[outcome]++
		if want := map[int]string{0: "finished before", 1: "refused"}[round]; want != "" && outcome != want {
			t.Errorf("round %d: the older one was %s, wanted %s", round, outcome, want)
		}
		total += uint64(second.Result.Writes)
		if !second.OK || len(second.Result.Errors)+len(second.Result.Failed) > 0 || second.Result.TotalWrites != total {
			t.Errorf("round %d, the older one was %s: the newer one answers %+v, wanted %d writes in all", round, outcome, second, total)
		}
		if second.Result.Writes < 50 || first.OK && first.Result.Writes < 20 {
			t.Errorf("round %d: %d and %d writes: there was too little to do", round, first.Result.Writes, second.Result.Writes)
		}
		where := fmt.Sprintf("round %d, the older one was %s", round, outcome)
		f.here = f.other()
		f.shows(t, where, after)
		if round%5 == 1 { // ipvsadm is the witness
			f.isAt(t, where, f.here)
		}
		if t.Failed() {
			return
		}
	}
	for _, helper := range helpers {
		helper.end(t)
	}
	t.Logf("the older request was %v", outcomes)
	stop(rounds)
}
