package ledger

import (
	"slices"

	"ipvs-operator.io/helper/address"
)

// unannouncedFile exists only between an intent to add VIPs and their announcement: whoever finds it after an interruption announces
// them, because an address that is there already is not added again.
type unannouncedFile struct {
	BootID    string   `json:"bootId"`
	Addresses []string `json:"addresses"`
}

func (l *Ledger) readUnannounced() (map[address.Assigned]bool, error) {
	var file unannouncedFile
	if err := readJSON(l.newsPath, &file); err != nil {
		return nil, err
	}
	unannounced := map[address.Assigned]bool{}
	if file.BootID != l.bootID {
		return unannounced, nil
	}
	for _, text := range file.Addresses {
		assigned, err := address.Parse(text)
		if err != nil {
			return nil, damaged(l.newsPath, err)
		}
		unannounced[assigned] = true
	}
	return unannounced, nil
}

func (l *Ledger) changeUnannounced(delta Delta) bool {
	nothing := func(address.Assigned) {}
	changed := set(l.cached.Unannounced, delta.Announcing, true, nothing)
	return set(l.cached.Unannounced, delta.Announced, false, nothing) || changed
}

func (l *Ledger) writeUnannounced() error {
	if len(l.cached.Unannounced) == 0 {
		return removeFile(l.newsPath)
	}
	file := unannouncedFile{BootID: l.bootID}
	for assigned := range l.cached.Unannounced {
		file.Addresses = append(file.Addresses, assigned.String())
	}
	slices.Sort(file.Addresses)
	return replaceJSON(l.newsPath, file)
}
