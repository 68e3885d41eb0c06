package apply

import (
	"slices"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/settings"
	"ipvs-operator.io/helper/wire"
)

// around is what a request does beside the table: settings of the director and packet rules before it, packet rules that
// nothing needs any more after it.
type around struct {
	// wanted are the settings that are valid and granted, rules those of every virtual server that is.
	wanted        settings.Desired
	rules         map[ipvs.ServiceKey]packets.Rules
	before, after []wire.Change
	writes        int
	errors        []wire.Error
	failed        []wire.Key
}

// refuse reports one object that is not as asked; the first reason for an object stands.
func (a *around) refuse(class wire.Class, object string, err error) {
	if slices.ContainsFunc(a.errors, func(known wire.Error) bool { return known.Object == object }) {
		return
	}
	a.errors = append(a.errors, wire.Error{Class: class, Object: object, Message: err.Error()})
}

// complete puts it all into the answer, in the order in which it was done.
func (a *around) complete(result *wire.ApplyResult) {
	if len(a.before) > 0 {
		result.Changes = append(append([]wire.Change{}, a.before...), result.Changes...)
	}
	result.Changes = append(result.Changes, a.after...)
	result.Errors = append(result.Errors, a.errors...)
	result.Failed = appendNew(result.Failed, a.failed...)
	result.Writes += a.writes
}

// announce lists settings that a dry run would write.
func (a *around) announce(changes []settings.Change) {
	for _, change := range changes {
		a.before = append(a.before, describeSetting(change))
	}
}

func describeSetting(change settings.Change) wire.Change {
	return wire.Change{Kind: string(change.Kind), Object: change.Object(), Sentence: change.Sentence()}
}
