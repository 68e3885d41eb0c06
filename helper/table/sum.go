package table

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Sum is a hash over a set of virtual servers that can be kept up to date: the digests are added modulo 2^256, so that
// changing one virtual server costs one subtraction and one addition whatever the size of the table. It guards against
// accidents, not against someone who chooses tables to collide.
type Sum struct {
	words [4]uint64
	count uint64
}

// Add puts a virtual server's digest into the sum.
func (s *Sum) Add(digest [sha256.Size]byte) {
	var carry uint64
	for index := range s.words {
		s.words[index], carry = bits.Add64(s.words[index], binary.BigEndian.Uint64(digest[index*8:]), carry)
	}
	s.count++
}

// Remove takes a digest out that was added before.
func (s *Sum) Remove(digest [sha256.Size]byte) {
	var borrow uint64
	for index := range s.words {
		s.words[index], borrow = bits.Sub64(s.words[index], binary.BigEndian.Uint64(digest[index*8:]), borrow)
	}
	s.count--
}

// String is the table hash: 32 hexadecimal digits, equal for equal sets on every director.
func (s *Sum) String() string {
	var buffer [40]byte
	for index, word := range s.words {
		binary.BigEndian.PutUint64(buffer[index*8:], word)
	}
	binary.BigEndian.PutUint64(buffer[32:], s.count)
	hash := sha256.Sum256(buffer[:])
	return hex.EncodeToString(hash[:16])
}
