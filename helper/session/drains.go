package session

import (
	"log/slog"
	"time"

	"ipvs-operator.io/helper/wire"
)

const (
	// firstLook is how long after a request that leaves something draining one looks first.
	firstLook = time.Second
	// failedLook is how long to wait after a look that failed.
	failedLook = 10 * time.Second
)

// drainWatch looks after drains between two requests, while there are any. Without a session nobody does: nothing happens to
// the table while no operator is there, and the next session goes on.
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

// notice watches from now on if a request has left something draining.
func (w *drainWatch) notice(response wire.Response) {
	applied, isApply := response.Result.(wire.ApplyResult)
	if isApply && applied.Counts.Draining > 0 && !w.armed {
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
