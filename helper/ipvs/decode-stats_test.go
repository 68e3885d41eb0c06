package ipvs

import (
	"encoding/hex"
	"strings"
	"testing"
)

// The bytes of IPVS_DEST_ATTR_STATS64 as kernels on little-endian hosts send them: each attribute has a value of its own, beyond 32 bits.
const goldenStats64 = "0c000100" + "0100000001000000" + "0c000200" + "0200000002000000" + "0c000300" + "0300000003000000" +
	"0c000400" + "0400000004000000" + "0c000500" + "0500000005000000" + "0c000600" + "0600000006000000" + "0c000700" + "0700000007000000" +
	"0c000800" + "0800000008000000" + "0c000900" + "0900000009000000" + "0c000a00" + "0a0000000a000000"

// IPVS_DEST_ATTR_STATS likewise: only bytes have 64 bits.
const goldenStats = "08000100" + "01000000" + "08000200" + "02000000" + "08000300" + "03000000" + "0c000400" + "0400000004000000" + "0c000500" + "0500000005000000" +
	"08000600" + "06000000" + "08000700" + "07000000" + "08000800" + "08000000" + "08000900" + "09000000" + "08000a00" + "0a000000"

const over = 1 << 32

var (
	wideStats = Stats{Connections: over + 1, InPackets: 2*over + 2, OutPackets: 3*over + 3, InBytes: 4*over + 4, OutBytes: 5*over + 5,
		ConnectionsPerSecond: 6*over + 6, InPacketsPerSecond: 7*over + 7, OutPacketsPerSecond: 8*over + 8, InBytesPerSecond: 9*over + 9, OutBytesPerSecond: 10*over + 10}
	narrowStats = Stats{Connections: 1, InPackets: 2, OutPackets: 3, InBytes: 4*over + 4, OutBytes: 5*over + 5,
		ConnectionsPerSecond: 6, InPacketsPerSecond: 7, OutPacketsPerSecond: 8, InBytesPerSecond: 9, OutBytesPerSecond: 10}
)

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A pad (attribute 11, empty) stands before each value of 64 bits where the processor wants them aligned.
var paddedStats64 = strings.ReplaceAll(goldenStats64, "0c00", "04000b00"+"0c00")

func TestGoldenStats(t *testing.T) {
	var reversed string
	for at := len(goldenStats64); at > 0; at -= 24 {
		reversed += goldenStats64[at-24 : at]
	}
	for name, row := range map[string]struct {
		narrow, wide string
		want         Stats
	}{
		"STATS64":             {"", goldenStats64, wideStats},
		"both":                {goldenStats, goldenStats64, wideStats},
		"STATS64 with pads":   {"", paddedStats64, wideStats},
		"STATS64 reversed":    {"", reversed, wideStats},
		"STATS64 and more":    {"", goldenStats64 + "0c001400" + "ffffffffffffffff", wideStats},
		"STATS":               {goldenStats, "", narrowStats},
		"STATS without rates": {goldenStats[:96], "", Stats{Connections: 1, InPackets: 2, OutPackets: 3, InBytes: 4*over + 4, OutBytes: 5*over + 5}},
		"none":                {"", "", Stats{}},
	} {
		t.Run(name, func(t *testing.T) {
			service, start := appendNested(genetlinkHeader(cmdGetService, familyVersion), cmdAttrService)
			service = appendBytes(appendServiceKey(service, goldenService.ServiceKey), svcAttrNetmask, []byte{255, 255, 255, 255})
			destination, startOfDestination := appendNested(genetlinkHeader(cmdGetDest, familyVersion), cmdAttrDest)
			destination = appendDestinationKey(destination, goldenDestination.DestinationKey)
			if row.narrow != "" {
				service = appendBytes(service, svcAttrStats, bytesOf(t, row.narrow))
				destination = appendBytes(destination, destAttrStats, bytesOf(t, row.narrow))
			}
			if row.wide != "" {
				service = appendBytes(service, svcAttrStats64, bytesOf(t, row.wide))
				destination = appendBytes(destination, destAttrStats64, bytesOf(t, row.wide))
			}
			if got, err := decodedService(endNested(service, start)); err != nil || got.Stats != row.want {
				t.Errorf("virtual server: decoded %+v, %v; wanted %+v", got.Stats, err, row.want)
			}
			if got, err := decodedDestination(endNested(destination, startOfDestination)); err != nil || got.Stats != row.want {
				t.Errorf("real server: decoded %+v, %v; wanted %+v", got.Stats, err, row.want)
			}
		})
	}
}

func TestDecodeRefusesStatsThatAreNotWhole(t *testing.T) {
	for _, raw := range []string{goldenStats64[:len(goldenStats64)-2], goldenStats64 + "0c00", "06000100" + "0100" + "0000", "0c000600" + "00000000"} {
		for _, counted := range []counters{{wide: bytesOf(t, raw)}, {narrow: bytesOf(t, raw)}} {
			var stats Stats
			if err := counted.decode(&stats); err == nil {
				t.Errorf("%s is taken as %+v", raw, stats)
			}
		}
	}
}

// Counters and rates of a hundred thousand real servers are decoded in place.
func TestDecodingStatsAllocatesNothing(t *testing.T) {
	counted := counters{bytesOf(t, goldenStats), bytesOf(t, goldenStats64)}
	var stats Stats
	if allocations := testing.AllocsPerRun(100, func() { _ = counted.decode(&stats) }); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkDecodeStats(b *testing.B) {
	raw, _ := hex.DecodeString(goldenStats64)
	var stats Stats
	for b.Loop() {
		_ = counters{wide: raw}.decode(&stats)
	}
}
