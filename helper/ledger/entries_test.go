package ledger

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/vip"
)

// made is what a ledger should hold.
type made struct {
	keys      map[ipvs.ServiceKey]bool
	addresses map[address.Assigned]bool
}

// change is a random delta, mostly of one virtual server and its VIP, now and then of many; what is made follows.
func (m made) change(random *rand.Rand) Delta {
	many := 1
	if random.IntN(40) == 0 {
		many = 2 * mostRecent
	}
	var delta Delta
	for range many {
		assigned, _ := address.Parse(fmt.Sprintf("203.0.%d.%d on lo", random.IntN(4), random.IntN(256)))
		key := ipvs.ServiceKey{Family: ipvs.IPv4, Protocol: ipvs.TCP, Address: assigned.Address, Port: 80}
		if slices.Contains(delta.AddKeys, key) || slices.Contains(delta.RemoveKeys, key) {
			continue
		}
		if random.IntN(3) > 0 {
			delta.AddKeys, delta.AddAddresses = append(delta.AddKeys, key), append(delta.AddAddresses, assigned)
			m.keys[key], m.addresses[assigned] = true, true
		} else {
			delta.RemoveKeys, delta.RemoveAddresses = append(delta.RemoveKeys, key), append(delta.RemoveAddresses, assigned)
			delete(m.keys, key)
			delete(m.addresses, assigned)
		}
	}
	return delta
}

func (m made) isRead(t *testing.T, directory, when string) {
	t.Helper()
	record := read(t, Open(directory, "prod", "1", "boot"))
	if !maps.Equal(record.Keys, m.keys) || !maps.Equal(record.Addresses, m.addresses) {
		t.Fatalf("%s: %d virtual servers and %d addresses are read, wanted %d and %d", when, len(record.Keys), len(record.Addresses), len(m.keys), len(m.addresses))
	}
}

// firstStep is the recent file as it stands between the two steps of the write of this delta.
func (l *Ledger) firstStep(t *testing.T, delta Delta) []byte {
	t.Helper()
	other := *l
	other.cached.Keys, other.cached.Addresses = maps.Clone(l.cached.Keys), maps.Clone(l.cached.Addresses)
	other.cached.ByVIP = vip.NewIndex(other.cached.Keys, other.cached.Addresses)
	other.recent = recent{keys: maps.Clone(l.recent.keys), addresses: maps.Clone(l.recent.addresses)}
	other.recentPath = filepath.Join(t.TempDir(), "recent.json")
	other.change(delta)
	if err := other.writeRecent(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(other.recentPath)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Two sessions change it in turn: a third one always reads the sum of all changes; also one that comes between the steps of a write, or
// after a write that was cut off there.
func TestManyChanges(t *testing.T) {
	directory := t.TempDir()
	sessions := []*Ledger{Open(directory, "prod", "1", "boot"), Open(directory, "prod", "1", "boot")}
	random := rand.New(rand.NewPCG(7, 11))
	want := made{map[ipvs.ServiceKey]bool{}, map[address.Assigned]bool{}}
	folds, interrupted := 0, 0
	for step := range 400 {
		session := sessions[step%2]
		delta := want.change(random)
		read(t, session)
		hadRecent := session.recentInfo != nil
		between := session.firstStep(t, delta)
		write(t, session, delta)
		want.isRead(t, directory, fmt.Sprintf("after step %d", step))
		if session.recentInfo != nil {
			continue
		}
		folds++
		if hadRecent && folds%2 == 0 {
			interrupted++
			if err := os.WriteFile(session.recentPath, between, 0o600); err != nil {
				t.Fatal(err)
			}
			want.isRead(t, directory, fmt.Sprintf("with what step %d left behind", step))
		}
	}
	if folds < 4 || interrupted < 2 {
		t.Errorf("only %d folds, %d of them interrupted", folds, interrupted)
	}
}
