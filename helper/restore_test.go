package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"ipvs-operator.io/helper/apply"
	"ipvs-operator.io/helper/wire"
)

// withDisk is a host as place makes it, that keeps journals. Its table is gone after every verb, as after a reboot.
func withDisk(t *testing.T) (arguments []string, directory string) {
	t.Helper()
	directory = t.TempDir()
	return append(place(t, strings.Replace(grants, `"owners":{`, `"owners":{"test":{"virtualServers":["198.51.100.0/24"],"realServers":["192.0.2.0/24"],"interfaces":["lo"]},`, 1)), "--journal-dir", directory), directory
}

func TestRestoreForPeople(t *testing.T) {
	arguments, directory := withDisk(t)
	if code, output, _ := runWith(nil, append([]string{"restore"}, arguments...)...); code != exitDone || !strings.Contains(output, "nothing to restore") {
		t.Errorf("without a journal: %d\n%s", code, output)
	}
	if code, _, errors := runWith(example(t, "request-apply"), append([]string{"apply", "--once"}, arguments...)...); code != exitDone {
		t.Fatalf("apply: %d\n%s", code, errors)
	}
	everyone := append([]string{"restore"}, arguments[2:]...)
	code, output, errors := runWith(nil, everyone...)
	if code != exitDone || errors != "" || !strings.Contains(output, "owner prod: 7 writes; table ") || !strings.Contains(output, "(epoch 3 generation 18)") || !strings.Contains(output, "owner test: there is no journal yet") {
		t.Errorf("all owners: %d\n%s%s", code, output, errors)
	}
	if hello, _ := talk(t, arguments); hello.Epoch != 3 || hello.Generation != 18 || len(hello.Problems) != 0 {
		t.Errorf("hello %+v", hello)
	}
	file := filepath.Join(directory, "prod.journal")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content[80] ^= 4
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	code, output, errors = runWith(nil, everyone...)
	if code != exitFailed || !strings.Contains(errors, "owner prod: NOTHING RESTORED: the journal is damaged") || !strings.Contains(errors, "mv "+file) || !strings.Contains(output, "owner test:") {
		t.Errorf("damaged: %d\n%s%s", code, output, errors)
	}
	hello, answers := talk(t, arguments, example(t, "request-apply"))
	if refusal, _ := answers[0]["error"].(map[string]any); len(hello.Problems) != 1 || !strings.Contains(hello.Problems[0], "the journal is damaged") || refusal["class"] != "permanent" {
		t.Errorf("problems %q, answers %v", hello.Problems, answers)
	}
}

func TestRestoreIsWithinThePolicy(t *testing.T) {
	arguments, _ := withDisk(t)
	if code, _, errors := runWith(example(t, "request-apply"), append([]string{"apply", "--once"}, arguments...)...); code != exitDone {
		t.Fatalf("apply: %d\n%s", code, errors)
	}
	if err := os.WriteFile(arguments[3], []byte(strings.Replace(grants, `"203.0.113.0/24",`, "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, output, errors := runWith(nil, append([]string{"restore"}, arguments...)...)
	if code != exitDone || !strings.Contains(errors, "left out (policy): TCP 203.0.113.10:80: policy rule owners.prod.virtualServers") || !strings.Contains(output, "1 virtual servers") {
		t.Errorf("%d\n%s%s", code, output, errors)
	}
}

func TestDriftForPeople(t *testing.T) {
	arguments, _ := withDisk(t)
	if code, output, _ := runWith(nil, append([]string{"drift"}, arguments...)...); code != exitDone || output != "0 differences between kernel and journal; 0 orphans\n" {
		t.Errorf("nothing: %d\n%s", code, output)
	}
	if code, _, errors := runWith(example(t, "request-apply"), append([]string{"apply", "--once"}, arguments...)...); code != exitDone {
		t.Fatalf("apply: %d\n%s", code, errors)
	}
	if code, output, _ := runWith(nil, append([]string{"drift"}, arguments...)...); code != exitFailed || !strings.Contains(output, "add virtual server TCP 203.0.113.10:80") || !strings.Contains(output, "7 differences") {
		t.Errorf("the table is gone: %d\n%s", code, output)
	}
}

func TestNamedForPeople(t *testing.T) {
	arguments, _ := withDisk(t)
	for _, row := range []struct {
		words  []string
		code   int
		output string
	}{
		{append([]string{"orphans"}, arguments...), exitDone, ""},
		{append(append([]string{"remove"}, arguments...), "TCP", "203.0.113.9:80", "UDP [2001:db8::9]:53"), exitDone, "0 writes"},
		{append(append([]string{"adopt", "--dry-run"}, arguments...), "TCP 203.0.113.9:80"), exitFailed, "there is no such virtual server to adopt"},
		{append(append([]string{"remove"}, arguments...), "TCP 198.51.100.9:80"), exitFailed, "owners.prod.virtualServers"},
	} {
		if code, output, errors := runWith(nil, row.words...); code != row.code || !strings.Contains(output, row.output) {
			t.Errorf("%v: %d\n%s%s", row.words, code, output, errors)
		}
	}
	for _, words := range [][]string{{}, {"203.0.113.9:80"}, {"ICMP 203.0.113.9:80"}} {
		if code, _, errors := runWith(nil, append(append([]string{"adopt"}, arguments...), words...)...); code != exitUsage || errors == "" {
			t.Errorf("%v: %d %s", words, code, errors)
		}
	}
}

// scripted answers each attempt to restore with the next row.
type scripted struct {
	rows     []attempt
	attempts int
}

type attempt struct {
	restored apply.Restored
	refusal  *wire.Error
}

func (s *scripted) Restore() (apply.Restored, *wire.Error) {
	row := s.rows[min(s.attempts, len(s.rows)-1)]
	s.attempts++
	return row.restored, row.refusal
}

// A restore that fails says whether anything was written, and is tried once more when that may help.
func TestRestoreThatFails(t *testing.T) {
	reading := &wire.Error{Class: wire.ClassRetry, Message: "read back what was written: no buffer space"}
	busy := &wire.Error{Class: wire.ClassRetry, Message: "another request"}
	damaged := &wire.Error{Class: wire.ClassPermanent, Message: "the journal is damaged"}
	begun := func(writes int) apply.Restored {
		return apply.Restored{Begun: true, ApplyResult: wire.ApplyResult{Writes: writes}}
	}
	whole := attempt{restored: apply.Restored{Begun: true, ApplyResult: wire.ApplyResult{Writes: 2}}}
	for name, row := range map[string]struct {
		rows     []attempt
		attempts int
		restored bool
		errors   []string
		output   string
	}{
		"nothing, for good": {[]attempt{{refusal: damaged}}, 1, false, []string{"NOTHING RESTORED: the journal is damaged (permanent)"}, ""},
		"nothing, twice":    {[]attempt{{refusal: busy}}, 2, false, []string{"NOTHING RESTORED: another request (retry); trying once more", "NOTHING RESTORED: another request (retry)"}, ""},
		"written, for good": {[]attempt{{begun(7), &wire.Error{Class: wire.ClassPermanent, Message: "record what was written: full"}}}, 1, false, []string{"after 7 writes that are known of: record what was written: full (permanent); what was written stays"}, ""},
		"written, then read": {[]attempt{{begun(7), reading}, whole}, 2, true,
			[]string{"after 7 writes that are known of: read back what was written: no buffer space (retry)"}, "owner prod: 9 writes; table "},
		"written, then nothing": {[]attempt{{begun(7), reading}, {refusal: busy}}, 2, false,
			[]string{"after 7 writes that are known of: read back", "after 7 writes that are known of: another request (retry)"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var output, errors bytes.Buffer
				engine := &scripted{rows: row.rows}
				restored := carryOutRestore(engine, options{owner: "prod"}, terminal{nil, &output, &errors})
				lines := strings.Split(strings.TrimSuffix(errors.String(), "\n"), "\n")
				if restored != row.restored || engine.attempts != row.attempts || len(lines) != len(row.errors) || !strings.HasPrefix(output.String(), row.output) {
					t.Fatalf("%t after %d attempts\n%s%s", restored, engine.attempts, output.String(), errors.String())
				}
				for index, words := range row.errors {
					if !strings.Contains(lines[index], words) || row.rows[min(index, len(row.rows)-1)].restored.Begun && strings.Contains(lines[index], "NOTHING") {
						t.Errorf("line %q, wanted %q in it", lines[index], words)
					}
				}
			})
		})
	}
}
