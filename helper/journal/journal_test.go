package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

var (
	noon = time.Unix(1_764_000_000, 0)
	web  = key("TCP 203.0.113.10:80")
	tls  = key("TCP [2001:db8::10]:443")
	mark = key("firewall mark 7 (IPv4)")
)

func key(text string) ipvs.ServiceKey {
	parsed, err := ipvs.ParseServiceKey(text)
	if err != nil {
		panic(err)
	}
	return parsed
}

// entry is a virtual server of that key with so many real servers.
func entry(t *testing.T, key ipvs.ServiceKey, realServers int) []byte {
	t.Helper()
	virtualServer := wire.VirtualServer{Key: wire.Key{Address: key.Address.String(), Port: int64(key.Port), Protocol: "TCP"}, Scheduler: "rr", SchedulerFlags: []string{}}
	if key.FirewallMark != 0 {
		virtualServer.Key = wire.Key{FirewallMark: int64(key.FirewallMark), Family: "IPv4"}
	}
	for number := range realServers {
		host := fmt.Sprintf("192.0.2.%d", number+1)
		if key.Family == ipvs.IPv6 {
			host = fmt.Sprintf("2001:db8:1::%x", number+1)
		}
		virtualServer.RealServers = append(virtualServer.RealServers, wire.RealServer{Address: host, Port: int64(key.Port), Weight: 1, ForwardingMethod: "DirectRouting"})
	}
	return Encode(virtualServer)
}

func told(generation uint64, put map[ipvs.ServiceKey][]byte, remove ...ipvs.ServiceKey) Told {
	return Told{Fence: wire.Fence{Epoch: 1, Generation: generation}, Interface: "lo", Put: put, Delete: remove}
}

func open(t *testing.T) *Journal {
	t.Helper()
	return Open(t.TempDir(), "prod")
}

func read(t *testing.T, j *Journal) State {
	t.Helper()
	state, err := j.Read()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func write(t *testing.T, j *Journal, told Told) {
	t.Helper()
	read(t, j)
	if err := j.Write(told, noon); err != nil {
		t.Fatal(err)
	}
}

// reopened is the state as a new process finds it.
func reopened(t *testing.T, j *Journal) State {
	t.Helper()
	return read(t, Open(filepath.Dir(j.path), j.owner))
}

// summary is a state in words, to compare.
func summary(t *testing.T, state State) string {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%d/%d", state.Fence.Epoch, state.Fence.Generation)
	for _, key := range state.Keys() {
		virtualServer, _, err := state.Entries[key].VirtualServer()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, " %s@%s×%d", key, state.InterfaceOf(key.Address), len(virtualServer.Destinations))
	}
	if state.Host != nil {
		fmt.Fprintf(&text, " host %v", state.Host.Sysctls)
	}
	return text.String()
}

func wantState(t *testing.T, state State, wanted string) {
	t.Helper()
	if got := summary(t, state); got != wanted {
		t.Errorf("the state is %q, wanted %q", got, wanted)
	}
}

// threeRecords is a journal with a whole state and two changes.
func threeRecords(t *testing.T) *Journal {
	t.Helper()
	j := open(t)
	write(t, j, told(1, map[ipvs.ServiceKey][]byte{web: entry(t, web, 2), mark: entry(t, mark, 0)}))
	write(t, j, told(2, map[ipvs.ServiceKey][]byte{tls: entry(t, tls, 1)}))
	write(t, j, told(3, map[ipvs.ServiceKey][]byte{web: entry(t, web, 3)}, mark))
	return j
}

const (
	afterTwo   = "1/2 TCP 203.0.113.10:80@lo×2 TCP [2001:db8::10]:443@lo×1 firewall mark 7 (IPv4)@×0"
	afterThree = "1/3 TCP 203.0.113.10:80@lo×3 TCP [2001:db8::10]:443@lo×1"
)

func TestWhatWasToldIsReadAgain(t *testing.T) {
	j := threeRecords(t)
	wantState(t, j.state, afterThree)
	wantState(t, reopened(t, j), afterThree)
	if state := reopened(t, j); !state.Written.Equal(noon) {
		t.Errorf("written %s", state.Written)
	}
}

func TestHostSectionsAddUp(t *testing.T) {
	j := open(t)
	host := func(generation uint64, host wire.Host) {
		write(t, j, Told{Fence: wire.Fence{Epoch: 1, Generation: generation}, Host: &host})
	}
	host(1, wire.Host{Sysctls: map[string]string{"net.ipv4.vs.conntrack": "1", "net.ipv4.vs.sloppy_tcp": "0"}})
	host(2, wire.Host{Sysctls: map[string]string{"net.ipv4.vs.sloppy_tcp": "1"}, Timeouts: &wire.Timeouts{TCPSeconds: 900, TCPFinSeconds: 120, UDPSeconds: 300}})
	host(3, wire.Host{SyncDaemons: &[]wire.SyncDaemon{{Role: "master", Interface: "eth0", SyncID: 7}}})
	got := reopened(t, j).Host
	if got.Sysctls["net.ipv4.vs.conntrack"] != "1" || got.Sysctls["net.ipv4.vs.sloppy_tcp"] != "1" || got.Timeouts.TCPSeconds != 900 || len(*got.SyncDaemons) != 1 {
		t.Errorf("host %+v", got)
	}
	size := j.size
	host(3, wire.Host{Sysctls: map[string]string{"net.ipv4.vs.conntrack": "1"}})
	if j.size != size {
		t.Error("the same host section was written again")
	}
}

// The same again costs nothing; a higher fence alone costs a record without entries; a change costs what it changes.
func TestCostIsThatOfTheChange(t *testing.T) {
	j := open(t)
	everything := map[ipvs.ServiceKey][]byte{}
	for port := range 1000 {
		large := key(fmt.Sprintf("TCP 203.0.113.10:%d", port+1))
		everything[large] = entry(t, large, 5)
	}
	all := told(1, everything)
	all.All = true
	write(t, j, all)
	whole := j.size
	write(t, j, all)
	if j.size != whole {
		t.Errorf("the same again: %d bytes", j.size-whole)
	}
	all.Fence.Generation = 2
	write(t, j, all)
	if grown := j.size - whole; grown <= 0 || grown > 200 {
		t.Errorf("a higher fence alone: %d bytes", grown)
	}
	before := j.size
	write(t, j, told(3, map[ipvs.ServiceKey][]byte{web: entry(t, web, 4)}))
	if grown := j.size - before; grown > int64(len(entry(t, web, 4)))+250 {
		t.Errorf("one change: %d bytes", grown)
	}
	all.Fence.Generation, all.Put = 4, map[ipvs.ServiceKey][]byte{web: entry(t, web, 4)}
	write(t, j, all)
	if j.size > 1000 {
		t.Errorf("a whole state of one entry: %d bytes", j.size)
	}
	wantState(t, reopened(t, j), "1/4 TCP 203.0.113.10:80@lo×4")
}

func TestCompaction(t *testing.T) {
	j := open(t)
	write(t, j, told(1, map[ipvs.ServiceKey][]byte{tls: entry(t, tls, 2)}))
	largest, rewritten := int64(0), 0
	for generation := uint64(2); rewritten < 2; generation++ {
		before := j.size
		write(t, j, told(generation, map[ipvs.ServiceKey][]byte{web: entry(t, web, 100+int(generation%2))}))
		largest = max(largest, j.size)
		if j.size < before {
			rewritten++
			wantState(t, reopened(t, j), fmt.Sprintf("1/%d TCP 203.0.113.10:80@lo×%d TCP [2001:db8::10]:443@lo×2", generation, 100+generation%2))
		}
	}
	if largest > 2*minDeltaBytes {
		t.Errorf("the file grew to %d bytes", largest)
	}
}

// Sessions take turns: each finds what the others have written, appended or anew.
func TestTwoProcesses(t *testing.T) {
	j := threeRecords(t)
	other := Open(filepath.Dir(j.path), "prod")
	write(t, other, told(4, nil, web))
	write(t, j, told(5, map[ipvs.ServiceKey][]byte{mark: entry(t, mark, 0)}))
	all := told(6, map[ipvs.ServiceKey][]byte{tls: entry(t, tls, 4)})
	all.All = true
	write(t, other, all)
	write(t, j, told(7, map[ipvs.ServiceKey][]byte{web: entry(t, web, 1)}))
	wanted := "1/7 TCP 203.0.113.10:80@lo×1 TCP [2001:db8::10]:443@lo×4"
	wantState(t, read(t, other), wanted)
	wantState(t, reopened(t, j), wanted)
}

func TestKeptAndMoved(t *testing.T) {
	j := threeRecords(t)
	all := told(4, map[ipvs.ServiceKey][]byte{tls: entry(t, tls, 1)})
	all.All, all.Interface, all.Keep = true, "eth0", map[ipvs.ServiceKey]bool{web: true}
	write(t, j, all)
	wantState(t, reopened(t, j), "1/4 TCP 203.0.113.10:80@lo×3 TCP [2001:db8::10]:443@eth0×1")
}

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
		"of another owner":           {seal(1, []byte(`{"kind":"whole","owner":"test"}`+"\n")), `it is of owner "test"`},
		"a line of another version":  {seal(1, []byte(`{"kind":"whole","owner":"prod"}`+"\nmore\n")), `a line of it begins with "more"`},
		"no virtual server":          {seal(1, []byte(`{"kind":"whole","owner":"prod"}`+"\n-\tTCP 203.0.113.010:80\n")), "it names no virtual server"},
		"no last line end":           {seal(1, []byte(`{"kind":"whole","owner":"prod"}`)), "its last line has no end"},
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

// What a newer helper has written, and this one does not know, is said when the entry is asked for, and only then.
func TestEntryOfAnotherVersion(t *testing.T) {
	line := "+\tTCP 203.0.113.10:80\tlo\t" + `{"address":"203.0.113.10","port":80,"protocol":"TCP","future":1}` + "\n"
	state := read(t, fileWith(t, seal(1, []byte(`{"kind":"whole","owner":"prod"}`+"\n"+line))))
	if _, _, err := state.Entries[web].VirtualServer(); err == nil || !strings.Contains(err.Error(), "a form that this helper does not know") {
		t.Errorf("%v", err)
	}
	if _, _, err := state.Entries[web].Digest(); err == nil {
		t.Error("it has a digest")
	}
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
