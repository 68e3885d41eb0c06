package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Cut anywhere inside its last record, the file is what it was before that record, and the next record is read after it.
func TestTornEndAtEveryByte(t *testing.T) {
	j := threeRecords(t)
	content, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	start := startOfLast(content)
	for length := start + 1; length < len(content); length++ {
		torn := fileWith(t, content[:length])
		wantState(t, read(t, torn), afterTwo)
		if torn.Lost() != int64(length-start) {
			t.Fatalf("cut at %d: %d bytes lost", length, torn.Lost())
		}
	}
	for _, garbage := range []string{"\x00\x00\x00\x00", "ipvs-journal 1 ", strings.Repeat("x", 500)} {
		torn := fileWith(t, append(slices.Clone(content), garbage...))
		wantState(t, read(t, torn), afterThree)
		write(t, torn, told(4, nil, web))
		wantState(t, reopened(t, torn), "1/4 TCP [2001:db8::10]:443@lo×1")
		if torn.Lost() != 0 || reopenedLost(t, torn) != 0 {
			t.Error("the torn end is still there")
		}
	}
}

func reopenedLost(t *testing.T, j *Journal) int64 {
	t.Helper()
	again := Open(filepath.Dir(j.path), "prod")
	read(t, again)
	return again.Lost()
}

func startOfLast(content []byte) int { return strings.LastIndex(string(content), headerWords) }

func fileWith(t *testing.T, content []byte) *Journal {
	t.Helper()
	j := open(t)
	if err := os.WriteFile(j.path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return j
}

// One changed bit anywhere: in the last record it is a lost end, anywhere before it nothing is believed. Never another state.
func TestOneChangedBit(t *testing.T) {
	j := threeRecords(t)
	content, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	start := startOfLast(content)
	for position := range content {
		for bit := range 8 {
			content[position] ^= 1 << bit
			changed, err := loaded(content)
			content[position] ^= 1 << bit
			switch {
			case position >= start && (err != nil || summary(t, changed.state) != afterTwo || changed.end != int64(start)):
				t.Fatalf("bit %d of byte %d, in the last record: %v, believed up to %d", bit, position, err, changed.end)
			case position < start && !errors.Is(err, ErrDamaged):
				t.Fatalf("bit %d of byte %d: %v, wanted damage", bit, position, err)
			}
		}
	}
}

// loaded is a journal that has read this content.
func loaded(content []byte) (*Journal, error) {
	j := Open("", "prod")
	j.state = emptyState()
	return j, j.load(content, 0)
}

func TestDamage(t *testing.T) {
	j := threeRecords(t)
	content, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	second := len(headerWords) + strings.Index(string(content[len(headerWords):]), headerWords)
	third := startOfLast(content)
	for name, row := range map[string]struct {
		content []byte
		words   string
	}{
		"empty file":                 {nil, "the file is empty"},
		"only the first record torn": {content[:second-1], "byte 0: the record is not what was written"},
		"first record missing":       {content[second:], "does not belong here"},
		"a record missing":           {slices.Concat(content[:second], content[third:]), "record 3 follows record 1"},
		"a record twice":             {slices.Concat(content[:third], content[second:third]), "record 2 follows record 2"},
		"zeros in the middle":        {slices.Concat(content[:second], make([]byte, third-second), content[third:]), fmt.Sprintf("at byte %d: the record is not what was written", second)},
		"something else":             {[]byte("hello\n"), "byte 0"},
		"of another owner":           {sealed(1, []byte(`{"kind":"whole","owner":"test"}`+"\n")), `it is of owner "test"`},
		"a line of another version":  {sealed(1, []byte(`{"kind":"whole","owner":"prod"}`+"\nmore\n")), `a line of it begins with "more"`},
		"no virtual server":          {sealed(1, []byte(`{"kind":"whole","owner":"prod"}`+"\n-\tTCP 203.0.113.010:80\n")), "it names no virtual server"},
		"no last line end":           {sealed(1, []byte(`{"kind":"whole","owner":"prod"}`)), "its last line has no end"},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := fileWith(t, row.content)
			if _, err := damaged.Read(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), row.words) || !strings.Contains(err.Error(), "mv "+damaged.path) {
				t.Errorf("%v, wanted damage with %q", err, row.words)
			}
			if damaged.Usable() == nil {
				t.Error("it counts as usable")
			}
			if kept, err := os.ReadFile(damaged.path); err != nil || !slices.Equal(kept, row.content) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}
