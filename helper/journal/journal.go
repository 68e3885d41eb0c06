// Package journal remembers on disk, per owner, what the director was last told: virtual servers, the interface of each VIP,
// settings of the director, and the highest fencing pair. It survives reboots, so that the kernel's table can be rebuilt without
// an operator, and is never the truth about the kernel.
//
// One file, append only: first a record with a whole state, then one record for each change. A record that is not whole at the
// end of the file is what a crash in the middle of writing leaves; it was never acknowledged, and is left out. Anything else that
// is not as it was written is damage, and then nothing in the file is believed.
package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
)

// DefaultDirectory is where serve keeps journals. One directory belongs to one network namespace.
const DefaultDirectory = "/var/lib/ipvs-operator/journal"

// ErrDamaged says that the file is not what was written, other than at its end.
var ErrDamaged = errors.New("the journal is damaged")

const (
	// maxBytes bounds what is read into memory; a table of 5,000 virtual servers with 10 real servers each has some 8 MB.
	maxBytes = 512 << 20
	// minDeltaBytes of changes may always stand behind the whole state before the file is written anew; beyond that, as much as
	// the state itself, so that writing it anew costs each change no more than the change.
	minDeltaBytes = 1 << 20
	// MinRoom is the free space below which a journal is not to be relied on.
	MinRoom = 1 << 20
)

// Journal is one owner's file. Not safe for concurrent use; processes serialise on the ledger's lock.
type Journal struct {
	path  string
	owner string
	// step is told each step of writing before it is made, and may end it there: tests see the order, and stop between two.
	step func(name string) error

	state  State
	first  []byte // the first record's header; with its number in it no two files have the same
	end    int64  // behind the last whole record
	size   int64  // of the file when it was read
	whole  int64  // length of the first record
	number uint64 // of the last record
	// unsynced: some of it was written by another process, which may have died before it was on the disk.
	unsynced bool
}

// Open names the file; it touches nothing.
func Open(directory, owner string) *Journal {
	return &Journal{path: filepath.Join(directory, owner+".journal"), owner: owner, step: func(string) error { return nil }}
}

// Path of the file.
func (j *Journal) Path() string { return j.path }

// Lost is how many bytes at the end of the file were no whole record when it was last read, and are left out.
func (j *Journal) Lost() int64 { return j.size - j.end }

// Read answers the state. Call it under the lock. Only what another process has written meanwhile is read. A file that does not
// exist is an empty state. The error is a sentence; it is ErrDamaged when nothing in the file is believed.
func (j *Journal) Read() (State, error) {
	file, err := os.Open(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		j.forget()
		j.state = emptyState()
		return j.state, nil
	}
	if err != nil {
		return State{}, j.unreadable(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return State{}, j.unreadable(err)
	}
	if j.isKnown(file) && info.Size() >= j.size && j.Lost() == 0 {
		return j.readFrom(file, j.end, info.Size())
	}
	j.forget()
	j.state = emptyState()
	return j.readFrom(file, 0, info.Size())
}

// isKnown reports whether it is the file that was read before, and not one that another process has put in its place.
func (j *Journal) isKnown(file *os.File) bool {
	header := make([]byte, len(j.first))
	_, err := file.ReadAt(header, 0)
	return err == nil && len(header) > 0 && bytes.Equal(header, j.first)
}

// readFrom reads the rest of the file.
func (j *Journal) readFrom(file *os.File, start, size int64) (State, error) {
	if size == start && start > 0 {
		return j.state, nil
	}
	if size > maxBytes {
		j.forget()
		return State{}, fmt.Errorf("%w: %s has %d bytes, more than any table needs%s", ErrDamaged, j.path, size, j.repair())
	}
	content := make([]byte, size-start)
	if _, err := io.ReadFull(io.NewSectionReader(file, start, size-start), content); err != nil {
		j.forget()
		return State{}, j.unreadable(err)
	}
	if err := j.load(content, start); err != nil {
		j.forget()
		return State{}, err
	}
	j.size, j.unsynced = size, true
	return j.state, nil
}

// load puts the records of content, which stands at start in the file, into the state.
func (j *Journal) load(content []byte, start int64) error {
	j.end = start
	for len(content) > 0 {
		number, payload, whole := unseal(content)
		first := j.end == 0
		switch {
		case !whole && !first && !hasRecord(content[1:]):
			return nil // a torn end
		case !whole:
			return j.damaged("the record is not what was written")
		case !first && number != j.number+1:
			return j.damaged(fmt.Sprintf("record %d follows record %d", number, j.number))
		}
		if err := j.state.replay(j.owner, payload, first); err != nil {
			return j.damaged(err.Error())
		}
		length := int64(headerLength + len(payload))
		if first {
			j.first, j.whole = bytes.Clone(content[:headerLength]), length
		}
		j.number = number
		j.end += length
		content = content[length:]
	}
	if j.end == 0 {
		return j.damaged("the file is empty")
	}
	return nil
}

func (j *Journal) forget() {
	j.first, j.end, j.size, j.whole, j.number, j.unsynced = nil, 0, 0, 0, 0, false
}

// Write records what was told, if it says anything new: when it returns without an error all of it is on the disk, also what another
// process has written and was killed before it could say so. Without a difference the file stays as it is. Call it under the lock, after
// Read. After an error the state is as before.
func (j *Journal) Write(told Told, now time.Time) error {
	found, err := j.state.difference(told)
	if err != nil {
		return err
	}
	if found.isEmpty() {
		return j.settle()
	}
	substantial := len(found.put)+len(found.drop) > 0 || found.host != nil
	if j.first == nil || j.Lost() > 0 || told.All && substantial || j.end-j.whole > max(minDeltaBytes, j.whole) {
		return j.rewrite(found, now)
	}
	record, err := encodeDelta(j.owner, found, now)
	if err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	record = seal(j.number+1, record)
	if err := j.append(record); err != nil {
		_ = os.Truncate(j.path, j.end) // what is left otherwise is a torn end
		j.forget()
		return j.unwritable(err)
	}
	j.state.accept(found, now)
	j.number++
	j.end += int64(len(record))
	j.size = j.end
	return nil
}

func (j *Journal) rewrite(found change, now time.Time) error {
	after := j.state
	after.Entries, after.interfaces = make(map[ipvs.ServiceKey]*Entry, len(j.state.Entries)+len(found.put)), maps.Clone(j.state.interfaces)
	maps.Copy(after.Entries, j.state.Entries)
	after.accept(found, now)
	keys := found.put
	if len(found.drop) > 0 || len(keys) != len(after.Entries) {
		keys = after.Keys()
	}
	record, err := encodeWhole(j.owner, after, keys)
	if err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	number := j.number + 1
	record = seal(number, record)
	if err := j.replace(record); err != nil {
		j.forget()
		return j.unwritable(err)
	}
	j.unsynced = false
	j.state, j.first, j.number = after, bytes.Clone(record[:headerLength]), number
	j.end, j.size, j.whole = int64(len(record)), int64(len(record)), int64(len(record))
	return nil
}

// Usable says why the owner's journal cannot be relied on, or nil: it cannot be written, has no room, or is damaged.
func (j *Journal) Usable() error {
	directory := filepath.Dir(j.path)
	if err := unix.Access(directory, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("journal directory %s cannot be written: %w%s", directory, err, remedyDirectory(directory))
	}
	if err := unix.Access(j.path, unix.W_OK); err != nil && !errors.Is(err, unix.ENOENT) {
		return j.unwritable(err)
	}
	if _, err := j.Read(); err != nil {
		return err
	}
	room, err := j.Room()
	if err == nil && room < MinRoom {
		err = fmt.Errorf("journal directory %s has %d KiB left: make room, without it nothing more is accepted", directory, room>>10)
	}
	return err
}

// Room is how many bytes may still be written where the journal is.
func (j *Journal) Room() (uint64, error) {
	directory := filepath.Dir(j.path)
	var space unix.Statfs_t
	if err := unix.Statfs(directory, &space); err != nil {
		return 0, fmt.Errorf("journal directory %s: %w%s", directory, err, remedyDirectory(directory))
	}
	return space.Bavail * uint64(space.Bsize), nil
}

func remedyDirectory(directory string) string {
	return "; create it for the helper's user (install -d -o ipvs-operator -m 0750 " + directory + "), on a disk that survives a reboot"
}

func (j *Journal) repair() string {
	return fmt.Sprintf("; nothing is restored from it and nothing is accepted until it is out of the way: mv %s %s.damaged, then the operator's next full apply begins a new one", j.path, j.path)
}

func (j *Journal) damaged(what string) error {
	return fmt.Errorf("%w: %s at byte %d: %s%s", ErrDamaged, j.path, j.end, what, j.repair())
}

func (j *Journal) unreadable(cause error) error {
	return fmt.Errorf("journal %s cannot be read: %w; give it to the helper's user (chown ipvs-operator)", j.path, cause)
}

func (j *Journal) unwritable(cause error) error {
	if errors.Is(cause, unix.ENOSPC) || errors.Is(cause, unix.EDQUOT) {
		return fmt.Errorf("journal %s cannot be written: %w; nothing was changed: make room on its disk", j.path, cause)
	}
	return fmt.Errorf("journal %s cannot be written: %w; nothing was changed: give its directory to the helper's user%s", j.path, cause, remedyDirectory(filepath.Dir(j.path)))
}
