package ipvs

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// counters are the attributes STATS, in 32 bit, and STATS64, which kernels send beside it: only one of them is read.
type counters struct{ narrow, wide []byte }

func (c counters) decode(stats *Stats) error {
	if takeUsualStats(c.wide, stats) {
		return nil
	}
	if c.wide != nil {
		return decodeStats(c.wide, stats)
	}
	return decodeStats(c.narrow, stats)
}

// takeUsualStats reads STATS64 as kernels write it where 64 bits need no padding: ten attributes of 64 bits, in order. False, and
// nothing read, for every other form.
func takeUsualStats(attributes []byte, stats *Stats) bool {
	const size = unix.SizeofNlAttr + 8
	if len(attributes) != statsAttrMax*size {
		return false
	}
	var read [statsAttrMax + 1]uint64
	for kind := 1; kind <= statsAttrMax; kind++ {
		attribute := attributes[:size]
		attributes = attributes[size:]
		if binary.NativeEndian.Uint16(attribute) != size || attributeKind(attribute) != uint16(kind) {
			return false
		}
		read[kind] = binary.NativeEndian.Uint64(attribute[unix.SizeofNlAttr:])
	}
	*stats = Stats{
		Connections: read[statsAttrConns], InPackets: read[statsAttrInPkts], OutPackets: read[statsAttrOutPkts],
		InBytes: read[statsAttrInBytes], OutBytes: read[statsAttrOutBytes],
		ConnectionsPerSecond: read[statsAttrCPS], InPacketsPerSecond: read[statsAttrInPPS], OutPacketsPerSecond: read[statsAttrOutPPS],
		InBytesPerSecond: read[statsAttrInBPS], OutBytesPerSecond: read[statsAttrOutBPS],
	}
	return true
}

// decodeStats reads IPVS_STATS_ATTR_* in any form. In STATS bytes have 64 bits and the rest 32, in STATS64 all have 64.
func decodeStats(attributes []byte, stats *Stats) error {
	counted := [...]*uint64{
		statsAttrConns: &stats.Connections, statsAttrInPkts: &stats.InPackets, statsAttrOutPkts: &stats.OutPackets,
		statsAttrInBytes: &stats.InBytes, statsAttrOutBytes: &stats.OutBytes,
		statsAttrCPS: &stats.ConnectionsPerSecond, statsAttrInPPS: &stats.InPacketsPerSecond, statsAttrOutPPS: &stats.OutPacketsPerSecond,
		statsAttrInBPS: &stats.InBytesPerSecond, statsAttrOutBPS: &stats.OutBytesPerSecond,
	}
	for len(attributes) > 0 {
		length := attributeLength(attributes)
		if length == 0 {
			return notWhole(attributes)
		}
		if kind := attributeKind(attributes); int(kind) < len(counted) && counted[kind] != nil {
			if !takeCounter(attributes[unix.SizeofNlAttr:length], counted[kind]) {
				return fmt.Errorf("counter of %d bytes", length-unix.SizeofNlAttr)
			}
		}
		attributes = attributes[min(alignAttribute(length), len(attributes)):]
	}
	return nil
}

func takeCounter(raw []byte, counter *uint64) bool {
	switch len(raw) {
	case 4:
		*counter = uint64(binary.NativeEndian.Uint32(raw))
	case 8:
		*counter = binary.NativeEndian.Uint64(raw)
	default:
		return false
	}
	return true
}
