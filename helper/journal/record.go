package journal

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
)

// A record is one line of header and a payload of lines, so that a person can read the file with less:
//
//	ipvs-journal 1 NUMBER LENGTH CHECKSUM HEADERCHECKSUM
//
// all in hexadecimal of fixed width: the record's number (one more than that of the record before), the payload's length in
// bytes, its CRC32C, and the CRC32C of the header up to here.
const (
	headerWords  = "ipvs-journal 1 "
	headerLength = len(headerWords) + 16 + 1 + 8 + 1 + 8 + 1 + 8 + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts the header into the room for it, which stands before the payload.
func seal(number uint64, record []byte) []byte {
	payload := record[headerLength:]
	header := fmt.Sprintf("%s%016x %08x %08x ", headerWords, number, len(payload), crc32.Checksum(payload, castagnoli))
	copy(record, fmt.Sprintf("%s%08x\n", header, crc32.Checksum([]byte(header), castagnoli)))
	return record
}

// unseal reads the record at the start of content; false when there is no whole one.
func unseal(content []byte) (number uint64, payload []byte, whole bool) {
	if len(content) < headerLength || !bytes.HasPrefix(content, []byte(headerWords)) {
		return 0, nil, false
	}
	header := content[:headerLength]
	var fields [4]uint64
	start := len(headerWords)
	for index, digits := range []int{16, 8, 8, 8} {
		end := start + digits
		value, valid := parseHexadecimal(header[start:end])
		last := index == len(fields)-1
		if !valid || !last && header[end] != ' ' || last && header[end] != '\n' {
			return 0, nil, false
		}
		fields[index], start = value, end+1
	}
	signed := header[:headerLength-9]
	if crc32.Checksum(signed, castagnoli) != uint32(fields[3]) || fields[1] > uint64(len(content)-headerLength) {
		return 0, nil, false
	}
	payload = content[headerLength : headerLength+int(fields[1])]
	return fields[0], payload, crc32.Checksum(payload, castagnoli) == uint32(fields[2])
}

// parseHexadecimal takes the one spelling that seal writes: one changed bit, and it is another number or none.
func parseHexadecimal(digits []byte) (uint64, bool) {
	for _, digit := range digits {
		if (digit < '0' || digit > '9') && (digit < 'a' || digit > 'f') {
			return 0, false
		}
	}
	value, err := strconv.ParseUint(string(digits), 16, 64)
	return value, err == nil
}

// hasRecord reports whether a whole record begins anywhere in content.
func hasRecord(content []byte) bool {
	for {
		start := bytes.Index(content, []byte(headerWords))
		if start < 0 {
			return false
		}
		if _, _, whole := unseal(content[start:]); whole {
			return true
		}
		content = content[start+1:]
	}
}
