package journal

import (
	"slices"
	"testing"
)

// Whatever the file holds: no crash; and what is read, once written anew, reads the same.
func FuzzJournal(f *testing.F) {
	whole := sealed(1, []byte(`{"kind":"whole","owner":"prod","epoch":1,"generation":2,"time":1764106200}`+"\n"+
		"+\tTCP 203.0.113.10:80\tlo\t"+`{"address":"203.0.113.10","port":80,"protocol":"TCP","scheduler":"rr","schedulerFlags":[],"onePacket":false,"realServers":[]}`+"\n"+
		"host\t"+`{"sysctls":{"net.ipv4.vs.conntrack":"1"}}`+"\n"))
	delta := sealed(2, []byte(`{"kind":"delta","owner":"prod","epoch":1,"generation":3,"time":1764106201}`+"\n-\tTCP 203.0.113.10:80\n"))
	f.Add([]byte{})
	f.Add(whole)
	f.Add(append(append([]byte{}, whole...), delta...))
	f.Add(append(append([]byte{}, whole...), delta[:len(delta)-5]...))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, attempt := range [][]byte{content, sealed(1, content), append(append([]byte{}, whole...), sealed(2, content)...)} {
			j, err := loaded(attempt)
			if err != nil {
				continue
			}
			for _, entry := range j.state.Entries {
				_, _, _ = entry.Digest()
			}
			record, err := encodeWhole("prod", j.state, j.state.Keys())
			if err != nil {
				continue // an interface that fits into no line
			}
			again, err := loaded(seal(9, record))
			if err != nil || again.state.Fence != j.state.Fence || !slices.Equal(again.state.Keys(), j.state.Keys()) || (again.state.Host == nil) != (j.state.Host == nil) {
				t.Fatalf("written anew it reads as %v of %v, %v", again.state.Keys(), j.state.Keys(), err)
			}
		}
	})
}
