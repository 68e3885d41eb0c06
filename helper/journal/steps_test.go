package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
)

// The order of the steps is what makes a crash harmless: nothing is renamed that is not on the disk, nothing acknowledged before.
func TestOrderOfSteps(t *testing.T) {
	j := open(t)
	var steps []string
	j.step = func(name string) error {
		steps = append(steps, name)
		return nil
	}
	write(t, j, told(1, map[ipvs.ServiceKey][]byte{web: entry(t, web, 1)}))
	write(t, j, told(2, nil, web))
	if wanted := []string{"write new file", "sync new file", "rename", "sync directory", "write record", "sync file"}; !slices.Equal(steps, wanted) {
		t.Errorf("steps %v, wanted %v", steps, wanted)
	}
}

// Stopped before any step, the file is as before or as after, and the next process goes on.
func TestStoppedBetweenSteps(t *testing.T) {
	for _, all := range []bool{false, true} {
		for stop := range 4 {
			j := threeRecords(t)
			count := 0
			j.step = func(string) error {
				if count++; count > stop {
					return errors.New("power cut")
				}
				return nil
			}
			change := told(4, map[ipvs.ServiceKey][]byte{tls: entry(t, tls, 9)}, web)
			change.All = all
			after := "1/4 TCP [2001:db8::10]:443@lo×9"
			err := j.Write(change, noon)
			if err == nil {
				wantState(t, j.state, after)
				continue
			}
			if got := summary(t, reopened(t, j)); got != afterThree && !(all && stop == 3 && got == after) {
				t.Errorf("all %t, stopped before step %d: %s", all, stop, got)
			}
			j.step = func(string) error { return nil }
			write(t, j, change)
			wantState(t, reopened(t, j), after)
		}
	}
}

func TestCannotBeWritten(t *testing.T) {
	j := Open(filepath.Join(t.TempDir(), "none"), "prod")
	read(t, j)
	if err := j.Write(told(1, nil), noon); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "install -d -o ipvs-operator") {
		t.Errorf("%v", err)
	}
	if err := j.Usable(); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("%v", err)
	}
	full := threeRecords(t)
	full.step = func(string) error { return unix.ENOSPC }
	if err := full.Write(told(4, nil, web), noon); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("%v", err)
	}
	wantState(t, reopened(t, full), afterThree)
}

// No file stays open between two requests: a host may have many sessions.
func TestNoFileStaysOpen(t *testing.T) {
	j := threeRecords(t)
	read(t, j)
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(links) == 0 {
		t.Fatalf("%d files are open, %v", len(links), err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, filepath.Dir(j.path)) {
			t.Errorf("%s is open", target)
		}
	}
}
