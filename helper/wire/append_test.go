package wire

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// words are strings of every kind that encoding/json treats in a way of its own.
var words = []string{"", "TCP", "203.0.113.10", "a \"quoted\" \\ word", "<&>", "é\u2028", "\x00\t\n\x7f", "\xff\xfe", "add real server 192.0.2.21:80 weight 1 to TCP 203.0.113.10:80"}

type chooser struct{ *rand.Rand }

func (c chooser) word() string { return words[c.IntN(len(words))] }

func (c chooser) number() int64 { return []int64{0, 1, -1, 80, 1 << 62, -1 << 63}[c.IntN(6)] }

func (c chooser) words() []string {
	switch c.IntN(4) {
	case 0:
		return nil
	case 1:
		return []string{}
	}
	return []string{c.word(), c.word()}[:1+c.IntN(2)]
}

func (c chooser) yes() bool { return c.IntN(2) == 0 }

func (c chooser) virtualServer() VirtualServer {
	v := VirtualServer{Scheduler: c.word(), SchedulerFlags: c.words(), OnePacket: c.yes(), DrainSeconds: c.number(),
		Key:         Key{Address: c.word(), Port: c.number(), Protocol: c.word(), FirewallMark: c.number(), Family: c.word()},
		PacketRules: PacketRules{Masquerade: c.yes(), SourceRanges: c.words(), MSSClamp: c.number()}}
	if c.yes() {
		v.Persistence = &Persistence{TimeoutSeconds: c.number(), PrefixLength: c.number(), Engine: c.word()}
	}
	if c.yes() {
		v.RealServers = []RealServer{}
	}
	for index := range c.IntN(5) {
		server := RealServer{Address: c.word(), Port: c.number(), Weight: c.number(), ForwardingMethod: c.word(),
			UpperThreshold: c.number(), LowerThreshold: c.number(), Tunnel: Tunnel{Type: c.word(), Port: c.number(), Checksum: c.yes(), RemoteChecksum: c.yes()}}
		if index > 0 && c.yes() {
			server = c.like(v.RealServers[index-1])
		}
		v.RealServers = append(v.RealServers, server)
	}
	for range c.IntN(3) {
		v.Gone = append(v.Gone, Endpoint{Address: c.word(), Port: c.number()})
	}
	return v
}

// like is a real server that differs in its address, or in one thing more.
func (c chooser) like(server RealServer) RealServer {
	server.Address = c.word()
	switch c.IntN(12) {
	case 0:
		server.Port++
	case 1:
		server.Weight++
	case 2:
		server.ForwardingMethod += "x"
	case 3:
		server.UpperThreshold++
	case 4:
		server.LowerThreshold++
	case 5:
		server.Tunnel.Checksum = !server.Tunnel.Checksum
	case 6:
		server.Tunnel.RemoteChecksum = !server.Tunnel.RemoteChecksum
	}
	return server
}

func (c chooser) response() Response {
	result := ApplyResult{Errors: []Error{}, Failed: []Key{}, Writes: c.IntN(9), TotalWrites: c.Uint64(), TableHash: c.word(), Counts: Counts{Draining: c.IntN(9)}}
	for range c.IntN(4) {
		result.Changes = append(result.Changes, Change{c.word(), c.word(), c.word()})
		result.Errors = append(result.Errors, Error{Class: ClassObject, Message: c.word(), Errno: c.word(), Object: c.word()})
		result.Failed = append(result.Failed, Key{Address: c.word(), Port: c.number()})
	}
	response := Response{ID: c.number(), OK: c.yes(), Result: result}
	if c.yes() {
		response.Error = &Error{Class: ClassRetry, Message: c.word(), Highest: &Fence{1, 2}}
	}
	return response
}

// What is written without encoding/json is what encoding/json writes, byte for byte: the journal compares bytes.
func TestAppendWritesWhatEncodingJSONWrites(t *testing.T) {
	c := chooser{rand.New(rand.NewPCG(1, 2))}
	for range 20_000 {
		virtualServer, response := c.virtualServer(), c.response()
		want, err := json.Marshal(virtualServer)
		if err != nil {
			t.Fatal(err)
		}
		if got := virtualServer.Append(nil); !bytes.Equal(got, want) {
			t.Fatalf("%+v\ngot    %s\nwanted %s", virtualServer, got, want)
		}
		if want, err = json.Marshal(response); err != nil {
			t.Fatal(err)
		}
		if got, err := appendMessage(nil, response); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%+v\ngot    %s, %v\nwanted %s", response, got, err, want)
		}
	}
}
