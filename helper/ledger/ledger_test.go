package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

func key(t *testing.T, text string) ipvs.ServiceKey {
	t.Helper()
	parsed, err := ipvs.ParseServiceKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func read(t *testing.T, ledger *Ledger) Record {
	t.Helper()
	record, err := ledger.Read()
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func write(t *testing.T, ledger *Ledger, delta Delta) Record {
	t.Helper()
	read(t, ledger)
	record, err := ledger.Write(delta)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestRecordOutlivesTheSession(t *testing.T) {
	directory := t.TempDir()
	web, dns := key(t, "TCP 203.0.113.10:80"), key(t, "UDP [2001:db8::10]:53")
	vip, err := address.Parse("203.0.113.10 on lo")
	if err != nil {
		t.Fatal(err)
	}
	first, second := Open(directory, "prod", "1", "boot"), Open(directory, "prod", "1", "boot")
	write(t, first, Delta{Fence: wire.Fence{Epoch: 2, Generation: 5}, Writes: 3, AddKeys: []ipvs.ServiceKey{web, dns}, AddAddresses: []address.Assigned{vip}})
	write(t, second, Delta{Fence: wire.Fence{Epoch: 1, Generation: 9}, Writes: 1, RemoveKeys: []ipvs.ServiceKey{dns}})
	for name, ledger := range map[string]*Ledger{"the first": first, "the second": second, "a third": Open(directory, "prod", "1", "boot")} {
		record := read(t, ledger)
		if record.Fence != (wire.Fence{Epoch: 2, Generation: 5}) || record.TotalWrites != 4 || record.Revision != 2 ||
			len(record.Keys) != 1 || !record.Keys[web] || len(record.Addresses) != 1 || !record.Addresses[vip] {
			t.Errorf("%s session reads %+v", name, record)
		}
	}
	for name, other := range map[string]*Ledger{"another boot": Open(directory, "prod", "1", "boot2"), "another owner": Open(directory, "test", "1", "boot"), "another namespace": Open(directory, "prod", "2", "boot")} {
		if record := read(t, other); record.TotalWrites != 0 || len(record.Keys) != 0 || record.Fence != (wire.Fence{}) {
			t.Errorf("%s reads %+v", name, record)
		}
	}
}

func TestNothingNewWritesNothing(t *testing.T) {
	directory := t.TempDir()
	ledger := Open(directory, "prod", "1", "boot")
	web := key(t, "TCP 203.0.113.10:80")
	delta := Delta{Fence: wire.Fence{Epoch: 1, Generation: 1}, AddKeys: []ipvs.ServiceKey{web}}
	write(t, ledger, delta)
	// Held open, the files keep their identity: a replaced one is another file.
	held := map[string]*os.File{}
	for _, suffix := range []string{".state.json", ".recent.json"} {
		path := filepath.Join(directory, "prod.1"+suffix)
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		held[path] = file
	}
	write(t, ledger, delta)
	write(t, ledger, Delta{Fence: wire.Fence{Epoch: 0, Generation: 9}, RemoveKeys: []ipvs.ServiceKey{key(t, "TCP 203.0.113.11:80")}})
	for path, file := range held {
		before, errBefore := file.Stat()
		after, errAfter := os.Stat(path)
		if errBefore != nil || errAfter != nil || !os.SameFile(before, after) {
			t.Errorf("%s was replaced (%v, %v)", path, errBefore, errAfter)
		}
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	for _, suffix := range []string{".state.json", ".entries.json", ".recent.json"} {
		for name, content := range map[string]string{"torn": `{"bootId":"boot","virtualS`, "empty": ""} {
			directory := t.TempDir()
			if err := os.WriteFile(filepath.Join(directory, "prod.1"+suffix), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(directory, "prod", "1", "boot").Read(); err == nil || !strings.Contains(err.Error(), "is damaged") {
				t.Errorf("%s %s: %v", name, suffix, err)
			}
		}
	}
	for name, content := range map[string]string{
		"prod.1.entries.json": `{"bootId":"boot","virtualServers":["TCP nowhere"]}`,
		"prod.1.recent.json":  `{"bootId":"boot","removed":{"virtualServers":["TCP nowhere"]}}`,
	} {
		directory := t.TempDir()
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(directory, "prod", "1", "boot").Read(); err == nil || !strings.Contains(err.Error(), "TCP nowhere") {
			t.Errorf("a key that is none in %s: %v", name, err)
		}
	}
}

func TestOwnerNames(t *testing.T) {
	for name, good := range map[string]bool{"prod": true, "a": true, "eu-1.prod": true, "": false, "../x": false, "Prod": false, "a/b": false, "-a": false, "a.": false, strings.Repeat("a", 64): false} {
		if err := CheckOwner(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestLockIsHeldByOne(t *testing.T) {
	directory := t.TempDir()
	first, second := NewLock(directory, "1"), NewLock(directory, "1")
	second.Patience = 0
	release, err := first.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Acquire(); !errors.Is(err, ErrLockBusy) {
		t.Errorf("while it is held: %v", err)
	}
	if _, err := NewLock(directory, "2").Acquire(); err != nil {
		t.Errorf("of another namespace: %v", err)
	}
	release()
	if _, err := second.Acquire(); err != nil {
		t.Errorf("after it was released: %v", err)
	}
	if _, err := NewLock(filepath.Join(directory, "missing"), "1").Acquire(); err == nil || errors.Is(err, ErrLockBusy) {
		t.Errorf("in a directory that does not exist: %v", err)
	}
	if err := NewLock(filepath.Join(directory, "missing"), "1").Usable(); err == nil || !strings.Contains(err.Error(), "systemd-tmpfiles") {
		t.Errorf("usable in a directory that does not exist: %v", err)
	}
}
