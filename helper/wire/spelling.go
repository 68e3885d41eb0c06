package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Every field name of the protocol, in its exact spelling. encoding/json matches names without regard to case and takes
// the last of two equal names; a protocol between two programs has no use for either.
// The values are the names again: a name that is looked up costs no copy.
var fieldNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range strings.Fields(hostFieldNames + packetRulesFieldNames + `id op what epoch generation dryRun scope interface virtualServers absent address port protocol
		scheduler schedulerFlags persistence timeoutSeconds prefixLength onePacket drainSeconds realServers weight forwardingMethod upperThreshold lowerThreshold
		firewallMark family engine tunnel type checksum remoteChecksum adopt remove gone`) {
		names[name] = name
	}
	return names
}()

// maxDepth is more than any request needs; it bounds the recursion on a hostile body.
const maxDepth = 8

// speller walks over a body once, without a copy: one object, names spelled exactly, none twice in one object. Whether values are
// valid is left to who decodes them; a large request has a million bytes, and they are walked over by encoding/json anyway.
type speller struct {
	body []byte
	at   int
	// header are the members id and op of the outermost object, as they stand there.
	header []byte
}

// checkSpelling answers the members id and op as an object of their own.
func checkSpelling(body []byte) ([]byte, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("the body is not UTF-8")
	}
	s := &speller{body: body}
	if s.peek() != '{' {
		if !json.Valid(body) {
			return nil, s.notJSON()
		}
		return nil, errors.New("the body is not an object")
	}
	if err := s.object(1); err != nil {
		return nil, err
	}
	return append(append([]byte{'{'}, bytes.TrimSuffix(s.header, []byte{','})...), '}'), nil
}

func (s *speller) notJSON() error { return fmt.Errorf("the body is not JSON at byte %d", s.at) }

// peek is the next byte that is not white space; 0 at the end.
func (s *speller) peek() byte {
	for ; s.at < len(s.body); s.at++ {
		switch c := s.body[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// next consumes one of two bytes, and says which.
func (s *speller) next(one, other byte) (byte, error) {
	c := s.peek()
	if c != one && c != other || c == 0 {
		return 0, s.notJSON()
	}
	s.at++
	return c, nil
}

// object walks over the members of an object of the protocol.
func (s *speller) object(depth int) error {
	var room [16]string
	seen := room[:0]
	return s.members(func(name string) error {
		if _, known := fieldNames[name]; !known {
			return fmt.Errorf("unknown field %q", name)
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("field %q is given twice", name)
		}
		seen = append(seen, name)
		start := s.at
		var err error
		if name == "sysctls" {
			err = s.names(depth)
		} else {
			err = s.value(depth)
		}
		if err == nil && depth == 1 && (name == "id" || name == "op") {
			s.header = append(fmt.Appendf(s.header, "%q:", name), append(s.body[start:s.at:s.at], ',')...)
		}
		return err
	})
}

// names walks over an object whose names are data, not fields of the protocol; none may be there twice.
func (s *speller) names(depth int) error {
	if s.peek() != '{' {
		return errors.New("field \"sysctls\" is not an object")
	}
	seen := map[string]bool{}
	return s.members(func(name string) error {
		if seen[name] {
			return fmt.Errorf("%q is given twice", name)
		}
		seen[name] = true
		return s.value(depth + 1)
	})
}

// members calls visit behind the colon of each member; visit walks over the value.
func (s *speller) members(visit func(name string) error) error {
	s.at++ // the brace
	if s.peek() == '}' {
		s.at++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.notJSON()
		}
		name, err := s.name()
		if err == nil {
			_, err = s.next(':', ':')
		}
		if err == nil {
			err = visit(name)
		}
		if err != nil {
			return err
		}
		end, err := s.next(',', '}')
		if err != nil || end == '}' {
			return err
		}
	}
}

func (s *speller) value(depth int) error {
	c := s.peek()
	if (c == '{' || c == '[') && depth >= maxDepth {
		return errors.New("the body is nested too deeply")
	}
	switch c {
	case '{':
		return s.object(depth + 1)
	case '[':
		return s.array(depth + 1)
	case '"':
		_, err := s.text()
		return err
	}
	return s.literal()
}

// literal walks over a number, true, false or null, or what stands in their place.
func (s *speller) literal() error {
	start := s.at
	for ; s.at < len(s.body); s.at++ {
		switch s.body[s.at] {
		case ',', ']', '}', ':', ' ', '\t', '\r', '\n':
			if s.at == start {
				return s.notJSON()
			}
			return nil
		}
	}
	return s.notJSON()
}

func (s *speller) array(depth int) error {
	s.at++ // the bracket
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		end, err := s.next(',', ']')
		if err != nil || end == ']' {
			return err
		}
	}
}

// name reads a string that names a member.
func (s *speller) name() (string, error) {
	raw, err := s.text()
	if err != nil {
		return "", err
	}
	if known, isKnown := fieldNames[string(raw[1:len(raw)-1])]; isKnown {
		return known, nil
	}
	if !bytes.ContainsRune(raw, '\\') {
		return string(raw[1 : len(raw)-1]), nil
	}
	var name string
	if json.Unmarshal(raw, &name) != nil {
		return "", s.notJSON()
	}
	return name, nil
}

// text walks over a string, and answers it with its quotes.
func (s *speller) text() ([]byte, error) {
	start := s.at
	for s.at++; s.at < len(s.body); s.at++ {
		switch s.body[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return s.body[start:s.at], nil
		}
	}
	s.at = len(s.body)
	return nil, s.notJSON()
}
