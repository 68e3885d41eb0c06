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

// What another process has written may not be on the disk, because it was killed before it could see to that: nothing is acknowledged
// before it is, also when the request says nothing new; and that is seen to once.
func TestWhatOthersWroteIsSynced(t *testing.T) {
	killed := threeRecords(t)
	last := told(3, map[ipvs.ServiceKey][]byte{web: entry(t, web, 3)}, mark)
	var steps []string
	next := Open(filepath.Dir(killed.path), killed.owner)
	next.step = func(name string) error {
		steps = append(steps, name)
		return nil
	}
	wantSteps := func(wanted ...string) {
		t.Helper()
		if !slices.Equal(steps, wanted) {
			t.Errorf("steps %v, wanted %v", steps, wanted)
		}
		steps = nil
	}
	write(t, next, last)
	wantSteps("sync file", "sync directory")
	write(t, next, last)
	wantSteps()
	write(t, killed, told(4, nil, web))
	write(t, next, told(4, nil, web))
	wantSteps("sync file", "sync directory")
	write(t, killed, told(5, map[ipvs.ServiceKey][]byte{web: entry(t, web, 1)}))
	write(t, next, told(6, nil, web))
	wantSteps("write record", "sync file", "sync directory")
	write(t, next, told(7, map[ipvs.ServiceKey][]byte{web: entry(t, web, 2)}))
	wantSteps("write record", "sync file")
	write(t, killed, told(8, nil, web))
	all := told(9, map[ipvs.ServiceKey][]byte{web: entry(t, web, 2)})
	all.All = true
	write(t, next, all)
	wantSteps("write new file", "sync new file", "rename", "sync directory")
	write(t, next, all)
	wantSteps()
}

// Without that the request is refused, and the next one tries again.
func TestWhatOthersWroteCannotBeSynced(t *testing.T) {
	last := told(3, map[ipvs.ServiceKey][]byte{web: entry(t, web, 3)}, mark)
	for _, stop := range []string{"sync file", "sync directory"} {
		j := threeRecords(t)
		next := Open(filepath.Dir(j.path), j.owner)
		next.step = func(name string) error {
			if name == stop {
				return unix.EIO
			}
			return nil
		}
		for range 2 {
			read(t, next)
			if err := next.Write(last, noon); !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), "cannot be written") {
				t.Errorf("%s: %v", stop, err)
			}
		}
		next.step = func(string) error { return nil }
		write(t, next, last)
		wantState(t, reopened(t, next), afterThree)
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
