package contract

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/wire"
)

// work is what a request costs beside the kernel: files read and written in bytes, memory in allocations and bytes.
type work struct {
	read, written, allocations, allocated uint64
}

// workOf counts what is done in between. Nothing else may run meanwhile.
func (d *director) workOf(t *testing.T, do func()) work {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	files, read := d.files(t), readBytes(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	counted := work{read: readBytes(t) - read, allocations: after.Mallocs - before.Mallocs, allocated: after.TotalAlloc - before.TotalAlloc}
	for inode, size := range d.files(t) { // a file either grows or is replaced
		if known := files[inode]; size >= known {
			size -= known
		}
		counted.written += size
	}
	return counted
}

// files are those of ledger and journal: their sizes by inode.
func (d *director) files(t *testing.T) map[uint64]uint64 {
	t.Helper()
	sizes := map[uint64]uint64{}
	err := filepath.WalkDir(d.stateDir, func(path string, entry fs.DirEntry, err error) error {
		var status unix.Stat_t
		if err == nil && !entry.IsDir() {
			err = unix.Stat(path, &status)
			sizes[status.Ino] = uint64(status.Size)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

// readBytes is rchar of proc_pid_io(5).
func readBytes(t *testing.T) uint64 {
	t.Helper()
	content, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "rchar: ")
	digits, _, _ := strings.Cut(rest, "\n")
	count, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// least of each; the zero value of a is none.
func least(a, b work) work {
	if a == (work{}) {
		return b
	}
	return work{min(a.read, b.read), min(a.written, b.written), min(a.allocations, b.allocations), min(a.allocated, b.allocated)}
}

// digits is how many more bytes the larger counters of a larger table may take in the ledger.
const digits = 32

// manyVIPs are virtual servers each with a VIP of its own, but for two that share one.
func manyVIPs(count int) []wire.VirtualServer {
	result := list(virtualServer("203.0.113.5", 1, "192.0.2.21"), virtualServer("203.0.113.5", 2, "192.0.2.21"))
	for number := range count - len(result) {
		result = append(result, virtualServer(fmt.Sprintf("2001:db8::%x", number+1), 1, "2001:db8:1::21"))
	}
	return result
}

// With scope listed, what a change reads, writes and allocates is the same in a table of 200 and in one of 5,000 virtual servers: whatever
// goes through the table, the ledger or the journal as a whole would show. (Now and then, after many changes, it does: least leaves that out.)
func TestListedWorksOnWhatIsListed(t *testing.T) {
	changed := virtualServer("203.0.113.5", 1, "192.0.2.21")
	changed.RealServers[0].Weight = 7
	more := virtualServer("203.0.113.6", 1, "192.0.2.21")
	steps := []struct {
		name   string
		listed []wire.VirtualServer
		absent []wire.Key
	}{
		{"a weight", list(changed), nil},
		{"nothing", list(changed), nil},
		{"a real server more", list(virtualServer("203.0.113.5", 1, "192.0.2.21", "192.0.2.22")), nil},
		{"a real server less", list(virtualServer("203.0.113.5", 1, "192.0.2.21")), nil},
		{"a virtual server and its VIP more", list(more), nil},
		{"a virtual server and its VIP less", nil, []wire.Key{more.Key}},
	}
	counted := map[int]map[string]work{}
	for _, size := range []int{200, 5000} {
		w := fakeWorld(memoryDir(t))
		d := newDirector(t, w)
		d.all(t, manyVIPs(size)...)
		counted[size] = map[string]work{}
		for range 3 {
			for _, step := range steps {
				counted[size][step.name] = least(counted[size][step.name], d.workOf(t, func() { d.listed(t, step.listed, step.absent...) }))
			}
		}
	}
	for name, many := range counted[5000] {
		few := counted[200][name]
		if many.read > few.read+digits || many.written > few.written+digits || many.allocations > few.allocations+few.allocations/50 || many.allocated > few.allocated+few.allocated/50 {
			t.Errorf("%s: %+v among 5,000 virtual servers, %+v among 200", name, many, few)
		}
	}
}
