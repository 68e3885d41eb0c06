package packets

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"ipvs-operator.io/helper/ipvs"
)

// State is one owner's table of packet rules.
type State struct {
	Rules map[ipvs.ServiceKey]Rules
	// Damaged is set when someone else has changed the table so that it does not do what Rules says.
	Damaged bool
}

// Kernel is one owner's table of packet rules in one network namespace. Errors carry the kernel's errno.
type Kernel interface {
	// Name is the table's, as nft(8) writes it.
	Name() string
	// Read reads the table; none is the zero state. The maps belong to the reader.
	Read() (State, error)
	// Write makes the table hold what after says, all of it or nothing, given what was read before. Without rules the table
	// goes away.
	Write(before, after State) error
}

// Kind is what a change does; the spelling is the wire's.
type Kind string

// The kinds of change.
const (
	AddRules    Kind = "addPacketRules"
	EditRules   Kind = "editPacketRules"
	DeleteRules Kind = "deletePacketRules"
	RepairRules Kind = "repairPacketRules"
)

// Change is one difference between rules that are and rules that shall be. A repair concerns the whole Table.
type Change struct {
	Kind   Kind
	Key    ipvs.ServiceKey
	Before Rules
	After  Rules
	Table  string
}

// Object names what the change is about.
func (c Change) Object() string {
	if c.Kind == RepairRules {
		return c.Table
	}
	return c.Key.String()
}

// Sentence says the change in words.
func (c Change) Sentence() string {
	switch c.Kind {
	case AddRules:
		return fmt.Sprintf("add packet rules of %s: %s", c.Key, c.After)
	case EditRules:
		return fmt.Sprintf("change packet rules of %s from %s to %s", c.Key, c.Before, c.After)
	case DeleteRules:
		return fmt.Sprintf("delete packet rules of %s: %s", c.Key, c.Before)
	}
	return fmt.Sprintf("rebuild %s, which someone else has changed", c.Table)
}

// Plan lists what differs for the keys of desired, in canonical order. Pure.
func Plan(state State, desired map[ipvs.ServiceKey]Rules) []Change {
	var changes []Change
	for _, key := range slices.SortedFunc(maps.Keys(desired), ipvs.ServiceKey.Compare) {
		before, after := state.Rules[key], desired[key]
		switch {
		case before.Equal(after):
		case before.IsZero():
			changes = append(changes, Change{Kind: AddRules, Key: key, After: after})
		case after.IsZero():
			changes = append(changes, Change{Kind: DeleteRules, Key: key, Before: before})
		default:
			changes = append(changes, Change{Kind: EditRules, Key: key, Before: before, After: after})
		}
	}
	return changes
}

// With is the state after the changes.
func (s State) With(changes []Change) State {
	after := State{Rules: map[ipvs.ServiceKey]Rules{}}
	maps.Copy(after.Rules, s.Rules)
	for _, change := range changes {
		switch {
		case change.Kind == RepairRules:
		case change.After.IsZero():
			delete(after.Rules, change.Key)
		default:
			after.Rules[change.Key] = change.After
		}
	}
	return after
}

// Digest is a hash over the rules, "" for none: equal exactly when the rules are.
func (s State) Digest() string {
	if len(s.Rules) == 0 && !s.Damaged {
		return ""
	}
	hash := sha256.New()
	fmt.Fprintln(hash, s.Damaged)
	for _, key := range slices.SortedFunc(maps.Keys(s.Rules), ipvs.ServiceKey.Compare) {
		fmt.Fprintf(hash, "%s %s\n", key, s.Rules[key])
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}
