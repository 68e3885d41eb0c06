package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"ipvs-operator.io/helper/desired"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// Entry is one virtual server as it was sent. It is parsed only when somebody asks what it says: most requests do not.
type Entry struct {
	key ipvs.ServiceKey
	raw []byte

	summed bool
	digest [sha256.Size]byte
	rules  packets.Rules
	err    error
}

// Sent is the virtual server as it was sent. The error is a sentence: it was written by a helper that we do not understand.
func (e *Entry) Sent() (wire.VirtualServer, error) {
	if sent, isPlain := wire.DecodeVirtualServer(e.raw); isPlain {
		return sent, nil
	}
	var sent wire.VirtualServer
	decoder := json.NewDecoder(bytes.NewReader(e.raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&sent); err != nil {
		return sent, fmt.Errorf("%s is in the journal in a form that this helper does not know: %w", e.key, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return sent, fmt.Errorf("%s is in the journal in a form that this helper does not know: data follows", e.key)
	}
	return sent, nil
}

// VirtualServer is the entry as kernel values, with its packet rules.
func (e *Entry) VirtualServer() (table.VirtualServer, packets.Rules, error) {
	sent, err := e.Sent()
	if err != nil {
		return table.VirtualServer{}, packets.Rules{}, err
	}
	virtualServer, err := desired.Parse(sent)
	if err == nil && virtualServer.ServiceKey != e.key {
		err = fmt.Errorf("the journal has it under the key %s", e.key)
	}
	if err != nil {
		return table.VirtualServer{}, packets.Rules{}, fmt.Errorf("%s in the journal: %w", e.key, err)
	}
	rules, err := packets.Parse(virtualServer.ServiceKey, sent.PacketRules, virtualServer.Destinations)
	return virtualServer, rules, err
}

// Digest is table.Digest of the virtual server, and its packet rules; kept, so that asking again costs nothing.
func (e *Entry) Digest() ([sha256.Size]byte, packets.Rules, error) {
	if !e.summed {
		virtualServer, rules, err := e.VirtualServer()
		e.summed, e.rules, e.err = true, rules, err
		if err == nil {
			e.digest = table.Digest(virtualServer)
		}
	}
	return e.digest, e.rules, e.err
}
