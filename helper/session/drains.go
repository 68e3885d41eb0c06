package session

import (
	"log/slog"
	"time"
)

const (
	// firstLook is how long after a request one looks.
	firstLook = time.Second
	// failedLook is how long to wait after a look that failed.
	failedLook = 10 * time.Second
)

// drainWatch looks after drains between two requests, while there are any, and once after each request whether there are. Without a
// session nobody does: nothing happens to the table while no operator is there, and the next session goes on.
type drainWatch struct {
	engine  Engine
	log     *slog.Logger
	timer   *time.Timer
	armed   bool
	trouble string // what was logged last
}

// newDrainWatch looks at once for what an earlier session has left.
func newDrainWatch(engine Engine, log *slog.Logger) *drainWatch {
	return &drainWatch{engine: engine, log: log, timer: time.NewTimer(0), armed: true}
}

// notice looks a second after a request, whatever it was: one that failed may have begun drains, and so may another process meanwhile
// (apply --once), of which nobody tells us. A look reads a small file; requests that follow each other closely share one.
func (w *drainWatch) notice() {
	if !w.armed {
		w.lookAfter(firstLook)
	}
}

func (w *drainWatch) look() {
	w.armed = false
	next, refusal := w.engine.SettleDrains()
	if refusal == nil {
		w.trouble = ""
		w.lookAfter(next)
		return
	}
	if refusal.Message != w.trouble {
		w.trouble = refusal.Message
		w.log.Warn("drains cannot go on now", "class", refusal.Class, "message", refusal.Message, "nextLook", failedLook.String())
	}
	w.lookAfter(failedLook)
}

func (w *drainWatch) lookAfter(wait time.Duration) {
	if wait > 0 {
		w.timer.Reset(wait)
		w.armed = true
	}
}
