package session

import (
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// What a large request leaves lying is not collected meanwhile, within the bound; what a small one leaves is, and afterwards all is as before.
func TestLargeRequestIsNotInterruptedByTheCollector(t *testing.T) {
	percent := debug.SetGCPercent(100)
	defer debug.SetGCPercent(percent)
	large := strings.Replace(apply, `"interface":"lo"`, `"interface":"`+strings.Repeat("x", largeRequest)+`"`, 1)
	for _, row := range []struct {
		name      string
		body      string
		leaves    int
		collected bool
	}{
		{"small", apply, memoryPerByte * largeRequest, true},
		{"large", large, memoryPerByte * largeRequest / 2, false},
		{"large, and far more than it needs", large, 16 * memoryPerByte * largeRequest, true},
		{"small again", apply, memoryPerByte * largeRequest, true},
	} {
		var collections uint32
		engine := &fakeEngine{inside: func() { collections = collectionsWhile(func() { leave(row.leaves) }) }}
		if err := newSession(engine).Run(frames(row.body), io.Discard); err != nil {
			t.Fatal(err)
		}
		if len(engine.applied) != 1 || collections > 0 != row.collected {
			t.Errorf("%s: %d requests, collected %d times", row.name, len(engine.applied), collections)
		}
	}
	if now := debug.SetGCPercent(100); now != 100 {
		t.Errorf("afterwards the percentage is %d", now)
	}
}

func collectionsWhile(do func()) uint32 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

var left []byte

// leave makes so many bytes of garbage.
func leave(bytes int) {
	const piece = 64 << 10
	for range bytes / piece {
		left = make([]byte, piece)
	}
}
