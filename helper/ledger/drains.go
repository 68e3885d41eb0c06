package ledger

import (
	"cmp"
	"slices"
	"time"

	"ipvs-operator.io/helper/drain"
	"ipvs-operator.io/helper/ipvs"
)

// drainsFile exists only while something drains: it is small, and no reader parses a whole table's entries because of it.
type drainsFile struct {
	BootID string       `json:"bootId"`
	Drains []drainEntry `json:"drains"`
}

// drainEntry is one real server on its way out; times in milliseconds since boot.
type drainEntry struct {
	VirtualServer string `json:"virtualServer"`
	RealServer    string `json:"realServer"`
	Since         int64  `json:"sinceMilliseconds"`
	Deadline      int64  `json:"deadlineMilliseconds"`
}

func (l *Ledger) readDrains() (map[drain.Key]drain.Term, error) {
	var file drainsFile
	if err := readJSON(l.drainsPath, &file); err != nil {
		return nil, err
	}
	drains := map[drain.Key]drain.Term{}
	if file.BootID != l.bootID {
		return drains, nil
	}
	for _, entry := range file.Drains {
		virtualServer, err := ipvs.ParseServiceKey(entry.VirtualServer)
		if err != nil {
			return nil, damaged(l.drainsPath, err)
		}
		realServer, err := ipvs.ParseDestinationKey(entry.RealServer)
		if err != nil {
			return nil, damaged(l.drainsPath, err)
		}
		drains[drain.Key{VirtualServer: virtualServer, RealServer: realServer}] = drain.Term{
			Since: time.Duration(entry.Since) * time.Millisecond, Deadline: time.Duration(entry.Deadline) * time.Millisecond}
	}
	return drains, nil
}

// changeDrains reports whether the delta changes anything.
func (l *Ledger) changeDrains(delta Delta) bool {
	changed := false
	for key, term := range delta.AddDrains {
		term = drain.Term{Since: term.Since.Truncate(time.Millisecond), Deadline: term.Deadline.Truncate(time.Millisecond)} // as it is stored
		if known, exists := l.cached.Drains[key]; !exists || known != term {
			l.cached.Drains[key] = term
			changed = true
		}
	}
	for _, key := range delta.RemoveDrains {
		if _, exists := l.cached.Drains[key]; exists {
			delete(l.cached.Drains, key)
			changed = true
		}
	}
	return changed
}

func (l *Ledger) writeDrains() error {
	if len(l.cached.Drains) == 0 {
		return removeFile(l.drainsPath)
	}
	file := drainsFile{BootID: l.bootID}
	for key, term := range l.cached.Drains {
		file.Drains = append(file.Drains, drainEntry{key.VirtualServer.String(), key.RealServer.String(), term.Since.Milliseconds(), term.Deadline.Milliseconds()})
	}
	slices.SortFunc(file.Drains, func(a, b drainEntry) int {
		return cmp.Or(cmp.Compare(a.VirtualServer, b.VirtualServer), cmp.Compare(a.RealServer, b.RealServer))
	})
	return replaceJSON(l.drainsPath, file)
}
