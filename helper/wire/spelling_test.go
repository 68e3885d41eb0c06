package wire

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

// spelledAsTokens says the same as checkSpelling by encoding/json's tokens: slow, and simple enough to be believed.
func spelledAsTokens(decoder *json.Decoder, named bool, depth int) bool {
	token, err := decoder.Token()
	if err != nil {
		return false
	}
	delimiter, nested := token.(json.Delim)
	if !nested {
		return true
	}
	if depth > maxDepth {
		return false
	}
	seen := map[string]bool{}
	for decoder.More() {
		wanted := true
		if delimiter == '{' {
			name, err := decoder.Token()
			text, isText := name.(string)
			if err != nil || !isText || seen[text] || named && fieldNames[text] == "" {
				return false
			}
			seen[text] = true
			wanted = !named || text != "sysctls"
		}
		if !spelledAsTokens(decoder, wanted, depth+1) {
			return false
		}
	}
	_, err = decoder.Token()
	return err == nil
}

// agree compares the two on a body that is valid JSON; on another, DecodeRequest refuses. The two ways to decode agree as well.
func agree(t *testing.T, body []byte) {
	t.Helper()
	sameAsStepByStep(t, body)
	if !json.Valid(body) {
		if _, refusal := DecodeRequest(body); refusal == nil {
			t.Errorf("%q is not JSON, and is taken", body)
		}
		return
	}
	if bytes.Contains(body, []byte("sysctls")) {
		return // what is inside is data, which spelledAsTokens does not follow
	}
	_, err := checkSpelling(body)
	decoder := json.NewDecoder(bytes.NewReader(body))
	want := utf8.Valid(body) && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) && spelledAsTokens(decoder, true, 1)
	if (err == nil) != want {
		t.Errorf("%.200q: %v; by tokens it is well spelled: %t", body, err, want)
	}
}

func TestSpellingIsThatOfTokens(t *testing.T) {
	for _, body := range []string{
		goodApply, `{}`, ` { "id" : 1 , "op" : "ping" } `, `{"\u0069d":1,"id":2}`, `{"\u0069d":1,"op":"ping"}`, `{"id":1,"op":"a\"b\\"}`, `{"id":{"id":{"op":[]}}}`,
		`{"id":[{"id":[1,2,{"op":null}]}]}`, `{"id":[[[[[[1]]]]]]}`, `{"id":[[[[[[[1]]]]]]]}`, `{"id":[[[[[[[[1]]]]]]]]}`, `[]`, `"x"`, `{"x":1}`, `{"id":1,}`, `{"id":[1,]}`, `{"id"}`, `{"id":}`,
		`{"id":1 2}`, `{id:1}`, `{"id":tru}`, `{"id":1`, `{"id":"`, `{"id":"\`, "{\"id\":\"\x01\"}", `{"ID":1}`, `{"id":[],"id":{}}`,
	} {
		agree(t, []byte(body))
	}
}

// A hostile body costs memory in proportion to its length, however it is nested or repeated; the worst are real servers without
// anything in them, which are decoded before they are refused.
func TestDecodingIsBounded(t *testing.T) {
	for name, body := range map[string]string{
		"brackets":     `{"id":` + strings.Repeat("[", 1<<20),
		"braces":       strings.Repeat(`{"id":`, 1<<18),
		"deep sysctls": strings.Repeat(`{"host":`, 7) + `{"sysctls":{"x":` + strings.Repeat("[", 15<<20),
		"names":        `{` + strings.Repeat(`"id":1,`, 1<<17),
		"a string":     `{"id":"` + strings.Repeat("x", 1<<20),
		"sysctls":      `{"id":1,"op":"apply","host":{"sysctls":{` + strings.Repeat(`"x":1,`, 1<<17),
		"real servers": `{"id":1,"op":"apply","virtualServers":[{"realServers":[` + strings.Repeat(`{},`, 1<<18) + `{}]}]}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, refusal := DecodeRequest([]byte(body)); refusal == nil {
			t.Errorf("%s: it is taken", name)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 120*uint64(len(body)) {
			t.Errorf("%s: %d bytes allocated for a body of %d", name, allocated, len(body))
		}
	}
}
