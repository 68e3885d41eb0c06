package ipvs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/sys/unix"
)

// Netlink attributes (struct nlattr: length, type, value, padding to 4 bytes), cut and appended in place: a large table has
// hundreds of thousands of them.

// attributeTypeMask is NLA_TYPE_MASK: the upper two bits of a type are flags.
const attributeTypeMask = 0x3fff

// cutAttribute reads the attribute that the bytes begin with. The value points into them.
func cutAttribute(attributes []byte) (kind uint16, value, after []byte, err error) {
	length := attributeLength(attributes)
	if length == 0 {
		return 0, nil, nil, notWhole(attributes)
	}
	return attributeKind(attributes), attributes[unix.SizeofNlAttr:length], attributes[min(alignAttribute(length), len(attributes)):], nil
}

// attributeLength is that of the attribute that the bytes begin with; 0 when they begin with no whole one.
func attributeLength(attributes []byte) int {
	if len(attributes) < unix.SizeofNlAttr {
		return 0
	}
	length := int(binary.NativeEndian.Uint16(attributes))
	if length < unix.SizeofNlAttr || length > len(attributes) {
		return 0
	}
	return length
}

func attributeKind(attributes []byte) uint16 {
	return binary.NativeEndian.Uint16(attributes[2:]) & attributeTypeMask
}

func notWhole(attributes []byte) error {
	if len(attributes) < unix.SizeofNlAttr {
		return fmt.Errorf("%d bytes are too few for an attribute", len(attributes))
	}
	return fmt.Errorf("attribute of length %d in %d bytes", binary.NativeEndian.Uint16(attributes), len(attributes))
}

// eachAttribute visits all attributes until one is not understood.
func eachAttribute(attributes []byte, visit func(kind uint16, value []byte) error) error {
	for rest := attributes; len(rest) > 0; {
		kind, value, after, err := cutAttribute(rest)
		if err == nil {
			err = visit(kind, value)
		}
		if err != nil {
			return err
		}
		rest = after
	}
	return nil
}

func alignAttribute(length int) int { return (length + unix.NLA_ALIGNTO - 1) &^ (unix.NLA_ALIGNTO - 1) }

// decodeNumber reads a number of exactly the size of its type, in the host's order.
func decodeNumber[T ~uint8 | ~uint16 | ~uint32](raw []byte, number *T) error {
	if !takeNumber(raw, number) {
		return fmt.Errorf("number of %d bytes", len(raw))
	}
	return nil
}

// takeNumber is decodeNumber without words.
func takeNumber[T ~uint8 | ~uint16 | ~uint32](raw []byte, number *T) bool {
	if 8*len(raw) != bits.Len32(uint32(^T(0))) {
		return false
	}
	switch len(raw) {
	case 1:
		*number = T(raw[0])
	case 2:
		*number = T(binary.NativeEndian.Uint16(raw))
	case 4:
		*number = T(binary.NativeEndian.Uint32(raw))
	}
	return true
}

// decodeName reads a string up to its final NUL.
func decodeName(raw []byte) string {
	name, _, _ := bytes.Cut(raw, []byte{0})
	return string(name)
}

// appendHeader begins an attribute whose value has so many bytes; the value follows, then pad.
func appendHeader(buffer []byte, kind uint16, valueLength int) []byte {
	buffer = binary.NativeEndian.AppendUint16(buffer, uint16(unix.SizeofNlAttr+valueLength))
	return binary.NativeEndian.AppendUint16(buffer, kind)
}

func appendBytes(buffer []byte, kind uint16, value []byte) []byte {
	return pad(append(appendHeader(buffer, kind, len(value)), value...))
}

// appendName writes a string with its final NUL.
func appendName(buffer []byte, kind uint16, name string) []byte {
	return pad(append(append(appendHeader(buffer, kind, len(name)+1), name...), 0))
}

func appendUint8(buffer []byte, kind uint16, value uint8) []byte {
	return pad(append(appendHeader(buffer, kind, 1), value))
}

func appendUint16(buffer []byte, kind uint16, value uint16) []byte {
	return pad(binary.NativeEndian.AppendUint16(appendHeader(buffer, kind, 2), value))
}

func appendUint32(buffer []byte, kind uint16, value uint32) []byte {
	return binary.NativeEndian.AppendUint32(appendHeader(buffer, kind, 4), value)
}

// appendPort is big-endian, as in a packet.
func appendPort(buffer []byte, kind uint16, port uint16) []byte {
	return pad(binary.BigEndian.AppendUint16(appendHeader(buffer, kind, 2), port))
}

// appendNested begins an attribute that holds others; endNested, with the position that is returned here, ends it.
func appendNested(buffer []byte, kind uint16) ([]byte, int) {
	return appendHeader(buffer, kind|unix.NLA_F_NESTED, 0), len(buffer)
}

func endNested(buffer []byte, start int) []byte {
	binary.NativeEndian.PutUint16(buffer[start:], uint16(len(buffer)-start))
	return buffer
}

// pad fills up to the alignment: attributes begin at multiples of 4 because everything before them does.
func pad(buffer []byte) []byte {
	for len(buffer)%unix.NLA_ALIGNTO != 0 {
		buffer = append(buffer, 0)
	}
	return buffer
}
