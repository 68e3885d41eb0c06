// Package wire is the protocol between operator and helper, as docs/wire-protocol.md describes it: frames, requests and
// responses, decoded strictly. It knows nothing of kernels.
package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
	var body bytes.Buffer
	if _, err := io.CopyN(&body, stream, int64(length)); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return body.Bytes(), nil
}

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
