package journal

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// sealed is a record with this payload.
func sealed(number uint64, payload []byte) []byte {
	return seal(number, append(make([]byte, headerLength), payload...))
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

// Nobody says of one virtual server that it shall be and not be; who did would have it gone, and nothing else touched.
func TestToldToBeAndNotToBe(t *testing.T) {
	j := open(t)
	write(t, j, told(1, map[ipvs.ServiceKey][]byte{web: entry(t, web, 2), tls: entry(t, tls, 1)}))
	all := told(2, map[ipvs.ServiceKey][]byte{tls: entry(t, tls, 3)}, tls)
	all.All, all.Keep = true, map[ipvs.ServiceKey]bool{web: true}
	write(t, j, all)
	wantState(t, reopened(t, j), "1/2 TCP 203.0.113.10:80@lo×2")
}

// What a newer helper has written, and this one does not know, is said when the entry is asked for, and only then.
func TestEntryOfAnotherVersion(t *testing.T) {
	line := "+\tTCP 203.0.113.10:80\tlo\t" + `{"address":"203.0.113.10","port":80,"protocol":"TCP","future":1}` + "\n"
	state := read(t, fileWith(t, sealed(1, []byte(`{"kind":"whole","owner":"prod"}`+"\n"+line))))
	if _, _, err := state.Entries[web].VirtualServer(); err == nil || !strings.Contains(err.Error(), "a form that this helper does not know") {
		t.Errorf("%v", err)
	}
	if _, _, err := state.Entries[web].Digest(); err == nil {
		t.Error("it has a digest")
	}
}
