// Package wire is the protocol between operator and helper, as docs/wire-protocol.md describes it: frames, requests and
// responses, decoded strictly. It knows nothing of kernels.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxFrameBytes is the longest frame either side may send. A longer one ends the session.
const MaxFrameBytes = 16 << 20

// ErrFrameTooLong ends a session: the stream cannot be trusted after such a length.
var ErrFrameTooLong = fmt.Errorf("frame is longer than %d bytes", MaxFrameBytes)

// ReadFrame reads one frame's body. io.EOF means that the stream ended between two frames, io.ErrUnexpectedEOF inside
// one. Memory grows with the bytes that arrive, never with the length that is claimed.
func ReadFrame(stream io.Reader) ([]byte, error) {
	var header [4]byte
	if _, err := io.ReadFull(stream, header[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(header[:])
	if length > MaxFrameBytes {
		return nil, ErrFrameTooLong
	}
	body := make([]byte, 0, min(int(length), firstBytes))
	for len(body) < int(length) {
		if len(body) == cap(body) {
			body = slices.Grow(body, min(growth*cap(body), int(length))-len(body))
		}
		count, err := io.ReadFull(stream, body[len(body):min(cap(body), int(length))])
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		body = body[:len(body)+count]
	}
	return body, nil
}

// There is room for so many bytes before they arrive, and for so many times as many whenever that is full.
const (
	firstBytes = 32 << 10
	growth     = 4
)

// WriteFrame encodes the message and writes it as one frame in one call.
func WriteFrame(stream io.Writer, message any) error {
	frame, err := appendMessage(make([]byte, 4), message)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	length := len(frame) - 4
	if length > MaxFrameBytes {
		return ErrFrameTooLong
	}
	binary.BigEndian.PutUint32(frame, uint32(length))
	_, err = stream.Write(frame)
	return err
}
