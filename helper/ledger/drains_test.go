package ledger

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
)

func leaving(t *testing.T, virtualServer, realServer string) drain.Key {
	t.Helper()
	parsed, err := ipvs.ParseDestinationKey(realServer)
	if err != nil {
		t.Fatal(err)
	}
	return drain.Key{VirtualServer: key(t, virtualServer), RealServer: parsed}
}

func TestDrainsOutliveTheSession(t *testing.T) {
	directory := t.TempDir()
	first, second := Open(directory, "prod", "1", "boot"), Open(directory, "prod", "1", "boot")
	web, dns := leaving(t, "TCP 203.0.113.10:80", "192.0.2.21:80"), leaving(t, "UDP [2001:db8::10]:53", "[2001:db8:1::21]:53")
	term := drain.Begin(90*time.Minute+123456789, 30*time.Second)
	stored := drain.Term{Since: 90*time.Minute + 123*time.Millisecond, Deadline: 90*time.Minute + 30*time.Second + 123*time.Millisecond}
	write(t, first, Delta{AddDrains: map[drain.Key]drain.Term{web: term, dns: term}})
	read(t, second)
	write(t, second, Delta{RemoveDrains: []drain.Key{dns}})
	want := map[drain.Key]drain.Term{web: stored}
	for name, ledger := range map[string]*Ledger{"the first": first, "the second": second, "a third": Open(directory, "prod", "1", "boot")} {
		if record := read(t, ledger); !maps.Equal(record.Drains, want) || record.Revision != 2 {
			t.Errorf("%s session reads %+v", name, record)
		}
	}
	for name, other := range map[string]*Ledger{"another boot": Open(directory, "prod", "1", "boot2"), "another owner": Open(directory, "test", "1", "boot")} {
		if record := read(t, other); len(record.Drains) != 0 {
			t.Errorf("%s reads %+v", name, record.Drains)
		}
	}
}

// The file is there only while something drains, and the same drain again writes nothing.
func TestDrainsFile(t *testing.T) {
	directory := t.TempDir()
	ledger := Open(directory, "prod", "1", "boot")
	path := filepath.Join(directory, "prod.1.drains.json")
	web := leaving(t, "TCP 203.0.113.10:80", "192.0.2.21:80")
	begin := Delta{AddDrains: map[drain.Key]drain.Term{web: drain.Begin(time.Hour+1, time.Minute)}}
	if revision := write(t, ledger, begin).Revision; revision != 1 {
		t.Errorf("revision %d", revision)
	}
	if revision := write(t, ledger, begin).Revision; revision != 1 {
		t.Errorf("the same again: revision %d", revision)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	write(t, ledger, Delta{RemoveDrains: []drain.Key{web}})
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the last drain: %v", err)
	}
	if revision := write(t, ledger, Delta{RemoveDrains: []drain.Key{web}}).Revision; revision != 2 {
		t.Errorf("removed twice: revision %d", revision)
	}
	for name, content := range map[string]string{
		"torn":           `{"bootId":"boot","dra`,
		"no service":     `{"bootId":"boot","drains":[{"virtualServer":"TCP nowhere","realServer":"192.0.2.21:80"}]}`,
		"no real server": `{"bootId":"boot","drains":[{"virtualServer":"TCP 203.0.113.10:80","realServer":"nowhere"}]}`,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(directory, "prod", "1", "boot").Read(); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTryLock(t *testing.T) {
	directory := t.TempDir()
	release, err := NewLock(directory, "1").TryAcquire()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewLock(directory, "1").TryAcquire(); !errors.Is(err, ErrLockBusy) {
		t.Errorf("while it is held: %v", err)
	}
	release()
}
