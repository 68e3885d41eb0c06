package packets

import (
	"maps"
	"sync"

	"ipvs-operator.io/helper/ipvs"
)

// Fake is a table of packet rules in memory. Safe for concurrent use.
type Fake struct {
	// Refusal, when set, is what writing answers.
	Refusal error
	// Writes counts the batches.
	Writes int

	mutex sync.Mutex
	state State
}

// NewFake is a host without packet rules.
func NewFake() *Fake { return &Fake{} }

// Name implements Kernel.
func (f *Fake) Name() string { return "table inet fake" }

// Read implements Kernel.
func (f *Fake) Read() (State, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return State{Rules: maps.Clone(f.state.Rules), Damaged: f.state.Damaged}, nil
}

// Write implements Kernel.
func (f *Fake) Write(_, after State) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.Refusal != nil {
		return f.Refusal
	}
	f.Writes++
	f.state = State{Rules: map[ipvs.ServiceKey]Rules{}}
	maps.Copy(f.state.Rules, after.Rules)
	return nil
}

// Damage makes it a table that someone else has changed.
func (f *Fake) Damage() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.state.Damaged = true
}
