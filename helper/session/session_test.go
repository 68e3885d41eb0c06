package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ipvs-operator.io/helper/wire"
)

type fakeEngine struct {
	applied []wire.Apply
	read    []wire.What
	answer  wire.ReadResult
	refusal *wire.Error
	inside  func()
	// look answers SettleDrains; looks counts the calls.
	look  func() (time.Duration, *wire.Error)
	looks atomic.Int64
	// counts are those of every apply's answer.
	counts wire.Counts
}

func (e *fakeEngine) Apply(request wire.Apply) (wire.ApplyResult, *wire.Error) {
	if e.inside != nil {
		e.inside()
	}
	e.applied = append(e.applied, request)
	return wire.ApplyResult{Counts: e.counts}, e.refusal
}

func (e *fakeEngine) Read(what wire.What) (wire.ReadResult, *wire.Error) {
	e.read = append(e.read, what)
	return e.answer, e.refusal
}

func (e *fakeEngine) SettleDrains() (time.Duration, *wire.Error) {
	e.looks.Add(1)
	if e.look == nil {
		return 0, nil
	}
	return e.look()
}

const apply = `{"id":7,"op":"apply","epoch":1,"generation":1,"dryRun":false,"scope":"all","interface":"lo","virtualServers":[],"absent":[]}`

func newSession(engine *fakeEngine) *Session {
	return &Session{Engine: engine, Hello: wire.Hello{Type: "hello"}, Idle: time.Minute, Log: slog.New(slog.DiscardHandler)}
}

func frames(bodies ...string) *bytes.Buffer {
	var stream bytes.Buffer
	for _, body := range bodies {
		_ = wire.WriteFrame(&stream, json.RawMessage(body))
	}
	return &stream
}

// answers reads what was written after hello.
func answers(t *testing.T, output io.Reader) []string {
	t.Helper()
	hello, err := wire.ReadFrame(output)
	if err != nil || !strings.Contains(string(hello), `"type":"hello"`) {
		t.Fatalf("first frame %s, %v", hello, err)
	}
	var bodies []string
	for {
		body, err := wire.ReadFrame(output)
		if errors.Is(err, io.EOF) {
			return bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
}

func TestRequestsAreAnsweredInOrder(t *testing.T) {
	engine := &fakeEngine{}
	var output bytes.Buffer
	input := frames(`{"id":1,"op":"ping"}`, `{"id":2,"op":"read","what":"digest"}`, `{"id":3,"op":"flush"}`, apply)
	if err := newSession(engine).Run(input, &output); err != nil {
		t.Fatal(err)
	}
	got := answers(t, &output)
	for index, start := range []string{`{"id":1,"ok":true,"result":{}}`, `{"id":2,"ok":true,"result":{"tableHash"`, `{"id":3,"ok":false,"error":{"class":"protocol"`, `{"id":7,"ok":true,"result":{"changes"`} {
		if len(got) <= index || !strings.HasPrefix(got[index], start) {
			t.Errorf("answers %v, wanted number %d to begin with %s", got, index, start)
		}
	}
	if len(engine.applied) != 1 || len(engine.read) != 1 {
		t.Errorf("applied %v, read %v", engine.applied, engine.read)
	}
}

func TestRefusalHasNoResult(t *testing.T) {
	var output bytes.Buffer
	engine := &fakeEngine{refusal: &wire.Error{Class: wire.ClassPermanent, Message: "no IPVS"}}
	if err := newSession(engine).Run(frames(apply), &output); err != nil {
		t.Fatal(err)
	}
	if got := answers(t, &output); len(got) != 1 || got[0] != `{"id":7,"ok":false,"error":{"class":"permanent","message":"no IPVS"}}` {
		t.Errorf("answers %v", got)
	}
}

func TestAnswerThatFitsNoFrame(t *testing.T) {
	var output bytes.Buffer
	engine := &fakeEngine{answer: wire.ReadResult{TableHash: strings.Repeat("x", wire.MaxFrameBytes)}}
	if err := newSession(engine).Run(frames(`{"id":1,"op":"read","what":"full"}`, `{"id":2,"op":"ping"}`), &output); err != nil {
		t.Fatal(err)
	}
	if got := answers(t, &output); len(got) != 2 || !strings.Contains(got[0], "ask for keys or digest") || got[1] != `{"id":2,"ok":true,"result":{}}` {
		t.Errorf("answers %v", got)
	}
}

func TestEnds(t *testing.T) {
	t.Run("cut inside a frame: nothing of it is carried out", func(t *testing.T) {
		for length := range frames(apply).Len() {
			engine := &fakeEngine{}
			if err := newSession(engine).Run(bytes.NewReader(frames(apply).Bytes()[:length]), io.Discard); err != nil || len(engine.applied) != 0 {
				t.Fatalf("cut after %d bytes: %v, applied %v", length, err, engine.applied)
			}
		}
	})
	t.Run("frame too long", func(t *testing.T) {
		if err := newSession(&fakeEngine{}).Run(strings.NewReader("\xff\xff\xff\xff"), io.Discard); !errors.Is(err, wire.ErrFrameTooLong) {
			t.Errorf("%v", err)
		}
	})
	t.Run("output closed: the request that was read is carried out", func(t *testing.T) {
		engine := &fakeEngine{}
		reader, writer := io.Pipe()
		engine.inside = func() { _ = reader.Close() }
		go func() { _, _ = wire.ReadFrame(reader) }()
		if err := newSession(engine).Run(frames(apply), writer); err != nil || len(engine.applied) != 1 {
			t.Errorf("%v, applied %d", err, len(engine.applied))
		}
	})
	t.Run("silence", func(t *testing.T) {
		silent, hold := io.Pipe()
		defer hold.Close()
		session := newSession(&fakeEngine{})
		session.Idle = time.Millisecond
		if err := session.Run(silent, io.Discard); err != nil {
			t.Error(err)
		}
	})
	t.Run("told to stop", func(t *testing.T) {
		silent, hold := io.Pipe()
		defer hold.Close()
		stop := make(chan struct{})
		close(stop)
		session := newSession(&fakeEngine{})
		session.Stop = stop
		if err := session.Run(silent, io.Discard); err != nil {
			t.Error(err)
		}
	})
}
