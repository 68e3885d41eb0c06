// Package ledger remembers, per owner, what this helper has made on the host since boot. It lives under /run, so it goes
// when the kernel's table goes; a ledger of another boot is ignored.
//
// Five files: entries (keys and addresses; grows with the table, and is written now and then), recent (what was made or removed since
// entries was written; small), drains (real servers on their way out; there only while there are any), unannounced (VIPs about to be
// announced; likewise) and state (fence and counters; tiny, changes with every write). Each is replaced atomically. No fsync: what a power
// cut takes from the ledger it takes from the kernel too.
package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/share"
	"ipvs-operator.io/helper/vip"
	"ipvs-operator.io/helper/wire"
)

// DefaultDirectory is where serve keeps ledgers and the lock.
const DefaultDirectory = "/run/ipvs-operator"

// Record is what is known of one owner.
type Record struct {
	// Fence is the highest pair accepted since boot; zero for none.
	Fence wire.Fence
	// TotalWrites counts kernel messages that changed something, since boot.
	TotalWrites uint64
	// Revision grows with every Write by any session: equal revisions mean that nobody else has written.
	Revision uint64
	// Keys are the virtual servers that we made or adopted; Addresses the VIPs that we added.
	Keys      map[ipvs.ServiceKey]bool
	Addresses map[address.Assigned]bool
	// ByVIP has both of them by VIP.
	ByVIP *vip.Index
	// Drains are the real servers that we have set to weight 0, to be deleted.
	Drains map[drain.Key]drain.Term
	// Unannounced are the VIPs that were about to be added and announced when we last heard.
	Unannounced map[address.Assigned]bool
}

// Ledger is one owner's files in one network namespace.
type Ledger struct {
	statePath   string
	entriesPath string
	recentPath  string
	drainsPath  string
	newsPath    string
	bootID      string

	cached Record
	// entriesSeen is set when cached holds what these files say; nil is no file.
	entriesSeen             bool
	entriesInfo, recentInfo os.FileInfo
	recent                  recent
}

var ownerName = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,61}[a-z0-9])?$`)

// CheckOwner refuses a name that cannot be part of a file name. The error is a sentence.
func CheckOwner(owner string) error {
	if ownerName.MatchString(owner) {
		return nil
	}
	return fmt.Errorf("owner %q is not a name: use 1 to 63 lower-case letters, digits, dots and dashes", owner)
}

// Open names the files; it touches nothing.
func Open(directory, owner, netns, bootID string) *Ledger {
	base := filepath.Join(directory, owner+"."+netns)
	return &Ledger{statePath: base + ".state.json", entriesPath: base + ".entries.json", recentPath: base + ".recent.json",
		drainsPath: base + ".drains.json", newsPath: base + ".unannounced.json", bootID: bootID}
}

type stateFile struct {
	BootID      string `json:"bootId"`
	Epoch       uint64 `json:"epoch"`
	Generation  uint64 `json:"generation"`
	TotalWrites uint64 `json:"totalWrites"`
	Revision    uint64 `json:"revision"`
}

// Read answers what is recorded. Call it under the lock. The entries are parsed again only when another process has
// replaced them. The maps belong to the ledger: change them through Write only.
func (l *Ledger) Read() (Record, error) {
	var state stateFile
	if err := readJSON(l.statePath, &state); err != nil {
		return Record{}, err
	}
	if state.BootID != l.bootID {
		state = stateFile{}
	}
	if err := l.readEntries(state.Revision); err != nil {
		return Record{}, err
	}
	drains, err := l.readDrains()
	if err != nil {
		return Record{}, err
	}
	unannounced, err := l.readUnannounced()
	if err != nil {
		return Record{}, err
	}
	l.cached.Drains, l.cached.Unannounced = drains, unannounced
	l.cached.Fence = wire.Fence{Epoch: state.Epoch, Generation: state.Generation}
	l.cached.TotalWrites = state.TotalWrites
	l.cached.Revision = state.Revision
	return l.cached, nil
}

// Delta is a change of the record.
type Delta struct {
	Fence           wire.Fence
	Writes          uint64
	AddKeys         []ipvs.ServiceKey
	RemoveKeys      []ipvs.ServiceKey
	AddAddresses    []address.Assigned
	RemoveAddresses []address.Assigned
	// AddDrains also changes the term of those that are known.
	AddDrains    map[drain.Key]drain.Term
	RemoveDrains []drain.Key
	// Announcing are VIPs that are about to be added and announced, Announced those of which that is over.
	Announcing []address.Assigned
	Announced  []address.Assigned
}

// Write records the change, if it is one; without a difference no file is touched. A fence lower than the recorded one
// leaves that as it is. Call it under the lock, after Read.
func (l *Ledger) Write(delta Delta) (Record, error) {
	entriesChanged, drainsChanged, newsChanged := l.change(delta), l.changeDrains(delta), l.changeUnannounced(delta)
	if !entriesChanged && !drainsChanged && !newsChanged && delta.Writes == 0 && !l.cached.Fence.Less(delta.Fence) {
		return l.cached, nil
	}
	if l.cached.Fence.Less(delta.Fence) {
		l.cached.Fence = delta.Fence
	}
	l.cached.TotalWrites += delta.Writes
	l.cached.Revision++
	if entriesChanged {
		if err := l.writeEntries(); err != nil {
			l.entriesSeen = false
			return Record{}, err
		}
	}
	if drainsChanged {
		if err := l.writeDrains(); err != nil {
			return Record{}, err
		}
	}
	if newsChanged {
		if err := l.writeUnannounced(); err != nil {
			return Record{}, err
		}
	}
	err := replaceJSON(l.statePath, stateFile{l.bootID, l.cached.Fence.Epoch, l.cached.Fence.Generation, l.cached.TotalWrites, l.cached.Revision})
	return l.cached, err
}

// set makes the keys present or absent, and calls follow for each that was not so before.
func set[K comparable](entries map[K]bool, keys []K, present bool, follow func(K)) bool {
	changed := false
	for _, key := range keys {
		if entries[key] == present {
			continue
		}
		changed = true
		if present {
			entries[key] = true
		} else {
			delete(entries, key)
		}
		follow(key)
	}
	return changed
}

func readJSON(path string, target any) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(path, err)
	}
	if err := json.Unmarshal(content, target); err != nil {
		return damaged(path, err)
	}
	return nil
}

func unreadable(path string, cause error) error {
	return fmt.Errorf("ledger %s cannot be read: %w; give its directory to the helper's user", path, cause)
}

func damaged(path string, cause error) error {
	return fmt.Errorf("ledger %s is damaged: %w; remove the file, then entries equal to what is wanted are adopted and others reported as orphans", path, cause)
}

// replaceJSON writes a new file and renames it over the old one, so that a reader sees one or the other, whole.
func replaceJSON(path string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode ledger: %w", err)
	}
	temporary := path + ".new"
	_ = os.Remove(temporary) // a rest of another user's interrupted write could not be opened
	if err := writeNew(temporary, append(content, '\n')); err != nil {
		return fmt.Errorf("ledger %s cannot be written: %w; give its directory to the helper's user", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("ledger %s cannot be replaced: %w; give its directory to the helper's user", path, err)
	}
	return nil
}

func writeNew(path string, content []byte) error {
	file, err := share.Create(path, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ledger %s cannot be removed: %w; give its directory to the helper's user", path, err)
	}
	return nil
}
