package session

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ipvs-operator.io/helper/wire"
)

// conversation runs a session in a bubble in which time passes by itself while everybody waits.
func conversation(t *testing.T, engine *fakeEngine, log io.Writer, talk func(ask func(body string))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		requests, write := io.Pipe()
		read, answers := io.Pipe()
		session := newSession(engine)
		session.Idle = time.Hour
		if log != nil {
			session.Log = slog.New(slog.NewJSONHandler(log, nil))
		}
		done := make(chan error)
		go func() { done <- session.Run(requests, answers) }()
		if _, err := wire.ReadFrame(read); err != nil {
			t.Fatal(err)
		}
		talk(func(body string) {
			if err := wire.WriteFrame(write, json.RawMessage(body)); err != nil {
				t.Fatal(err)
			}
			if _, err := wire.ReadFrame(read); err != nil {
				t.Fatal(err)
			}
		})
		_ = write.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestLooksWhileSomethingDrains(t *testing.T) {
	engine := &fakeEngine{}
	var left atomic.Int64 // the look at the start may come before anything is asked
	engine.look = func() (time.Duration, *wire.Error) {
		if left.Load() == 0 {
			return 0, nil
		}
		left.Add(-1)
		return time.Second, nil
	}
	conversation(t, engine, nil, func(ask func(string)) {
		time.Sleep(time.Minute)
		if looks := engine.looks.Load(); looks != 1 {
			t.Errorf("%d looks although nothing drains; wanted the one at the start", looks)
		}
		ask(apply)
		time.Sleep(time.Minute)
		if looks := engine.looks.Load(); looks != 2 {
			t.Errorf("%d looks, wanted one more after a request that left nothing draining", looks)
		}
		engine.counts.Draining = 1
		left.Store(3)
		ask(apply)
		if looks := engine.looks.Load(); looks != 2 {
			t.Errorf("%d looks right after the request", looks)
		}
		time.Sleep(time.Minute)
		if looks := engine.looks.Load(); looks != 6 {
			t.Errorf("%d looks, wanted one a second until nothing drains", looks)
		}
	})
}

// Another process, or a request that failed, may have begun drains: whatever was asked, one looks, and goes on while there are any.
func TestLooksAfterEveryRequest(t *testing.T) {
	for name, row := range map[string]struct {
		body    string
		refusal *wire.Error
	}{
		"ping":                {`{"id":1,"op":"ping"}`, nil},
		"read":                {`{"id":1,"op":"read","what":"digest"}`, nil},
		"nonsense":            {`{"id":1,"op":"flush"}`, nil},
		"apply":               {apply, nil},
		"apply that failed":   {apply, &wire.Error{Class: wire.ClassRetry, Message: "read back what was written: no buffer space"}},
		"read that failed":    {`{"id":1,"op":"read","what":"full"}`, &wire.Error{Class: wire.ClassRetry, Message: "no buffer space"}},
		"apply, dry run only": {strings.Replace(apply, `"dryRun":false`, `"dryRun":true`, 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			engine := &fakeEngine{refusal: row.refusal}
			var left atomic.Int64
			engine.look = func() (time.Duration, *wire.Error) {
				if left.Load() == 0 {
					return 0, nil
				}
				left.Add(-1)
				return time.Second, nil
			}
			conversation(t, engine, nil, func(ask func(string)) {
				time.Sleep(time.Minute)
				left.Store(3)
				ask(row.body)
				time.Sleep(time.Minute)
				if looks := engine.looks.Load(); looks != 5 {
					t.Errorf("%d looks, wanted one at the start, and one a second after the request until nothing drains", looks)
				}
				for range 100 {
					ask(row.body)
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				if looks := engine.looks.Load(); looks < 6 || looks > 7 {
					t.Errorf("%d looks after a hundred requests within a second", looks)
				}
			})
		})
	}
}

// Requests that follow each other closely do not put the looks off.
func TestLooksBetweenRequests(t *testing.T) {
	engine := &fakeEngine{}
	engine.counts.Draining = 1
	engine.look = func() (time.Duration, *wire.Error) { return time.Second, nil }
	conversation(t, engine, nil, func(ask func(string)) {
		for range 100 {
			ask(apply)
			time.Sleep(100 * time.Millisecond)
		}
		if looks := engine.looks.Load(); looks < 9 || looks > 12 || len(engine.applied) != 100 {
			t.Errorf("%d looks in 10 s, %d requests", looks, len(engine.applied))
		}
	})
}

func TestLookThatFails(t *testing.T) {
	engine := &fakeEngine{}
	engine.look = func() (time.Duration, *wire.Error) {
		return time.Second, &wire.Error{Class: wire.ClassPermanent, Message: "no IPVS"}
	}
	var log bytes.Buffer
	conversation(t, engine, &log, func(ask func(string)) {
		time.Sleep(time.Minute)
		ask(`{"id":1,"op":"ping"}`)
	})
	if looks := engine.looks.Load(); looks < 5 || looks > 8 {
		t.Errorf("%d looks in a minute of failures", looks)
	}
	if got := strings.Count(log.String(), "no IPVS"); got != 1 {
		t.Errorf("the same trouble is logged %d times:\n%s", got, log.String())
	}
}
