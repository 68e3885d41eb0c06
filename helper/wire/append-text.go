package wire

import (
	"encoding/json"
	"strconv"
)

// What follows writes the messages of which there are tens of thousands in one frame, byte for byte as encoding/json does: its
// reflection takes several times as long.

// appendText writes a string.
func appendText(buffer []byte, text string) []byte {
	buffer = append(buffer, '"')
	return append(appendInner(buffer, text), '"')
}

// appendInner writes a string without its quotes.
func appendInner(buffer []byte, text string) []byte {
	if isPlain(text) {
		return append(buffer, text...)
	}
	encoded, _ := json.Marshal(text) // of a string: never an error
	return append(buffer, encoded[1:len(encoded)-1]...)
}

// isPlain reports whether encoding/json writes all bytes of the text as they are. Eight bytes at a time take half as long.
func isPlain(text string) bool {
	var found byte
	for ; len(text) >= 8; text = text[8:] {
		found |= special[text[0]] | special[text[1]] | special[text[2]] | special[text[3]] |
			special[text[4]] | special[text[5]] | special[text[6]] | special[text[7]]
	}
	for index := range len(text) {
		found |= special[text[index]]
	}
	return found == 0
}

// special is 1 for the bytes that encoding/json does not write as they are, at some place at least.
var special = func() (bytes [256]byte) {
	for c := range bytes {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			bytes[c] = 1
		}
	}
	return bytes
}()

// appendMember writes a name with its colon, and a comma before it unless it is the first of its object.
func appendMember(buffer []byte, name string) []byte {
	if last := buffer[len(buffer)-1]; last != '{' && last != '[' {
		buffer = append(buffer, ',')
	}
	return append(append(append(buffer, '"'), name...), '"', ':')
}

func appendTextMember(buffer []byte, name, text string) []byte {
	return appendText(appendMember(buffer, name), text)
}

func appendNumberMember(buffer []byte, name string, number int64) []byte {
	return strconv.AppendInt(appendMember(buffer, name), number, 10)
}

func appendBoolMember(buffer []byte, name string, value bool) []byte {
	return strconv.AppendBool(appendMember(buffer, name), value)
}

func appendTexts(buffer []byte, texts []string) []byte {
	if texts == nil {
		return append(buffer, "null"...)
	}
	buffer = append(buffer, '[')
	for index, text := range texts {
		if index > 0 {
			buffer = append(buffer, ',')
		}
		buffer = appendText(buffer, text)
	}
	return append(buffer, ']')
}
