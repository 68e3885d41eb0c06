package wire

import (
	"strings"
	"testing"
)

const goodApply = `{"id":3,"op":"apply","epoch":3,"generation":18,"dryRun":false,"scope":"listed","interface":"lo","virtualServers":[` +
	`{"address":"203.0.113.10","port":80,"protocol":"TCP","scheduler":"mh","schedulerFlags":[],"onePacket":false,"realServers":[` +
	`{"address":"192.0.2.21","port":80,"weight":1,"forwardingMethod":"DirectRouting","upperThreshold":0,"lowerThreshold":0}]}],"absent":[]}`

func TestMalformedRequests(t *testing.T) {
	for name, row := range map[string]struct {
		body  string
		words string
		id    int64
	}{
		"empty":                      {"", "not JSON", 0},
		"not JSON":                   {"ping", "not JSON", 0},
		"not an object":              {`[1]`, "not an object", 0},
		"cut off":                    {`{"id":1,"op":`, "not JSON", 0},
		"not UTF-8":                  {"{\"id\":1,\"op\":\"\xff\"}", "not UTF-8", 1},
		"trailing data":              {`{"id":1,"op":"ping"} {}`, "data follows", 1},
		"no id":                      {`{"op":"ping"}`, "id (a number)", 0},
		"id of the wrong type":       {`{"id":"1","op":"ping"}`, `field "id" cannot be string`, 0},
		"fractional id":              {`{"id":1.5,"op":"ping"}`, `field "id" cannot be number 1.5`, 0},
		"no op":                      {`{"id":1}`, "op (a string)", 1},
		"unknown op":                 {`{"id":1,"op":"flush"}`, `op "flush" is unknown`, 1},
		"unknown field":              {`{"id":1,"op":"ping","x":1}`, `unknown field "x"`, 1},
		"field of another op":        {`{"id":1,"op":"ping","what":"keys"}`, `unknown field "what"`, 1},
		"field in other case":        {`{"ID":1,"op":"ping"}`, `unknown field "ID"`, 1},
		"field given twice":          {`{"id":1,"id":2,"op":"ping"}`, `field "id" is given twice`, 2},
		"unknown what":               {`{"id":1,"op":"read","what":"all"}`, `what "all" is unknown`, 1},
		"no what":                    {`{"id":1,"op":"read"}`, `field "what" is missing`, 1},
		"nested too deeply":          {`{"id":1,"op":` + strings.Repeat("[", 100000), "nested too deeply", 0},
		"epoch missing":              {strings.Replace(goodApply, `"epoch":3,`, "", 1), `field "epoch" is missing`, 3},
		"epoch negative":             {strings.Replace(goodApply, `"epoch":3`, `"epoch":-3`, 1), `field "epoch" cannot be number -3`, 3},
		"unknown scope":              {strings.Replace(goodApply, `"listed"`, `"some"`, 1), `scope "some" is unknown`, 3},
		"absent with scope all":      {strings.Replace(strings.Replace(goodApply, `"listed"`, `"all"`, 1), `"absent":[]`, `"absent":[{"address":"203.0.113.10","port":80,"protocol":"TCP"}]`, 1), "absent must be empty", 3},
		"virtualServers null":        {`{"id":3,"op":"apply","epoch":3,"generation":18,"dryRun":false,"scope":"all","interface":"lo","virtualServers":null,"absent":[]}`, `field "virtualServers" is missing`, 3},
		"weight forgotten":           {strings.Replace(goodApply, `"weight":1,`, "", 1), `virtualServers[0]: realServers[0]: field "weight" is missing`, 3},
		"port as text":               {strings.Replace(goodApply, `"port":80,"protocol"`, `"port":"80","protocol"`, 1), "port", 3},
		"realServers forgotten":      {`{"id":3,"op":"apply","epoch":3,"generation":18,"dryRun":false,"scope":"all","interface":"lo","virtualServers":[{"address":"203.0.113.10","port":80,"protocol":"TCP","scheduler":"mh","schedulerFlags":[],"onePacket":false}],"absent":[]}`, `field "realServers" is missing`, 3},
		"gone without a port":        {strings.Replace(goodApply, `"onePacket"`, `"gone":[{"address":"192.0.2.22"}],"onePacket"`, 1), `virtualServers[0]: gone[0]: field "address or port" is missing`, 3},
		"remote checksum as number":  {strings.Replace(goodApply, `"upperThreshold"`, `"tunnel":{"type":"gue","checksum":false,"remoteChecksum":2},"upperThreshold"`, 1), "remoteChecksum", 3},
		"persistence without prefix": {strings.Replace(goodApply, `"onePacket"`, `"persistence":{"timeoutSeconds":1},"onePacket"`, 1), "persistence.prefixLength", 3},
	} {
		t.Run(name, func(t *testing.T) {
			request, refusal := DecodeRequest([]byte(row.body))
			if refusal == nil || refusal.Class != ClassProtocol || !strings.Contains(refusal.Message, row.words) {
				t.Errorf("refusal %+v, wanted one with %q", refusal, row.words)
			}
			if request.ID != row.id || request.Apply != nil || request.Read != nil || request.Ping {
				t.Errorf("request %+v, wanted id %d and nothing else", request, row.id)
			}
		})
	}
	if _, refusal := DecodeRequest([]byte(goodApply)); refusal != nil {
		t.Errorf("the valid request that the rows start from: %+v", refusal)
	}
}

func TestFencesAreOrdered(t *testing.T) {
	rising := []Fence{{0, 0}, {0, 1}, {1, 0}, {1, 7}, {2, 1}}
	for low, a := range rising {
		for high, b := range rising {
			if a.Less(b) != (low < high) {
				t.Errorf("%v < %v is %t", a, b, a.Less(b))
			}
		}
	}
}
