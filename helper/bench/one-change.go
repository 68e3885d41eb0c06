package main

import (
	"fmt"

	"ipvs-operator.io/helper/wire"
)

// oneChange measures the change of one weight with scope listed in a small and in a large table, by turns: two sessions, each in
// a namespace of its own.
func (p plan) oneChange(small, large int) error {
	times := samples{}
	names := []string{fmt.Sprintf("among %d", small), fmt.Sprintf("among %d", large)}
	err := inNamespace(func() error {
		first, err := p.loadedHelper(small)
		if err != nil {
			return err
		}
		defer first.stop()
		return inNamespace(func() error {
			second, err := p.loadedHelper(large)
			if err != nil {
				return err
			}
			defer second.stop()
			return p.alternate(names, []*helper{first, second}, times)
		})
	})
	if err != nil {
		return err
	}
	fmt.Printf("\none weight changed in a table, scope listed\n")
	times.print(names...)
	times.printRatio(names[1], names[0], "goal at most 1.25", func(ratio float64) bool { return ratio <= 1.25 })
	return nil
}

func (p plan) loadedHelper(size int) (*helper, error) {
	table := makeTable(size, p.realServers)
	body, err := request(wire.ScopeAll, table.virtualServers)
	if err != nil {
		return nil, err
	}
	session, err := startHelper(p.helper)
	if err != nil {
		return nil, err
	}
	if _, err := session.apply(body, len(table.operations)+len(table.addresses)); err != nil {
		session.stop()
		return nil, err
	}
	return session, nil
}

func (p plan) alternate(names []string, sessions []*helper, times samples) error {
	one := makeTable(50, p.realServers).virtualServers[49] // both tables have it
	for number := range p.changes {
		one.RealServers[0].Weight = int64(number%2 + 2)
		body, err := request(wire.ScopeListed, []wire.VirtualServer{one})
		if err != nil {
			return err
		}
		for index, session := range sessions {
			took, err := session.apply(body, 1)
			if err != nil {
				return err
			}
			times.add(names[index], took)
		}
	}
	return nil
}
