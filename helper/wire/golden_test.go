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
	gue, offloaded := Tunnel{Type: "gue", Port: 6080, Checksum: true}, Tunnel{Type: "gue", Port: 6080, RemoteChecksum: true}
	web := VirtualServer{Key: Key{Address: "203.0.113.10", Port: 80, Protocol: "TCP"}, Scheduler: "mh", SchedulerFlags: []string{"mh-fallback", "mh-port"}, DrainSeconds: 30, RealServers: []RealServer{
		{"192.0.2.21", 80, 1, "DirectRouting", 0, 0, Tunnel{}}, {"192.0.2.22", 80, 1, "DirectRouting", 0, 0, Tunnel{}}}, Gone: []Endpoint{{"192.0.2.23", 80}}}
	tls := VirtualServer{Key: Key{Address: "2001:db8::10", Port: 443, Protocol: "TCP"}, Scheduler: "wlc", SchedulerFlags: []string{}, Persistence: &Persistence{10800, 128, ""},
		RealServers: []RealServer{{"2001:db8:0:1::21", 30443, 3, "Masquerading", 1000, 800, Tunnel{}}}}
	marked := VirtualServer{Key: Key{FirewallMark: 7, Family: "IPv4"}, Scheduler: "wlc", SchedulerFlags: []string{},
		RealServers: []RealServer{{"192.0.2.21", 0, 1, "Tunneling", 0, 0, gue}, {"2001:db8:0:1::21", 0, 1, "Tunneling", 0, 0, Tunnel{Type: "ipip"}}}}
	calls := VirtualServer{Key: Key{Address: "203.0.113.12", Port: 5060, Protocol: "UDP"}, Scheduler: "rr", SchedulerFlags: []string{},
		Persistence: &Persistence{300, 32, "sip"}, RealServers: []RealServer{{"203.0.113.12", 5060, 1, "Local", 0, 0, Tunnel{}}}}
	tunnelled := VirtualServer{Key: web.Key, Scheduler: "mh", SchedulerFlags: []string{"mh-fallback"}, PacketRules: PacketRules{false, []string{"198.51.100.0/24", "2001:db8::/32"}, 1400},
		RealServers: []RealServer{{"192.0.2.21", 80, 1, "Tunneling", 0, 0, gue}, {"192.0.2.22", 80, 1, "Tunneling", 0, 0, Tunnel{Type: "ipip"}}, {"192.0.2.23", 80, 1, "Tunneling", 0, 0, offloaded}}}
	masqueraded := VirtualServer{Key: Key{Address: "203.0.113.11", Port: 53, Protocol: "UDP"}, Scheduler: "rr", SchedulerFlags: []string{}, PacketRules: PacketRules{Masquerade: true},
		RealServers: []RealServer{{"192.0.2.21", 30053, 1, "Masquerading", 0, 0, Tunnel{}}}}
	for name, want := range map[string]Request{
		"request-apply-forwarding": {ID: 8, Apply: &Apply{Fence: Fence{3, 22}, Scope: ScopeListed, Interface: "lo", VirtualServers: []VirtualServer{tunnelled, masqueraded},
			Host: &Host{Sysctls: map[string]string{"net.ipv4.vs.conntrack": "1"}, Timeouts: &Timeouts{900, 120, 300}}}},
		"request-ping":      {ID: 1, Ping: true},
		"request-preflight": {ID: 6, Preflight: true},
		"request-apply-host": {ID: 7, Apply: &Apply{Fence: Fence{3, 21}, Scope: ScopeListed, Interface: "lo",
			VirtualServers: []VirtualServer{{Key: web.Key, Scheduler: "wrr", SchedulerFlags: []string{}, PacketRules: PacketRules{true, []string{"198.51.100.0/24"}, 1400}}},
			Host: &Host{Sysctls: map[string]string{"net.ipv4.vs.conntrack": "1", "net.ipv4.vs.expire_nodest_conn": "1"}, Timeouts: &Timeouts{900, 120, 300},
				SyncDaemons: &[]SyncDaemon{{Role: "master", Interface: "eth0", SyncID: 7}, {"backup", "eth0", 7, 1400, "224.0.0.82", 8849, 2}}}}},
		"request-read": {ID: 2, Read: &Read{WhatKeys}},
		"request-apply": {ID: 3, Apply: &Apply{Fence: Fence{3, 18}, Scope: ScopeListed, Interface: "lo",
			VirtualServers: []VirtualServer{web, tls}, Absent: []Key{{Address: "203.0.113.11", Port: 53, Protocol: "UDP"}}}},
		"request-apply-kinds": {ID: 5, Apply: &Apply{Fence: Fence{3, 20}, Scope: ScopeListed, Interface: "lo",
			VirtualServers: []VirtualServer{marked, calls}, Absent: []Key{{FirewallMark: 8, Family: "IPv6"}}}},
		"request-apply-named": {ID: 8, Apply: &Apply{Fence: Fence{3, 22}, DryRun: true, Scope: ScopeListed, Interface: "lo",
			Adopt: []Key{{Address: "203.0.113.13", Port: 80, Protocol: "TCP"}}, Remove: []Key{{Address: "2001:db8::13", Port: 53, Protocol: "UDP"}, {FirewallMark: 9, Family: "IPv4"}}}},
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
		"response-ping":      &Response{Result: &struct{}{}},
		"response-preflight": &Response{Result: &PreflightResult{}}, "response-read-host": &Response{Result: &ReadResult{}}, "response-read-digest": &Response{Result: &ReadResult{}}, "response-read-drift": &Response{Result: &ReadResult{}},
		"response-apply": &Response{Result: &ApplyResult{}}, "response-read-keys": &Response{Result: &ReadResult{}},
		"response-read-counters": &Response{Result: &ReadResult{}}, "response-read-kinds": &Response{Result: &ReadResult{}},
		"response-fenced": &Response{}, "response-protocol-error": &Response{},
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
