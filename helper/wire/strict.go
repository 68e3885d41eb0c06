package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

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
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &wrong):
			return fmt.Errorf("field %q cannot be %s", embedded.Replace(wrong.Field), wrong.Value)
		case errors.As(err, &syntax):
			return fmt.Errorf("the body is not JSON: %w", err)
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
