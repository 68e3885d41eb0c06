package contract

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"testing"
	"time"

	"ipvs-operator.io/helper/wire"
)

// shippedStream is the operator's side of a session with the program that directors run.
type shippedStream struct {
	process *exec.Cmd
	input   io.WriteCloser
	output  io.ReadCloser
	log     bytes.Buffer
	// bound kills a helper that does not answer or end.
	bound *time.Timer
}

const shippedPatience = 60 * time.Second

func (s *shipped) arguments(verb string, more ...string) []string {
	return append([]string{verb, "--owner", "prod", "--policy", s.policyFile, "--state-dir", s.stateDir, "--journal-dir", s.journalDir}, more...)
}

// open starts a session. Its greeting is still to be received.
func (s *shipped) open(t *testing.T) *shippedStream {
	t.Helper()
	stream := &shippedStream{process: exec.Command(s.program, s.arguments("serve")...)}
	stream.process.Stderr = &stream.log
	var err error
	if stream.input, err = stream.process.StdinPipe(); err == nil {
		stream.output, err = stream.process.StdoutPipe()
	}
	if err == nil {
		err = stream.process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stream.bound = time.AfterFunc(shippedPatience, func() { _ = stream.process.Process.Kill() })
	t.Cleanup(func() { _ = stream.process.Process.Kill() })
	return stream
}

// receive waits for a frame.
func (s *shippedStream) receive(t *testing.T) json.RawMessage {
	t.Helper()
	s.bound.Reset(shippedPatience)
	frame, err := wire.ReadFrame(s.output)
	if err != nil {
		t.Fatalf("waited for a frame of the helper, up to %s: %v\n%s", shippedPatience, err, s.log.String())
	}
	return frame
}

// reply is the answer to a request.
type reply struct {
	OK     bool
	Result wire.ApplyResult
	Error  *wire.Error
}

func (s *shippedStream) reply(t *testing.T) reply {
	t.Helper()
	var answer reply
	if body := s.receive(t); json.Unmarshal(body, &answer) != nil {
		t.Fatalf("the helper answers %q", body)
	}
	return answer
}

func (s *shippedStream) send(t *testing.T, content []byte) {
	t.Helper()
	if _, err := s.input.Write(content); err != nil {
		t.Fatalf("the helper takes no request: %v\n%s", err, s.log.String())
	}
}

// end ends what is left of the stream and waits for the helper to end, in order.
func (s *shippedStream) end(t *testing.T) {
	t.Helper()
	s.bound.Reset(shippedPatience)
	_, _ = s.input.Close(), s.output.Close()
	err := s.process.Wait()
	s.bound.Stop()
	if err != nil {
		t.Errorf("waited for the helper to end by itself, up to %s: %v\n%s", shippedPatience, err, s.log.String())
	}
}

// framed is a request as it goes over the stream.
func framed(t *testing.T, request wire.Apply) []byte {
	t.Helper()
	var frame bytes.Buffer
	if err := wire.WriteFrame(&frame, sent(t, request)); err != nil {
		t.Fatal(err)
	}
	return frame.Bytes()
}
