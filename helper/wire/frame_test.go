package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFramesRoundTrip(t *testing.T) {
	var stream bytes.Buffer
	for _, message := range []string{"", "a", strings.Repeat("x", 70000)} {
		if err := WriteFrame(&stream, message); err != nil {
			t.Fatal(err)
		}
	}
	reader := iotest.OneByteReader(&stream)
	for _, want := range []string{`""`, `"a"`, `"` + strings.Repeat("x", 70000) + `"`} {
		if got, err := ReadFrame(reader); err != nil || string(got) != want {
			t.Errorf("read %d bytes, %v; wanted %d", len(got), err, len(want))
		}
	}
	if _, err := ReadFrame(reader); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, wanted EOF", err)
	}
}

func TestFramesThatEndTheSession(t *testing.T) {
	for name, row := range map[string]struct {
		stream string
		want   error
	}{
		"cut in the length":          {"\x00\x00", io.ErrUnexpectedEOF},
		"cut in the body":            {"\x00\x00\x00\x05abc", io.ErrUnexpectedEOF},
		"no body":                    {"\x00\x00\x00\x05", io.ErrUnexpectedEOF},
		"cut behind the first bytes": {"\x00\x01\x00\x00" + strings.Repeat("x", firstBytes), io.ErrUnexpectedEOF},
		"cut behind more than those": {"\x00\x01\x00\x00" + strings.Repeat("x", firstBytes+1), io.ErrUnexpectedEOF},
		"too long by one":            {"\x01\x00\x00\x01", ErrFrameTooLong},
		"longest length":             {"\xff\xff\xff\xff", ErrFrameTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadFrame(strings.NewReader(row.stream)); !errors.Is(err, row.want) {
				t.Errorf("%v, wanted %v", err, row.want)
			}
		})
	}
	if err := WriteFrame(io.Discard, strings.Repeat("x", MaxFrameBytes)); !errors.Is(err, ErrFrameTooLong) {
		t.Errorf("writing too much: %v", err)
	}
}

// A claimed length costs nothing before the bytes arrive.
func TestClaimedLengthAllocatesNothing(t *testing.T) {
	stream := "\x01\x00\x00\x00" // 16 MiB, and then nothing
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = ReadFrame(strings.NewReader(stream))
		}
	}).AllocedBytesPerOp()
	if allocated > 64<<10 {
		t.Errorf("%d bytes allocated for a frame that never came", allocated)
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, seed := range []string{"", "\x00\x00\x00\x02{}", "\x00\x00\x00\x05abc", "\xff\xff\xff\xff", "\x00\x00\x00\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		reader := bytes.NewReader(stream)
		for {
			body, err := ReadFrame(reader)
			if err != nil {
				return
			}
			if len(body) > len(stream) {
				t.Fatalf("%d bytes out of %d", len(body), len(stream))
			}
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(goodApply))
	f.Add([]byte(`{"id":1,"op":"ping"}`))
	f.Add([]byte(`{"id":1,"op":"read","what":"full"}`))
	f.Add([]byte(`{"id":1,"id":[[[[[[`))
	examples, _ := filepath.Glob("../testdata/request-*.json")
	for _, path := range examples {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		agree(t, body)
		request, refusal := DecodeRequest(body)
		set := 0
		for _, present := range []bool{request.Ping, request.Preflight, request.Read != nil, request.Apply != nil} {
			if present {
				set++
			}
		}
		if refusal == nil && set != 1 || refusal != nil && refusal.Class != ClassProtocol {
			t.Fatalf("request %+v, refusal %+v", request, refusal)
		}
	})
}
