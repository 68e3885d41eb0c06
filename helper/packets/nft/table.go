// Package nft keeps packet rules in an nftables table of one owner's own: "table inet ipvs-operator-OWNER". Nobody else's table
// is ever touched.
package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
	"ipvs-operator.io/helper/rawnetlink"
)

// ErrUnavailable says that the kernel has no nftables.
var ErrUnavailable = errors.New("the kernel has no nftables: load module nf_tables")

const (
	answerTimeout = 10 * time.Second
	socketBuffer  = 4 << 20
	// elementsPerMessage keeps a list of elements below the 64 KiB of a netlink attribute.
	elementsPerMessage = 200
	readTries          = 5
	// ruleTag is the comment of our rules. It names their version: a helper that would write others rebuilds the table.
	ruleTag = "ipvs-operator 1"
)

// Table is an owner's table in the network namespace in which it is used. Not safe for concurrent use.
type Table struct {
	table  *nftables.Table
	socket *rawnetlink.Socket

	// What was read, and the generation of the whole ruleset then: as long as that is the same nobody has changed anything.
	known      bool
	generation uint32
	state      packets.State
	exists     bool
	present    map[part]bool
}

// New names the table of an owner; nothing is opened before the first use.
func New(owner string) *Table {
	return &Table{table: &nftables.Table{Name: "ipvs-operator-" + owner, Family: nftables.TableFamilyINet}, socket: rawnetlink.New(unix.NETLINK_NETFILTER)}
}

// Name implements packets.Kernel.
func (t *Table) Name() string { return "table inet " + t.table.Name }

// Close releases the kernel's resources.
func (t *Table) Close() error { return t.socket.Close() }

// Read implements packets.Kernel. While nobody has changed any rule on the host it costs one small request.
func (t *Table) Read() (packets.State, error) {
	for range readTries {
		generation, err := t.readGeneration()
		if err != nil {
			return packets.State{}, err
		}
		if t.known && generation == t.generation {
			return packets.State{Rules: maps.Clone(t.state.Rules), Damaged: t.state.Damaged}, nil
		}
		if err := t.readAll(); err != nil {
			return packets.State{}, err
		}
		t.known, t.generation = true, generation
	}
	return packets.State{}, fmt.Errorf("read %s: %w", t.Name(), rawnetlink.ErrInterrupted)
}

// readGeneration asks for the number that every change of any table counts up.
func (t *Table) readGeneration() (uint32, error) {
	answer, err := t.socket.Get(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return 0, ErrUnavailable
	}
	if err != nil {
		return 0, err
	}
	return decodeGeneration(answer)
}

// decodeGeneration reads struct nfgenmsg (4 bytes) and the number, which is big-endian.
func decodeGeneration(answer []byte) (uint32, error) {
	if len(answer) < 4 {
		return 0, fmt.Errorf("%w: generation of %d bytes", rawnetlink.ErrMalformed, len(answer))
	}
	attributes, err := netlink.NewAttributeDecoder(answer[4:])
	if err != nil {
		return 0, fmt.Errorf("%w: %w", rawnetlink.ErrMalformed, err)
	}
	attributes.ByteOrder = binary.BigEndian
	for attributes.Next() {
		if attributes.Type() == unix.NFTA_GEN_ID {
			return attributes.Uint32(), attributes.Err()
		}
	}
	return 0, fmt.Errorf("%w: no generation", rawnetlink.ErrMalformed)
}

// connect makes a connection for one operation, with room for all answers and a bound on waiting for them.
func connect() (*nftables.Conn, error) {
	return nftables.New(nftables.WithSockOptions(func(connection *netlink.Conn) error {
		_ = connection.SetReadBuffer(socketBuffer) // as far as the kernel lets us
		return connection.SetReadDeadline(time.Now().Add(answerTimeout))
	}))
}

func (t *Table) readAll() error {
	t.state, t.exists, t.present = packets.State{Rules: map[ipvs.ServiceKey]packets.Rules{}}, false, map[part]bool{}
	connection, err := connect()
	if err != nil {
		return err
	}
	_, err = connection.ListTableOfFamily(t.table.Name, t.table.Family)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	t.exists = true
	found, err := connection.GetSets(t.table)
	if err != nil {
		return fmt.Errorf("read the sets of %s: %w", t.Name(), err)
	}
	existing := map[string]bool{}
	for _, set := range found {
		existing[set.Name] = true
	}
	chains, err := t.chainNames(connection)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := t.readPart(connection, part, existing, chains); err != nil {
			return err
		}
	}
	for key, rules := range t.state.Rules {
		rules.SourceRanges = packets.Canonical(rules.SourceRanges)
		t.state.Rules[key] = rules
	}
	return nil
}

func (t *Table) chainNames(connection *nftables.Conn) (map[string]*nftables.Chain, error) {
	all, err := connection.ListChainsOfTableFamily(t.table.Family)
	if err != nil {
		return nil, fmt.Errorf("read the chains of %s: %w", t.Name(), err)
	}
	chains := map[string]*nftables.Chain{}
	for _, chain := range all {
		if chain.Table != nil && chain.Table.Name == t.table.Name {
			chains[chain.Name] = chain
		}
	}
	return chains, nil
}

// readPart reads the sets of a part, and whether its chains are as we made them.
func (t *Table) readPart(connection *nftables.Conn, part part, existing map[string]bool, chains map[string]*nftables.Chain) error {
	sets := part.sets(t.table)
	for name, set := range sets {
		if !existing[set.Name] {
			continue
		}
		t.present[part] = true
		elements, err := connection.GetSetElements(set)
		if err != nil {
			return fmt.Errorf("read set %s of %s: %w", set.Name, t.Name(), err)
		}
		for _, element := range elements {
			if decode(name, element, part.family, t.state.Rules) != nil {
				t.state.Damaged = true
			}
		}
	}
	for _, set := range sets {
		t.state.Damaged = t.state.Damaged || t.present[part] && !existing[set.Name]
	}
	for _, wanted := range part.chains(sets) {
		intact, err := t.isIntact(connection, wanted, chains[wanted.name])
		if err != nil {
			return err
		}
		t.state.Damaged = t.state.Damaged || t.present[part] != intact
	}
	return nil
}

// isIntact reports whether the chain has our hook and our one rule.
func (t *Table) isIntact(connection *nftables.Conn, wanted chain, found *nftables.Chain) (bool, error) {
	if found == nil || found.Hooknum == nil || *found.Hooknum != *wanted.hook || found.Priority == nil || *found.Priority != *wanted.priority {
		return false, nil
	}
	rules, err := connection.GetRules(t.table, found)
	if err != nil {
		return false, fmt.Errorf("read chain %s of %s: %w", wanted.name, t.Name(), err)
	}
	if len(rules) != 1 {
		return false, nil
	}
	tag, _ := userdata.GetString(rules[0].UserData, userdata.TypeComment)
	return tag == ruleTag, nil
}

// Write implements packets.Kernel: one batch, which the kernel takes as a whole or not at all.
func (t *Table) Write(before, after packets.State) error {
	connection, err := connect()
	if err != nil {
		return err
	}
	exists, present := t.exists, t.present
	t.known = false
	if exists && (before.Damaged || len(after.Rules) == 0) {
		connection.DelTable(t.table)
		exists, present, before = false, nil, packets.State{}
	}
	if len(after.Rules) > 0 {
		if !exists {
			connection.AddTable(t.table)
		}
		for _, part := range parts {
			if err := t.writePart(connection, part, present[part], before, after); err != nil {
				return err
			}
		}
	}
	return connection.Flush()
}

func (t *Table) writePart(connection *nftables.Conn, part part, present bool, before, after packets.State) error {
	added, removed, used := part.difference(before.Rules, after.Rules)
	sets := part.sets(t.table)
	if !used {
		if present {
			t.removePart(connection, part, sets)
		}
		return nil
	}
	if !present {
		if err := t.addPart(connection, part, sets); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		for chunk := range slices.Chunk(removed[name], elementsPerMessage) {
			if err := connection.SetDeleteElements(sets[name], chunk); err != nil {
				return err
			}
		}
		for chunk := range slices.Chunk(added[name], elementsPerMessage) {
			if err := connection.SetAddElements(sets[name], chunk); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Table) addPart(connection *nftables.Conn, part part, sets map[string]*nftables.Set) error {
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		if err := connection.AddSet(sets[name], nil); err != nil {
			return err
		}
	}
	for _, wanted := range part.chains(sets) {
		base := connection.AddChain(&nftables.Chain{Name: wanted.name, Table: t.table, Type: wanted.kind, Hooknum: wanted.hook, Priority: wanted.priority})
		connection.AddRule(&nftables.Rule{Table: t.table, Chain: base, Exprs: wanted.rule, UserData: userdata.AppendString(nil, userdata.TypeComment, ruleTag)})
	}
	return nil
}

func (t *Table) removePart(connection *nftables.Conn, part part, sets map[string]*nftables.Set) {
	for _, made := range part.chains(sets) {
		base := &nftables.Chain{Name: made.name, Table: t.table}
		connection.FlushChain(base)
		connection.DelChain(base)
	}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		connection.DelSet(sets[name])
	}
}

// difference lists, by set, the elements to add and to remove, and whether the part is needed at all.
func (p part) difference(before, after map[ipvs.ServiceKey]packets.Rules) (added, removed map[string][]nftables.SetElement, used bool) {
	added, removed = map[string][]nftables.SetElement{}, map[string][]nftables.SetElement{}
	keys := map[ipvs.ServiceKey]bool{}
	for key := range before {
		keys[key] = true
	}
	for key := range after {
		keys[key] = true
	}
	for _, key := range slices.SortedFunc(maps.Keys(keys), ipvs.ServiceKey.Compare) {
		old, fresh := p.elements(key, before[key]), p.elements(key, after[key])
		used = used || fresh != nil
		for name, elements := range fresh {
			added[name] = append(added[name], missingFrom(old[name], elements)...)
		}
		for name, elements := range old {
			removed[name] = append(removed[name], missingFrom(fresh[name], elements)...)
		}
	}
	return added, removed, used
}

// missingFrom are those of elements that others has not.
func missingFrom(others, elements []nftables.SetElement) []nftables.SetElement {
	identity := func(element nftables.SetElement) string {
		return string(element.Key) + "|" + string(element.KeyEnd) + "|" + string(element.Val)
	}
	known := map[string]bool{}
	for _, other := range others {
		known[identity(other)] = true
	}
	return slices.DeleteFunc(slices.Clone(elements), func(element nftables.SetElement) bool { return known[identity(element)] })
}
