package ipvs

import (
	"encoding/hex"
	"net/netip"
	"runtime"
	"testing"
)

var (
	goldenService = Service{ServiceKey: ServiceKey{Family: IPv4, Protocol: TCP, Address: netip.MustParseAddr("203.0.113.10"), Port: 80},
		Scheduler: "mh", Flags: FlagPersistent | FlagHashed | FlagScheduler1, Timeout: 10800, PrefixLength: 24}
	goldenDestination = Destination{DestinationKey: DestinationKey{netip.MustParseAddr("2001:db8::21"), 6080}, ForwardingMethod: Tunneling, Weight: 70000,
		UpperThreshold: 5, LowerThreshold: 3, Tunnel: Tunnel{TunnelGUE, 6080, 1}}
)

// The bytes of each message, checked by hand once against ip_vs.h (little-endian hosts).
func TestGoldenBytes(t *testing.T) {
	for name, row := range map[string]struct {
		operation Operation
		want      string
	}{
		"new service": {Operation{Kind: NewService, Service: goldenService},
			"01010000" + // command, version
				"48000180" + // nested service, 72 bytes
				"06000100" + "02000000" + // AF_INET
				"06000200" + "06000000" + // TCP
				"08000300" + "cb00710a" + "06000400" + "00500000" + // address, port
				"07000600" + "6d680000" + // "mh"
				"0c000700" + "09000000" + "ffffffff" + // flags without HASHED, full mask
				"08000800" + "302a0000" + "08000900" + "ffffff00"}, // timeout, netmask
		"delete service": {Operation{Kind: DeleteService, Service: goldenService},
			"03010000" + "24000180" + "06000100" + "02000000" + "06000200" + "06000000" + "08000300" + "cb00710a" + "06000400" + "00500000"},
		"set destination": {Operation{Kind: SetDestination, Service: goldenService, Destination: goldenDestination},
			"06010000" + "24000180" + "06000100" + "02000000" + "06000200" + "06000000" + "08000300" + "cb00710a" + "06000400" + "00500000" +
				"60000280" + "06000b00" + "0a000000" + "14000100" + "20010db8000000000000000000000021" + "06000200" + "17c00000" +
				"08000300" + "02000000" + "08000400" + "70110100" + "08000500" + "05000000" + "08000600" + "03000000" +
				"05000d00" + "01000000" + "06000e00" + "17c00000" + "06000f00" + "01000000"},
		"new firewall mark service": {Operation{Kind: DeleteService, Service: Service{ServiceKey: ServiceKey{Family: IPv6, FirewallMark: 7}}},
			"03010000" + "14000180" + "06000100" + "0a000000" + "08000500" + "07000000"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := EncodeOperation(row.operation)
			if got := hex.EncodeToString(body); err != nil || got != row.want {
				t.Errorf("encoded %s, %v\nwanted  %s", got, err, row.want)
			}
		})
	}
}

func decodedDestination(body []byte) (destination Destination, err error) {
	err = decodeDestinationMessage(body, IPv4, &destination)
	return destination, err
}

func decodedService(body []byte) (service Service, err error) {
	err = decodeServiceMessage(body, &service)
	return service, err
}

// What the encoder writes the decoder reads, though the kernel's answers carry more.
func TestCodecRoundTrip(t *testing.T) {
	body, err := EncodeOperation(Operation{Kind: SetDestination, Service: goldenService, Destination: goldenDestination})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodedDestination(body); err != nil || got != goldenDestination {
		t.Errorf("decoded %+v, %v", got, err)
	}
	for _, service := range []Service{goldenService, {ServiceKey: ServiceKey{Family: IPv6, FirewallMark: 9}, Scheduler: "rr", PrefixLength: 64, PersistenceEngine: "sip"}} {
		service.Flags &^= FlagHashed
		body, err := EncodeOperation(Operation{Kind: NewService, Service: service})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodedService(body); err != nil || got != service {
			t.Errorf("decoded %+v, %v; wanted %+v", got, err, service)
		}
	}
}

func TestDecodeRefusesWhatIsCutOff(t *testing.T) {
	body, err := EncodeOperation(Operation{Kind: SetDestination, Service: goldenService, Destination: goldenDestination})
	if err != nil {
		t.Fatal(err)
	}
	for length := range body {
		if got, err := decodedDestination(body[:length]); err == nil && got == goldenDestination {
			t.Errorf("the first %d of %d bytes decode to the whole", length, len(body))
		}
	}
}

// A netmask that is no prefix must not look like one.
func TestOddNetmask(t *testing.T) {
	body, start := appendNested(genetlinkHeader(cmdGetService, familyVersion), cmdAttrService)
	body = appendServiceKey(body, goldenService.ServiceKey)
	body = endNested(appendBytes(body, svcAttrNetmask, []byte{255, 0, 255, 0}), start)
	if got, err := decodedService(body); err != nil || got.PrefixLength != 0 {
		t.Errorf("prefix length %d, %v", got.PrefixLength, err)
	}
}

// However long attributes say they are, and however many there are, decoding allocates next to nothing.
func TestDecodingIsBounded(t *testing.T) {
	const length = 64 << 10
	many, start := appendNested(genetlinkHeader(cmdGetDest, familyVersion), cmdAttrDest)
	for len(many) < length-64 {
		many = appendUint32(many, destAttrWeight, 1)
	}
	many = endNested(many, start)
	claimed := []byte{cmdGetDest, familyVersion, 0, 0, 0xff, 0xff, cmdAttrDest, 0x80, 0xff, 0xff, destAttrStats, 0x80}
	for name, body := range map[string][]byte{"many attributes": many, "a claimed length": claimed} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decodedDestination(body)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: taken", name)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 16<<10 {
			t.Errorf("%s: %d bytes allocated for %d", name, allocated, len(body))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, operation := range []Operation{{Kind: NewService, Service: goldenService}, {Kind: SetDestination, Service: goldenService, Destination: goldenDestination}} {
		body, err := EncodeOperation(operation)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if service, err := decodedService(body); err == nil && service.FirewallMark == 0 && FamilyOf(service.Address) != service.Family {
			t.Fatalf("%+v", service)
		}
		_, _ = decodedDestination(body)
		_, _ = decodeFamilyID(body)
		_, _ = decodeTimeouts(body)
		_, _ = decodeDaemon(body)
		_, _ = decodeInfo(body)
	})
}
