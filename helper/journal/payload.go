package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// A payload is a head, and then one line for each thing that changes, its parts separated by tabs:
//
//	{"kind":"delta","owner":"prod","epoch":3,"generation":18,"time":1764106200}
//	+	TCP 203.0.113.10:80	lo	{"address":"203.0.113.10",…}
//	-	TCP 203.0.113.11:80
//	host	{"timeouts":{…}}
//
// A payload of kind whole begins from nothing; the first record of a file is one, and only the first.
type head struct {
	Kind       string `json:"kind"`
	Owner      string `json:"owner"`
	Epoch      uint64 `json:"epoch"`
	Generation uint64 `json:"generation"`
	Time       int64  `json:"time"` // seconds since 1970
}

const kindWhole, kindDelta = "whole", "delta"

func (h head) fence() wire.Fence { return wire.Fence{Epoch: h.Epoch, Generation: h.Generation} }

// encodeDelta writes what changes, behind room for a header, and costs what that costs.
func encodeDelta(owner string, found change, now time.Time) ([]byte, error) {
	lines, err := newLines(head{kindDelta, owner, found.fence.Epoch, found.fence.Generation, now.Unix()})
	if err != nil {
		return nil, err
	}
	for _, key := range found.put {
		if err := lines.put(key, found.told.interfaceOf(key.Address), found.told.Put[key]); err != nil {
			return nil, err
		}
	}
	for _, key := range found.drop {
		fmt.Fprintf(&lines.text, "-\t%s\n", key)
	}
	if found.host != nil {
		if err := lines.host(found.host); err != nil {
			return nil, err
		}
	}
	return lines.text.Bytes(), nil
}

// encodeWhole writes the whole state likewise; keys are all of it, in canonical order.
func encodeWhole(owner string, state State, keys []ipvs.ServiceKey) ([]byte, error) {
	lines, err := newLines(head{kindWhole, owner, state.Fence.Epoch, state.Fence.Generation, state.Written.Unix()})
	if err != nil {
		return nil, err
	}
	lines.text.Grow(state.length())
	for _, key := range keys {
		if err := lines.put(key, state.InterfaceOf(key.Address), state.Entries[key].raw); err != nil {
			return nil, err
		}
	}
	if state.Host != nil {
		if err := lines.host(state.Host); err != nil {
			return nil, err
		}
	}
	return lines.text.Bytes(), nil
}

// lineBytes is more than a line takes beside the virtual server and its interface.
const lineBytes = 64

// length is about that of the state's lines.
func (s State) length() int {
	length := 0
	for key, entry := range s.Entries {
		length += len(entry.raw) + len(s.interfaces[key.Address]) + lineBytes
	}
	return length
}

type payloadLines struct{ text bytes.Buffer }

func newLines(first head) (*payloadLines, error) {
	encoded, err := json.Marshal(first)
	if err != nil {
		return nil, err
	}
	lines := &payloadLines{}
	lines.text.Write(make([]byte, headerLength))
	fmt.Fprintf(&lines.text, "%s\n", encoded)
	return lines, nil
}

func (l *payloadLines) put(key ipvs.ServiceKey, interfaceName string, raw []byte) error {
	if key.FirewallMark != 0 {
		interfaceName = ""
	}
	if strings.ContainsAny(interfaceName, "\t\n") || bytes.IndexByte(raw, '\t') >= 0 || bytes.IndexByte(raw, '\n') >= 0 {
		return fmt.Errorf("%s on interface %q cannot be written into one line", key, interfaceName)
	}
	l.text.Grow(len(raw) + len(interfaceName) + lineBytes)
	for _, part := range []string{"+\t", key.String(), "\t", interfaceName, "\t"} {
		l.text.WriteString(part)
	}
	l.text.Write(raw)
	return l.text.WriteByte('\n')
}

func (l *payloadLines) host(host *wire.Host) error {
	encoded, err := json.Marshal(host)
	if err == nil {
		fmt.Fprintf(&l.text, "host\t%s\n", encoded)
	}
	return err
}

// replay puts a payload into the state. The error is a sentence; the state is not to be used then.
func (s *State) replay(owner string, payload []byte, first bool) error {
	text, ended := bytes.CutSuffix(payload, []byte("\n"))
	if !ended {
		return errors.New("its last line has no end")
	}
	line, rest, more := bytes.Cut(text, []byte("\n"))
	var top head
	if err := json.Unmarshal(line, &top); err != nil {
		return fmt.Errorf("its first line is unreadable: %w", err)
	}
	switch {
	case top.Owner != owner:
		return fmt.Errorf("it is of owner %q", top.Owner)
	case first != (top.Kind == kindWhole) || !first && top.Kind != kindDelta:
		return fmt.Errorf("it is of kind %q, which does not belong here", top.Kind)
	case top.fence().Less(s.Fence):
		return errors.New("it is older than the record before it")
	}
	for more {
		line, rest, more = bytes.Cut(rest, []byte("\n"))
		if err := s.replayLine(line); err != nil {
			return err
		}
	}
	s.Fence, s.Written = top.fence(), time.Unix(top.Time, 0)
	return nil
}

func (s *State) replayLine(line []byte) error {
	parts := bytes.SplitN(line, []byte("\t"), 4)
	switch kind := string(parts[0]); {
	case kind == "host" && len(parts) == 2:
		var host wire.Host
		if err := json.Unmarshal(parts[1], &host); err != nil {
			return fmt.Errorf("its host section is unreadable: %w", err)
		}
		s.Host = &host
		return nil
	case kind == "+" && len(parts) == 4 || kind == "-" && len(parts) == 2:
		key, err := ipvs.ParseServiceKey(string(parts[1]))
		if err != nil || key.String() != string(parts[1]) {
			return fmt.Errorf("it names no virtual server: %q", parts[1])
		}
		if kind == "-" {
			delete(s.Entries, key)
		} else {
			s.put(key, string(parts[2]), parts[3])
		}
		return nil
	}
	return fmt.Errorf("a line of it begins with %q", parts[0])
}
