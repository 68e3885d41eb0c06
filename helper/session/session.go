// Package session serves one operator on one stream: hello, then one response for each request, in order.
package session

import (
	"errors"
	"io"
	"log/slog"
	"time"

	"ipvs-operator.io/helper/wire"
)

// Engine carries out requests.
type Engine interface {
	Apply(wire.Apply) (wire.ApplyResult, *wire.Error)
	Read(wire.What) (wire.ReadResult, *wire.Error)
	// SettleDrains goes on with drains and answers when to look again; 0: nothing drains.
	SettleDrains() (time.Duration, *wire.Error)
}

// Session is one conversation.
type Session struct {
	Engine Engine
	Hello  wire.Hello
	// Preflight looks at the host.
	Preflight func() []wire.Check
	// Idle is how long to wait for the next frame before the session ends.
	Idle time.Duration
	// Stop ends the session between two requests, never inside one.
	Stop <-chan struct{}
	Log  *slog.Logger
}

type arrival struct {
	body []byte
	err  error
}

// Run speaks until the input ends, stays silent for too long, or cannot be trusted any more. A request that was read
// whole is carried out whole, whatever happens to the stream meanwhile. The error is nil for an orderly end.
func (s *Session) Run(input io.Reader, output io.Writer) error {
	if err := wire.WriteFrame(output, s.Hello); err != nil {
		return broken(err)
	}
	arrivals := make(chan arrival)
	done := make(chan struct{})
	defer close(done)
	go receive(input, arrivals, done)
	idle := time.NewTimer(s.Idle)
	defer idle.Stop()
	drains := newDrainWatch(s.Engine, s.Log)
	defer drains.timer.Stop()
	for {
		select {
		case <-s.Stop:
			return nil
		case <-idle.C:
			s.Log.Info("session ends: no request for too long", "idle", s.Idle.String())
			return nil
		case <-drains.timer.C:
			drains.look()
		case frame := <-arrivals:
			if errors.Is(frame.err, wire.ErrFrameTooLong) {
				return frame.err
			}
			if frame.err != nil {
				return broken(frame.err)
			}
			end := letLie(len(frame.body))
			response := s.answer(frame.body)
			err := reply(output, response)
			end()
			if err != nil {
				return broken(err)
			}
			idle.Reset(s.Idle)
			drains.notice()
		}
	}
}

// reply writes the answer, or says that it does not fit into a frame.
func reply(output io.Writer, response wire.Response) error {
	err := wire.WriteFrame(output, response)
	if errors.Is(err, wire.ErrFrameTooLong) {
		return wire.WriteFrame(output, wire.Response{ID: response.ID, Error: &wire.Error{Class: wire.ClassPermanent,
			Message: "the answer is longer than one frame may be: ask for keys or digest instead"}})
	}
	return err
}

// broken: the other side going away is how sessions end.
func broken(err error) error {
	if errors.Is(err, wire.ErrFrameTooLong) {
		return err
	}
	return nil
}

func receive(input io.Reader, arrivals chan<- arrival, done <-chan struct{}) {
	for {
		body, err := wire.ReadFrame(input)
		select {
		case arrivals <- arrival{body, err}:
		case <-done:
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *Session) answer(body []byte) wire.Response {
	request, refusal := wire.DecodeRequest(body)
	response := wire.Response{ID: request.ID, Error: refusal}
	switch {
	case refusal != nil:
	case request.Read != nil:
		response.Result, response.Error = result(s.Engine.Read(request.Read.What))
	case request.Preflight:
		response.Result = wire.PreflightResult{Checks: s.Preflight()}
	case request.Apply != nil:
		response.Result, response.Error = result(s.Engine.Apply(*request.Apply))
		s.logApply(request, response)
	default:
		response.Result = struct{}{}
	}
	response.OK = response.Error == nil
	return response
}

// result drops the empty value of a refused request.
func result[T any](value T, refusal *wire.Error) (any, *wire.Error) {
	if refusal != nil {
		return nil, refusal
	}
	return value, nil
}

func (s *Session) logApply(request wire.Request, response wire.Response) {
	log := s.Log.With("id", request.ID, "epoch", request.Apply.Fence.Epoch, "generation", request.Apply.Fence.Generation)
	if response.Error != nil {
		log.Warn("apply refused", "class", response.Error.Class, "message", response.Error.Message)
		return
	}
	answer := response.Result.(wire.ApplyResult)
	if answer.Writes > 0 || len(answer.Errors) > 0 {
		log.Info("apply", "dryRun", request.Apply.DryRun, "scope", request.Apply.Scope, "writes", answer.Writes, "errors", len(answer.Errors), "failed", len(answer.Failed))
	}
}
