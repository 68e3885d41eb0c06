package wire

import (
	"encoding/json"
	"slices"
)

// appendMessage writes a message as json.Marshal does; an answer to an apply, whose changes may be tens of thousands, on its own.
func appendMessage(buffer []byte, message any) ([]byte, error) {
	response, isResponse := message.(Response)
	if applied, isApplied := response.Result.(ApplyResult); isResponse && isApplied && len(applied.Changes) > 0 {
		return response.appendApplied(buffer, applied)
	}
	encoded, err := json.Marshal(message)
	return append(buffer, encoded...), err
}

// appendApplied has encoding/json write everything but the changes, and those stand first in the result.
func (r Response) appendApplied(buffer []byte, applied ApplyResult) ([]byte, error) {
	changes := applied.Changes
	applied.Changes = []Change{}
	rest, err := json.Marshal(applied)
	if err != nil {
		return buffer, err
	}
	length := len(rest) + 128 // of which most are the changes'
	for index := range changes {
		length += len(`{"kind":"","object":"","sentence":""},`) + len(changes[index].Kind) + len(changes[index].Object) + len(changes[index].Sentence)
	}
	buffer = slices.Grow(buffer, length)
	buffer = appendBoolMember(appendNumberMember(append(buffer, '{'), "id", r.ID), "ok", r.OK)
	buffer = append(appendMember(append(appendMember(buffer, "result"), '{'), "changes"), '[')
	for index := range changes {
		if index > 0 {
			buffer = append(buffer, ',')
		}
		buffer = appendInner(append(buffer, `{"kind":"`...), changes[index].Kind)
		buffer = appendInner(append(buffer, `","object":"`...), changes[index].Object)
		buffer = append(appendInner(append(buffer, `","sentence":"`...), changes[index].Sentence), `"}`...)
	}
	buffer = append(append(buffer, ']'), rest[len(`{"changes":[]`):]...)
	if r.Error != nil {
		refusal, err := json.Marshal(r.Error)
		if err != nil {
			return buffer, err
		}
		buffer = append(appendMember(buffer, "error"), refusal...)
	}
	return append(buffer, '}'), nil
}
