package ledger

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// Whatever these three files hold, reading them ends in a record or in an error; a record can be written on and is read again as it
// was written.
func FuzzRead(f *testing.F) {
	state := `{"bootId":"boot","epoch":1,"generation":2,"totalWrites":3,"revision":4}`
	f.Add([]byte(state), []byte(`{"bootId":"boot","virtualServers":["TCP 203.0.113.10:80","UDP [2001:db8::10]:53","firewall mark 7 (IPv4)"],"addresses":["203.0.113.10 on lo"]}`),
		[]byte(`{"bootId":"boot","drains":[{"virtualServer":"TCP 203.0.113.10:80","realServer":"192.0.2.21:80","sinceMilliseconds":1,"deadlineMilliseconds":2}]}`))
	f.Add([]byte(`{"bootId":"another"}`), []byte(`{"bootId":"another","virtualServers":["?"]}`), []byte(`{`))
	f.Add([]byte(`{}`), []byte(`[]`), []byte(`null`))
	f.Add([]byte(state), []byte(`{"bootId":"boot","addresses":[" on "]}`), []byte(`{"bootId":"boot","drains":[{"realServer":"192.0.2.21:99999"}]}`))
	directory := f.TempDir()
	f.Fuzz(func(t *testing.T, state, entries, drains []byte) {
		for name, content := range map[string][]byte{"state": state, "entries": entries, "drains": drains} {
			if err := os.WriteFile(filepath.Join(directory, "prod.netns."+name+".json"), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		ledger := Open(directory, "prod", "netns", "boot")
		if _, err := ledger.Read(); err != nil {
			return
		}
		written, err := ledger.Write(Delta{Fence: wire.Fence{Epoch: 1 << 60}, Writes: 1})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Open(directory, "prod", "netns", "boot").Read()
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if again.Fence != written.Fence || again.TotalWrites != written.TotalWrites || len(again.Keys) != len(written.Keys) ||
			len(again.Addresses) != len(written.Addresses) || len(again.Drains) != len(written.Drains) {
			t.Fatalf("written %+v, read %+v", written, again)
		}
	})
}

// The same for what is recent; and what is written then is what was read, and the change.
func FuzzReadRecent(f *testing.F) {
	f.Add([]byte(`{"bootId":"boot","virtualServers":["TCP 203.0.113.10:80"],"addresses":["203.0.113.10 on lo"]}`),
		[]byte(`{"bootId":"boot","made":{"virtualServers":["UDP 203.0.113.11:53"]},"removed":{"virtualServers":["TCP 203.0.113.10:80"],"addresses":["203.0.113.10 on lo"]}}`))
	f.Add([]byte(`{"bootId":"another"}`), []byte(`{"bootId":"boot","made":{"addresses":["2001:db8::10 on lo"]},"removed":{"addresses":["2001:db8::10 on lo"]}}`))
	f.Add([]byte(`{}`), []byte(`{"bootId":"boot","made":null,"removed":{"virtualServers":[7]}}`))
	directory := f.TempDir()
	f.Fuzz(func(t *testing.T, entries, recent []byte) {
		for name, content := range map[string][]byte{"entries": entries, "recent": recent} {
			if err := os.WriteFile(filepath.Join(directory, "prod.netns."+name+".json"), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		ledger := Open(directory, "prod", "netns", "boot")
		if _, err := ledger.Read(); err != nil {
			return
		}
		more := key(t, "SCTP 198.51.100.1:9")
		written, err := ledger.Write(Delta{AddKeys: []ipvs.ServiceKey{more}})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Open(directory, "prod", "netns", "boot").Read()
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if !maps.Equal(again.Keys, written.Keys) || !maps.Equal(again.Addresses, written.Addresses) || !again.Keys[more] {
			t.Fatalf("written %+v, read %+v", written, again)
		}
	})
}
