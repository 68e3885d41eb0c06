// Package rawnetlink is one netlink socket for requests: batches whose acknowledgements are matched by sequence number with
// the errno kept, single requests, and dumps that notice truncation and interruption. (mdlayher/netlink's Conn gives up at
// the first error of a datagram and forgets whose it was.)
package rawnetlink

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ErrMalformed says that bytes from the kernel are not netlink messages.
var ErrMalformed = errors.New("malformed netlink message")

const headerLength = unix.SizeofNlMsghdr

// Parse cuts a datagram into messages. The data of each points into the datagram.
func Parse(datagram []byte) ([]netlink.Message, error) {
	return appendMessages(nil, datagram)
}

// appendMessages is Parse into room that is there already.
func appendMessages(messages []netlink.Message, datagram []byte) ([]netlink.Message, error) {
	for len(datagram) > 0 {
		if len(datagram) < headerLength {
			return nil, fmt.Errorf("%w: %d bytes are too few for a header", ErrMalformed, len(datagram))
		}
		length := binary.NativeEndian.Uint32(datagram)
		if length < headerLength || uint64(length) > uint64(len(datagram)) {
			return nil, fmt.Errorf("%w: length %d in %d bytes", ErrMalformed, length, len(datagram))
		}
		messages = append(messages, netlink.Message{
			Header: netlink.Header{
				Length:   length,
				Type:     netlink.HeaderType(binary.NativeEndian.Uint16(datagram[4:])),
				Flags:    netlink.HeaderFlags(binary.NativeEndian.Uint16(datagram[6:])),
				Sequence: binary.NativeEndian.Uint32(datagram[8:]),
				PID:      binary.NativeEndian.Uint32(datagram[12:]),
			},
			Data: datagram[headerLength:length],
		})
		datagram = datagram[min(align(int(length)), len(datagram)):]
	}
	return messages, nil
}

// appendMessage encodes a message behind what is there, padded to the alignment of netlink.
func appendMessage(buffer []byte, message netlink.Message) []byte {
	length := headerLength + len(message.Data)
	buffer = binary.NativeEndian.AppendUint32(buffer, uint32(length))
	buffer = binary.NativeEndian.AppendUint16(buffer, uint16(message.Header.Type))
	buffer = binary.NativeEndian.AppendUint16(buffer, uint16(message.Header.Flags))
	buffer = binary.NativeEndian.AppendUint32(buffer, message.Header.Sequence)
	buffer = binary.NativeEndian.AppendUint32(buffer, message.Header.PID)
	buffer = append(buffer, message.Data...)
	return append(buffer, make([]byte, align(length)-length)...)
}

func align(length int) int { return (length + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// errnoIn reads the errno of an acknowledgement or of the end of a dump: nil for 0.
func errnoIn(message netlink.Message) error {
	if len(message.Data) < 4 {
		if message.Header.Type == netlink.Done {
			return nil
		}
		return fmt.Errorf("%w: acknowledgement of %d bytes", ErrMalformed, len(message.Data))
	}
	code := int32(binary.NativeEndian.Uint32(message.Data))
	if code >= 0 {
		return nil
	}
	return unix.Errno(-code)
}
