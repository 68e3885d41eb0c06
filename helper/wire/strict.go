package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Every field name of the protocol, in its exact spelling. encoding/json matches names without regard to case and takes
// the last of two equal names; a protocol between two programs has no use for either.
var fieldNames = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range strings.Fields(hostFieldNames + packetRulesFieldNames + `id op what epoch generation dryRun scope interface virtualServers absent address port protocol
		scheduler schedulerFlags persistence timeoutSeconds prefixLength onePacket drainSeconds realServers weight forwardingMethod upperThreshold lowerThreshold
		firewallMark family engine tunnel type checksum adopt remove`) {
		names[name] = true
	}
	return names
}()

// decodeID reads id and op leniently: the strict checks follow, and their refusal should carry the id.
func decodeID(body []byte, header *sentHeader) int64 {
	_ = json.NewDecoder(bytes.NewReader(body)).Decode(header)
	if header.ID == nil {
		return 0
	}
	return *header.ID
}

// decodeStrictly refuses unknown fields, wrong types and trailing data.
func decodeStrictly(body []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fmt.Errorf("field %q cannot be %s", embedded.Replace(wrong.Field), wrong.Value)
		}
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data follows the object")
	}
	return nil
}

// embedded takes the names of our own types out of the path of a field.
var embedded = strings.NewReplacer("sentHeader.", "", "sentKey.", "", "sentPacketRules.", "")

// checkSpelling walks the tokens once: valid UTF-8, one object, names spelled exactly, none twice in one object.
func checkSpelling(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	first, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	if first != json.Delim('{') {
		return errors.New("the body is not an object")
	}
	return checkObject(decoder, 1)
}

// maxDepth is more than any request needs; it bounds the recursion on a hostile body.
const maxDepth = 8

func checkObject(decoder *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("the body is not JSON: %w", err)
		}
		name := token.(string) // the decoder allows nothing else at the place of a name
		if !fieldNames[name] {
			return fmt.Errorf("unknown field %q", name)
		}
		if seen[name] {
			return fmt.Errorf("field %q is given twice", name)
		}
		seen[name] = true
		check := checkValue
		if name == "sysctls" {
			check = checkNames
		}
		if err := check(decoder, depth); err != nil {
			return err
		}
	}
	return closeValue(decoder)
}

// checkNames reads an object whose names are data, not fields of the protocol; none may be there twice.
func checkNames(decoder *json.Decoder, depth int) error {
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return errors.New("field \"sysctls\" is not an object")
	}
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("the body is not JSON: %w", err)
		}
		name := token.(string)
		if seen[name] {
			return fmt.Errorf("%q is given twice", name)
		}
		seen[name] = true
		if err := checkValue(decoder, depth+1); err != nil {
			return err
		}
	}
	return closeValue(decoder)
}

func checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	delimiter, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth == maxDepth {
		return errors.New("the body is nested too deeply")
	}
	if delimiter == '{' {
		return checkObject(decoder, depth+1)
	}
	for decoder.More() {
		if err := checkValue(decoder, depth+1); err != nil {
			return err
		}
	}
	return closeValue(decoder)
}

func closeValue(decoder *json.Decoder) error {
	if _, err := decoder.Token(); err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return nil
}
