package ledger

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"ipvs-operator.io/helper/address"
	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/vip"
)

// mostRecent is how many changes the recent file holds before they are folded into entries: what a change costs does not depend on the
// table, but for each so many-th.
const mostRecent = 128

// named are virtual servers and VIPs in writing.
type named struct {
	Keys      []string `json:"virtualServers"`
	Addresses []string `json:"addresses"`
}

type entriesFile struct {
	BootID string `json:"bootId"`
	named
}

type recentFile struct {
	BootID  string `json:"bootId"`
	Made    named  `json:"made"`
	Removed named  `json:"removed"`
}

// recent is what was made (true) or removed (false) since entries was written.
type recent struct {
	keys      map[ipvs.ServiceKey]bool
	addresses map[address.Assigned]bool
}

func newRecent() recent {
	return recent{keys: map[ipvs.ServiceKey]bool{}, addresses: map[address.Assigned]bool{}}
}

func (r recent) count() int { return len(r.keys) + len(r.addresses) }

func (l *Ledger) readEntries(revision uint64) error {
	entriesInfo, err := infoOf(l.entriesPath)
	if err != nil {
		return err
	}
	recentInfo, err := infoOf(l.recentPath)
	if err != nil {
		return err
	}
	if l.entriesSeen && l.cached.Revision == revision && sameFile(entriesInfo, l.entriesInfo) && sameFile(recentInfo, l.recentInfo) {
		return nil
	}
	l.entriesSeen = false
	record := Record{Keys: map[ipvs.ServiceKey]bool{}, Addresses: map[address.Assigned]bool{}}
	var entries entriesFile
	if err := readJSON(l.entriesPath, &entries); err != nil {
		return err
	}
	if entries.BootID == l.bootID {
		if err := entries.mark(record.Keys, record.Addresses, true); err != nil {
			return damaged(l.entriesPath, err)
		}
	}
	if l.recent, err = l.readRecent(); err != nil {
		return err
	}
	apply(record.Keys, l.recent.keys)
	apply(record.Addresses, l.recent.addresses)
	record.ByVIP = vip.NewIndex(record.Keys, record.Addresses)
	l.cached, l.entriesInfo, l.recentInfo, l.entriesSeen = record, entriesInfo, recentInfo, true
	return nil
}

func (l *Ledger) readRecent() (recent, error) {
	changes := newRecent()
	var file recentFile
	if err := readJSON(l.recentPath, &file); err != nil || file.BootID != l.bootID {
		return changes, err
	}
	if err := errors.Join(file.Made.mark(changes.keys, changes.addresses, true), file.Removed.mark(changes.keys, changes.addresses, false)); err != nil {
		return changes, damaged(l.recentPath, err)
	}
	return changes, nil
}

// mark gives all that are named the value.
func (n named) mark(keys map[ipvs.ServiceKey]bool, addresses map[address.Assigned]bool, value bool) error {
	for _, text := range n.Keys {
		key, err := ipvs.ParseServiceKey(text)
		if err != nil {
			return err
		}
		keys[key] = value
	}
	for _, text := range n.Addresses {
		assigned, err := address.Parse(text)
		if err != nil {
			return err
		}
		addresses[assigned] = value
	}
	return nil
}

// apply makes present what was made and absent what was removed.
func apply[K comparable](entries, changes map[K]bool) {
	for key, made := range changes {
		if made {
			entries[key] = true
		} else {
			delete(entries, key)
		}
	}
}

// change carries out the delta on what is cached, and notes it as recent.
func (l *Ledger) change(delta Delta) bool {
	index, recent := l.cached.ByVIP, l.recent
	noteKey := func(made bool, follow func(ipvs.ServiceKey)) func(ipvs.ServiceKey) {
		return func(key ipvs.ServiceKey) {
			recent.keys[key] = made
			follow(key)
		}
	}
	noteAddress := func(made bool, follow func(address.Assigned)) func(address.Assigned) {
		return func(assigned address.Assigned) {
			recent.addresses[assigned] = made
			follow(assigned)
		}
	}
	changed := set(l.cached.Keys, delta.AddKeys, true, noteKey(true, index.AddKey))
	changed = set(l.cached.Keys, delta.RemoveKeys, false, noteKey(false, index.RemoveKey)) || changed
	changed = set(l.cached.Addresses, delta.AddAddresses, true, noteAddress(true, index.AddAddress)) || changed
	return set(l.cached.Addresses, delta.RemoveAddresses, false, noteAddress(false, index.RemoveAddress)) || changed
}

// writeEntries writes what is recent and, when that has become much, everything. Between the two steps both files say the same; without a
// recent file the first one is not needed.
func (l *Ledger) writeEntries() error {
	much := l.recent.count() > mostRecent
	if !much || l.recentInfo != nil {
		if err := l.writeRecent(); err != nil {
			return err
		}
	}
	if !much {
		return nil
	}
	file := entriesFile{BootID: l.bootID, named: inWriting(l.cached.Keys, l.cached.Addresses, true)}
	if err := replaceJSON(l.entriesPath, file); err != nil {
		return err
	}
	info, err := infoOf(l.entriesPath)
	if err == nil {
		err = removeFile(l.recentPath)
	}
	if err != nil {
		return err
	}
	l.entriesInfo, l.recentInfo, l.recent = info, nil, newRecent()
	return nil
}

func (l *Ledger) writeRecent() error {
	file := recentFile{BootID: l.bootID, Made: inWriting(l.recent.keys, l.recent.addresses, true), Removed: inWriting(l.recent.keys, l.recent.addresses, false)}
	if err := replaceJSON(l.recentPath, file); err != nil {
		return err
	}
	info, err := infoOf(l.recentPath)
	l.recentInfo = info
	return err
}

// inWriting are those that have the value, in order.
func inWriting(keys map[ipvs.ServiceKey]bool, addresses map[address.Assigned]bool, value bool) named {
	written := named{Keys: []string{}, Addresses: []string{}}
	for key, each := range keys {
		if each == value {
			written.Keys = append(written.Keys, key.String())
		}
	}
	for assigned, each := range addresses {
		if each == value {
			written.Addresses = append(written.Addresses, assigned.String())
		}
	}
	slices.Sort(written.Keys)
	slices.Sort(written.Addresses)
	return written
}

// infoOf is nil when there is no such file.
func infoOf(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	return info, nil
}

func sameFile(a, b os.FileInfo) bool {
	return a == nil && b == nil || a != nil && b != nil && os.SameFile(a, b)
}
