package wire

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// sameAsStepByStep wants that a request which decodePlain takes is the one that decodeAny makes of it.
func sameAsStepByStep(t *testing.T, body []byte) (isPlain bool) {
	t.Helper()
	got, isPlain := decodePlain(body)
	if !isPlain {
		return false
	}
	want, refusal := decodeAny(body)
	if refusal != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%.2000q\nplain        %+v\nstep by step %+v, %v", body, got.Apply, want.Apply, refusal)
	}
	return true
}

const plainApply = `{"id":7,"op":"apply","epoch":3,"generation":18,"dryRun":false,"scope":"listed","interface":"dummy0","virtualServers":[
	{"address":"203.0.113.10","port":80,"protocol":"TCP","scheduler":"mh","schedulerFlags":["mh-fallback","mh-port"],"persistence":{"timeoutSeconds":600,"prefixLength":32,"engine":"sip"},
	 "onePacket":true,"drainSeconds":30,"masquerade":true,"sourceRanges":["198.51.100.0/24"],"mssClamp":1400,"realServers":[
		{"address":"192.0.2.21","port":80,"weight":1,"forwardingMethod":"Tunneling","upperThreshold":9,"lowerThreshold":5,"tunnel":{"type":"gue","port":6080,"checksum":true,"remoteChecksum":true}},
		{"address":"2001:db8:1::21","port":0,"weight":100,"forwardingMethod":"DirectRouting","upperThreshold":0,"lowerThreshold":0},` +
	`{"address":"192.0.2.31","port":81,"weight":2,"forwardingMethod":"Local","upperThreshold":7,"lowerThreshold":4},` +
	`{"address":"192.0.2.32","port":81,"weight":2,"forwardingMethod":"Local","upperThreshold":7,"lowerThreshold":4},` +
	`{"address":"192.0.2.33","port":81,"weight":2,"forwardingMethod":"Local","upperThreshold":7,"lowerThreshold":4},` +
	`{"address":"192.0.2.34","port":81,"weight":2,"forwardingMethod":"Local","upperThreshold":7,"lowerThreshold":5}],
	 "gone":[{"address":"192.0.2.23","port":80}]},
	{"firewallMark":7,"family":"IPv4","scheduler":"rr","schedulerFlags":[],"onePacket":false,"realServers":[],"sourceRanges":[]}],
	"absent":[{"address":"203.0.113.11","port":80,"protocol":"UDP"},{"firewallMark":8,"family":"IPv6"}]}`

// What the operator writes is read the short way, and as step by step.
func TestPlainTakesWhatTheOperatorWrites(t *testing.T) {
	bodies := map[string]string{"everything": plainApply, "white space": " \n" + strings.ReplaceAll(plainApply, `":`, "\"\t:\r ") + " "}
	paths, _ := filepath.Glob("../testdata/request-apply*.json")
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(content); !strings.Contains(text, `"host"`) && !strings.Contains(text, `"adopt"`) && !strings.Contains(text, `"remove"`) {
			bodies[path] = text
		}
	}
	if len(bodies) < 4 {
		t.Errorf("only %d bodies", len(bodies))
	}
	for name, body := range bodies {
		if !sameAsStepByStep(t, []byte(body)) {
			t.Errorf("%s is not taken", name)
		}
	}
}

// What the journal keeps is read back as it was sent.
func TestPlainReadsVirtualServersOfTheJournal(t *testing.T) {
	request, refusal := DecodeRequest([]byte(plainApply))
	if refusal != nil {
		t.Fatal(refusal)
	}
	for _, want := range request.Apply.VirtualServers {
		text := want.Append(nil)
		got, isPlain := DecodeVirtualServer(text)
		if isPlain != (want.RealServers != nil) || isPlain && !reflect.DeepEqual(got, want) { // of none there is null, which is for encoding/json
			t.Errorf("%s\nis read (%t) as %+v", text, isPlain, got)
		}
		if _, isPlain := DecodeVirtualServer(append(text, 'x')); isPlain {
			t.Errorf("%s with something behind it is read", text)
		}
	}
}

func TestPlainLeavesTheRestToStepByStep(t *testing.T) {
	for _, row := range [][2]string{
		{`"id":7`, `"id":-7`}, {`"id":7`, `"id":7.0`}, {`"id":7`, `"id":07`}, {`"id":7`, `"id":7e0`}, {`"id":7`, `"id":null`}, {`"id":7`, `"id":1234567890123456789`},
		{`"id":7,`, ``}, {`"id":7`, `"id":7,"id":7`}, {`"op":"apply"`, `"op":"ping"`}, {`"scope":"listed"`, `"scope":"some"`}, {`"scope":"listed"`, `"scope":"all"`},
		{`"dryRun":false`, `"dryRun":falsey`}, {`"dryRun":false`, `"dryRun":0`}, {`"dummy0"`, `"dumm\u0079"`}, {`"dummy0"`, "\"dumm\xff\""}, {`"dummy0"`, `"dummyé"`}, {`"dummy0"`, "\"a\nb\""},
		{`"dryRun"`, `"dryrun"`}, {`"onePacket":false,`, ``}, {`"family":"IPv4",`, ``}, {`"family":"IPv4"`, `"port":80`}, {`"mssClamp":1400`, `"mssClamp":null`}, {`"type":"gue",`, ``}, {`"remoteChecksum":true`, `"remoteChecksum":1`}, {`"remoteChecksum":true`, `"remoteChecksum":null`},
		{`"prefixLength":32,`, ``}, {`"weight":1,`, ``}, {`"upperThreshold":9`, `"upper":9`}, {`"absent"`, `"adopt":[],"absent"`}, {`[]}],`, `[]},],`}, {`"192.0.2.23",`, `"192.0.2.23","family":"IPv4",`}, {`"absent":[`, `"absent":[{},`},
		{`"192.0.2.32","port":81`, `"192.0.2.32","port":081`}, {`"192.0.2.32","port":81,`, `"192.0.2.32",`}, {`"192.0.2.32","port":81,`, `"192.0.2.32","port":81,"port":81,`},
		{`"192.0.2.32","port":81,"weight":2`, `"192.0.2.32","port":81,"weight":-2`}, {`"192.0.2.33"`, `"192.0.2.3\u0033"`},
	} {
		body := []byte(strings.Replace(plainApply, row[0], row[1], 1))
		if string(body) == plainApply {
			t.Errorf("%q is not there", row[0])
		}
		if _, isPlain := decodePlain(body); isPlain {
			t.Errorf("%s in place of %s is taken", row[1], row[0])
		}
	}
	for _, body := range []string{"", "{", "[]", plainApply + "x", plainApply + "\x00", plainApply + plainApply, plainApply[:len(plainApply)-1]} {
		if _, isPlain := decodePlain([]byte(body)); isPlain {
			t.Errorf("%.40q is taken", body)
		}
	}
}

// Requests with some bytes changed, moved or taken out at random are either left to step by step or read the same.
func TestPlainAgreesOnMutations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = `{}[]":,0123456789-+.eE tfnulasr\` + "\n\x00\x7f\xc3\xa9"
	taken := 0
	for range 100_000 {
		body := []byte(plainApply)
		for range 1 + random.IntN(3) {
			at, length := random.IntN(len(body)), random.IntN(12)
			end := min(at+length, len(body))
			switch random.IntN(4) {
			case 0:
				body[at] = alphabet[random.IntN(len(alphabet))]
			case 1:
				body = append(body[:at:at], body[end:]...)
			case 2:
				to := random.IntN(len(body))
				body = append(body[:to:to], append(append([]byte{}, body[at:end]...), body[to:]...)...)
			case 3:
				body = append(body[:at:at], append([]byte{alphabet[random.IntN(len(alphabet))]}, body[at:]...)...)
			}
		}
		if sameAsStepByStep(t, body) {
			taken++
		}
		if t.Failed() {
			return
		}
	}
	if taken < 1000 {
		t.Errorf("only %d of the mutations were taken: nothing was compared", taken)
	}
}
