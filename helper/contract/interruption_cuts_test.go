package contract

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ipvs-operator.io/helper/wire"
)

// The stream between operator and helper is cut, as it is when the SSH connection goes: the program that directors run serves on pipes, and
// one or both of them end before, in or behind a frame. A request that has arrived whole is carried out whole, of any other nothing is; the
// next request, to a process that starts while the other may still be at work, makes the table exactly what it asks for; what is unrelated
// was there at every look of a reader. The plan is that of TestKilledAfterEveryWrite, to and fro.
func TestKernelShippedHelperStreamCut(t *testing.T) {
	kernelOnly(t)
	f := newToAndFro(t)
	f.pause = 200 * time.Millisecond // most of the processes that it looks at change nothing
	stop := f.startReader(t)
	boundaries := 0
	for _, behind := range []place{behindNothing, behindGreeting, behindRequest, behindAnswer} {
		for _, ends := range []ending{inputEnds, outputEnds, bothEnd} {
			boundaries++
			where := fmt.Sprintf("%s, %s", behind, ends)
			first := f.cut(t, framed(t, f.request(f.other())), behind, ends)
			if ends == bothEnd { // what it has done by itself
				first.end(t)
				f.isAt(t, where, map[bool]int{true: f.other(), false: f.here}[behind >= behindRequest])
			}
			f.converges(t, where)
			if ends != bothEnd {
				first.end(t)
				f.isAt(t, where+", when both processes have ended", f.here)
			}
			if t.Failed() {
				return
			}
		}
	}
	random := rand.New(rand.NewPCG(setting(t, "IPVS_CONTRACT_SEED", 1), 0))
	const cuts, header = 200, 4
	for number := 1; number <= cuts && !t.Failed(); number++ {
		request := framed(t, f.request(f.other()))
		length := number // in the frame's own length, then anywhere
		if number > header {
			length = header + random.IntN(len(request)-header)
		}
		where := fmt.Sprintf("cut behind byte %d of %d of a request", length, len(request))
		before := f.written(t)
		f.cut(t, request[:length], behindRequest, bothEnd).end(t)
		if after := f.written(t); after != before {
			t.Errorf("%s: the ledger tells of %d writes, and before of %d", where, after, before)
		}
		if number%10 == 0 { // to look at the kernel takes as long as a process does
			f.isAt(t, where, f.here)
			f.converges(t, where)
		}
	}
	t.Logf("cut at %d boundaries of frames and %d bytes of requests", boundaries, cuts)
	stop(2 * boundaries)
}

// place is where in a session the stream is cut, behind a frame.
type place int

const (
	behindNothing place = iota
	behindGreeting
	behindRequest
	behindAnswer
)

func (p place) String() string {
	return []string{"cut before the greeting", "cut behind the greeting", "cut behind the request", "cut behind the answer"}[p]
}

// ending says which of its streams the helper loses.
type ending int

const (
	inputEnds ending = iota
	outputEnds
	bothEnd
)

func (e ending) String() string { return []string{"input", "output", "both"}[e] }

// toAndFro is a shipped helper that is asked for one of two tables and then for the other.
type toAndFro struct {
	*shipped
	// here is the table that stands: 0 or 1.
	here int
	// seen is the host as the engine reads it with either.
	seen [2]string
}

func newToAndFro(t *testing.T) *toAndFro {
	t.Helper()
	f := &toAndFro{shipped: newShipped(t), here: 1}
	for range 3 {
		f.seen[f.other()] = ""
		f.converges(t, "at the start")
		f.seen[f.here] = f.witnessed(t)
	}
	if f.seen[0] == f.seen[1] {
		t.Fatal("the two tables look alike")
	}
	return f
}

func (f *toAndFro) other() int { return 1 - f.here }

func (f *toAndFro) request(table int) wire.Apply {
	request := f.shipped.request()
	if table == 0 {
		request.VirtualServers, request.Host = f.table(tableBefore()), hostBefore()
	}
	return request
}

// cut has a session up to that place in it, with this for the other table as its request, and ends one of the streams, or both.
func (f *toAndFro) cut(t *testing.T, request []byte, behind place, ends ending) *shippedStream {
	t.Helper()
	stream := f.open(t)
	if behind >= behindGreeting {
		stream.receive(t)
	}
	if behind >= behindRequest {
		stream.send(t, request)
	}
	if behind >= behindAnswer {
		if answer := stream.reply(t); !answer.OK || len(answer.Result.Errors) > 0 {
			t.Errorf("answer %+v", answer)
		}
	}
	if ends != outputEnds {
		_ = stream.input.Close()
	}
	if ends != inputEnds {
		_ = stream.output.Close()
	}
	return stream
}

// converges asks a new process for the other table. ipvsadm is to show exactly that.
func (f *toAndFro) converges(t *testing.T, where string) {
	t.Helper()
	stream := f.open(t)
	stream.receive(t)
	request := f.request(f.other())
	stream.send(t, framed(t, request))
	answer := stream.reply(t)
	stream.end(t)
	f.here = f.other()
	if !answer.OK || len(answer.Result.Errors)+len(answer.Result.Failed) > 0 {
		t.Errorf("%s: the next request is answered with %+v", where, answer)
	}
	f.shows(t, where, request)
	f.isAt(t, where+", and the next request", f.here)
}

// shows wants ipvsadm to show what the request asks for beside what others have made.
func (f *toAndFro) shows(t *testing.T, where string, request wire.Apply) {
	t.Helper()
	lines := append(saved(request.VirtualServers...), saved(virtualServer("198.51.100.1", 80, "192.0.2.21"))...)
	lines = append(lines, "-A -t 192.0.2.200:80 -s rr", "-a -t 192.0.2.200:80 -r 192.0.2.21:80 -g -w 1")
	before := t.Failed()
	if f.ipvsadmShows(t, lines...); t.Failed() && !before {
		t.Errorf("%s: that is not what was asked for", where)
	}
}

// written is how many writes the ledger tells of.
func (f *toAndFro) written(t *testing.T) uint64 {
	t.Helper()
	record, err := f.newEngine("prod").Ledger.Read()
	if err != nil {
		t.Fatal(err)
	}
	return record.TotalWrites
}

// isAt wants the host to be as the engine reads it with that table.
func (f *toAndFro) isAt(t *testing.T, where string, table int) {
	t.Helper()
	if f.seen[table] == "" { // not seen yet
		return
	}
	if got := f.witnessed(t); got != f.seen[table] {
		t.Errorf("%s: the host is\n%s\ninstead of\n%s", where, got, f.seen[table])
	}
}

// saved is what ipvsadm -Sn prints of TCP virtual servers by direct routing or masquerading.
func saved(servers ...wire.VirtualServer) []string {
	var lines []string
	for _, server := range servers {
		vip := "-t " + endpointOf(server.Key)
		line := "-A " + vip + " -s " + server.Scheduler
		if server.Persistence != nil {
			line += fmt.Sprintf(" -p %d", server.Persistence.TimeoutSeconds)
			if server.Persistence.PrefixLength == 24 {
				line += " -M 255.255.255.0"
			}
		}
		lines = append(lines, line)
		for _, host := range server.RealServers {
			method := map[string]string{"DirectRouting": "-g", "Masquerading": "-m"}[host.ForwardingMethod]
			lines = append(lines, strings.Join([]string{"-a", vip, "-r", endpoint(host.Address, fmt.Sprint(host.Port)), method, "-w", fmt.Sprint(host.Weight)}, " "))
		}
	}
	return lines
}
