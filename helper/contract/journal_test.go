package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/journal"
	"ipvs-operator.io/helper/wire"
)

// recorder looks into the journal at the moment when the kernel is written: what is about to be made is on the disk.
type recorder struct {
	ipvs.Kernel
	t    *testing.T
	path string
	seen bool
}

func (r *recorder) Execute(operations []ipvs.Operation) []error {
	content, err := os.ReadFile(r.path)
	if err != nil || !strings.Contains(string(content), operations[0].Service.ServiceKey.String()) {
		r.t.Errorf("the kernel is written before the journal: %v", err)
	}
	r.seen = true
	return r.Kernel.Execute(operations)
}

func TestJournalBeforeKernel(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		kernel := &recorder{Kernel: d.ipvs, t: t, path: d.engine.Journal.Path()}
		d.engine.IPVS = kernel
		d.listed(t, list(virtualServer("203.0.113.10", 80, "192.0.2.21")))
		if !kernel.seen {
			t.Error("nothing was written")
		}
	})
}

// A record of one key costs the same however many there are, and the same request again costs nothing.
func TestJournalCostsWhatIsListed(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		sizes := []int{10, 2000}
		if w.real { // where so many take long, and the journal does not know the difference
			sizes = []int{10, 200}
		}
		for _, size := range sizes {
			d := newDirector(t, w)
			everything := manyVirtualServers(size)
			d.all(t, everything...)
			bytes := func() int64 {
				info, err := os.Stat(d.engine.Journal.Path())
				if err != nil {
					t.Fatal(err)
				}
				return info.Size()
			}
			before := bytes()
			changed := everything[size/2]
			changed.RealServers = changed.RealServers[:1]
			d.listed(t, list(changed))
			if grown := bytes() - before; grown < 100 || grown > 700 {
				t.Errorf("one change among %d: %d bytes", size, grown)
			}
			before = bytes()
			d.listed(t, list(changed))
			everything[size/2] = changed
			d.all(t, everything...)
			d.read(t)
			if grown := bytes() - before; grown != 0 {
				t.Errorf("nothing new among %d: %d bytes", size, grown)
			}
			d.all(t)
		}
	})
}

// A dry run is not told.
func TestDryRunLeavesNoRecord(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.apply(t, d.engine, wire.Apply{DryRun: true, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: list(virtualServer("203.0.113.10", 80))})
		if _, err := os.Stat(d.engine.Journal.Path()); !os.IsNotExist(err) {
			t.Errorf("%v", err)
		}
		w.ipvsadmShows(t)
	})
}

// Without a journal that can be written nothing is carried out, whole table or one key; the kernel stays as it is.
func TestJournalThatCannotBeWritten(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		d.engine.Journal = journal.Open(filepath.Join(d.journalDir, "none"), "prod")
		for _, scope := range []wire.Scope{wire.ScopeAll, wire.ScopeListed} {
			_, refusal := d.engine.Apply(wire.Apply{Fence: d.fence, Scope: scope, Interface: "lo", VirtualServers: list(virtualServer("203.0.113.10", 80))})
			if refusal == nil || refusal.Class != wire.ClassPermanent || refusal.Errno != "ENOENT" || !strings.Contains(refusal.Message, "install -d -o ipvs-operator") {
				t.Errorf("refusal %+v", refusal)
			}
		}
		w.ipvsadmShows(t)
		w.ipShows(t, "lo")
		if d.engine.CheckJournal() == nil {
			t.Error("no problem is told")
		}
	})
}

// A full disk refuses the request, and leaves kernel and journal as they were; with room it succeeds. Only a real file system is
// ever full, so this runs where we are root on a kernel of our own.
func TestFullDisk(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		if w.real {
			if err := unix.Mount("small", d.journalDir, "tmpfs", 0, "size=64k"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Unmount(d.journalDir, unix.MNT_DETACH) })
		}
		d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21"))
		if !w.real {
			return
		}
		ballast := filepath.Join(d.journalDir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 64<<10), 0o600); err == nil {
			t.Fatal("the disk is not full")
		}
		for _, request := range []wire.Apply{{Scope: wire.ScopeListed, VirtualServers: manyVirtualServers(40)}, {Scope: wire.ScopeAll, VirtualServers: manyVirtualServers(40)}} {
			request.Fence, request.Interface = d.fence, "lo"
			if _, refusal := d.engine.Apply(request); refusal == nil || refusal.Class != wire.ClassRetry || refusal.Errno != "ENOSPC" || !strings.Contains(refusal.Message, "make room") {
				t.Errorf("full disk: %+v", refusal)
			}
		}
		if err := d.engine.CheckJournal(); err == nil || !strings.Contains(err.Error(), "KiB left") {
			t.Errorf("no problem is told: %v", err)
		}
		w.ipvsadmShows(t, "-A -t 203.0.113.10:80 -s wrr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1")
		if got := d.drift(t); len(got) > 0 {
			t.Errorf("drift %q", got)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if answer := d.listed(t, manyVirtualServers(40)); len(answer.Errors) > 0 {
			t.Errorf("with room: %+v", answer.Errors)
		}
	})
}
