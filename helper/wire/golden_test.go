package wire

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// The examples in testdata are what both sides believe the protocol to be; the operator's tests read the same files.
func example(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestRequestExamples(t *testing.T) {
	web := VirtualServer{Key: Key{"203.0.113.10", 80, "TCP"}, Scheduler: "mh", SchedulerFlags: []string{"mh-fallback", "mh-port"}, DrainSeconds: 30, RealServers: []RealServer{
		{"192.0.2.21", 80, 1, "DirectRouting", 0, 0}, {"192.0.2.22", 80, 1, "DirectRouting", 0, 0}}}
	tls := VirtualServer{Key: Key{"2001:db8::10", 443, "TCP"}, Scheduler: "wlc", SchedulerFlags: []string{}, Persistence: &Persistence{10800, 128},
		RealServers: []RealServer{{"2001:db8:0:1::21", 30443, 3, "Masquerading", 1000, 800}}}
	for name, want := range map[string]Request{
		"request-ping": {ID: 1, Ping: true},
		"request-read": {ID: 2, Read: &Read{WhatKeys}},
		"request-apply": {ID: 3, Apply: &Apply{Fence: Fence{3, 18}, Scope: ScopeListed, Interface: "lo",
			VirtualServers: []VirtualServer{web, tls}, Absent: []Key{{"203.0.113.11", 53, "UDP"}}}},
		"request-apply-all": {ID: 4, Apply: &Apply{Fence: Fence{3, 19}, DryRun: true, Scope: ScopeAll, Interface: "lo"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, refusal := DecodeRequest(example(t, name))
			if refusal != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("decoded %+v, %v; wanted %+v", got, refusal, want)
			}
		})
	}
}

// Decoding an answer into our types and encoding it again loses and adds nothing.
func TestAnswerExamples(t *testing.T) {
	for name, target := range map[string]any{
		"hello": &Hello{}, "hello-unfit": &Hello{},
		"response-ping":  &Response{Result: &struct{}{}},
		"response-apply": &Response{Result: &ApplyResult{}}, "response-read-keys": &Response{Result: &ReadResult{}},
		"response-read-counters": &Response{Result: &ReadResult{}},
		"response-fenced":        &Response{}, "response-protocol-error": &Response{},
	} {
		t.Run(name, func(t *testing.T) {
			decoder := json.NewDecoder(bytes.NewReader(example(t, name)))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(target); err != nil {
				t.Fatal(err)
			}
			encoded, err := json.Marshal(target)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if json.Unmarshal(encoded, &got) != nil || json.Unmarshal(example(t, name), &want) != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("encoded again it is\n%s\nwanted\n%s", encoded, example(t, name))
			}
		})
	}
}
