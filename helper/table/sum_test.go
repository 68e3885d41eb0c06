package table

import (
	"crypto/sha256"
	"math/rand/v2"
	"net/netip"
	"testing"

	"ipvs-operator.io/helper/ipvs"
)

func sample(port uint16, weights ...uint32) VirtualServer {
	var destinations []ipvs.Destination
	for index, weight := range weights {
		address := netip.AddrFrom4([4]byte{192, 0, 2, byte(index + 1)})
		destinations = append(destinations, ipvs.Destination{DestinationKey: ipvs.DestinationKey{Address: address, Port: port}, Weight: weight})
	}
	key := ipvs.ServiceKey{Family: ipvs.IPv4, Protocol: ipvs.TCP, Address: netip.MustParseAddr("203.0.113.10"), Port: port}
	return New(ipvs.Service{ServiceKey: key, Scheduler: "rr", PrefixLength: 32}, destinations)
}

// The hash of a set does not depend on the way to it: order, detours, what was in it before.
func TestSumDependsOnTheSetOnly(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var direct, roundabout Sum
	ports := random.Perm(50)
	for _, port := range ports {
		direct.Add(Digest(sample(uint16(port), 1, 2)))
	}
	for _, port := range random.Perm(100) {
		roundabout.Add(Digest(sample(uint16(port), 1, 2)))
	}
	for port := 99; port >= 50; port-- {
		roundabout.Remove(Digest(sample(uint16(port), 1, 2)))
	}
	if direct.String() != roundabout.String() {
		t.Errorf("one way %s, another %s", direct.String(), roundabout.String())
	}
	roundabout.Remove(Digest(sample(7, 1, 2)))
	roundabout.Add(Digest(sample(7, 1, 3)))
	if direct.String() == roundabout.String() {
		t.Error("one weight changed, and the hash did not")
	}
	if empty := new(Sum).String(); len(empty) != 32 {
		t.Errorf("the hash of nothing is %q", empty)
	}
}

// The text under the hash is the same in every version: directors whose helpers differ have equal hashes for equal tables.
func TestDigestIsOfThisText(t *testing.T) {
	v := sample(80, 1, 20)
	v.Flags, v.Timeout, v.PrefixLength, v.PersistenceEngine = ipvs.FlagPersistent|ipvs.FlagScheduler2, 600, 24, "sip"
	v.Destinations[1].ForwardingMethod, v.Destinations[1].UpperThreshold, v.Destinations[1].LowerThreshold = ipvs.Tunneling, 9, 5
	v.Destinations[1].Tunnel = ipvs.Tunnel{Type: ipvs.TunnelGUE, Port: 6080}
	for text, virtualServer := range map[string]VirtualServer{
		"TCP 203.0.113.10:80 rr 0x11 600/24 \"sip\"\n192.0.2.1:80 0 1 0 0 ipip\n192.0.2.2:80 2 20 9 5 gue port 6080\n": v,
		"TCP 203.0.113.10:443 rr 0x0 0/0 \"\"\n": sample(443),
		"TCP 203.0.113.10:80 rr 0x0 0/0 \"\"\n192.0.2.1:80 0 1 0 0 ipip\n192.0.2.2:80 0 1 0 0 ipip\n192.0.2.3:80 0 25 0 0 ipip\n" +
			"192.0.2.4:80 0 25 0 0 ipip\n192.0.2.5:80 0 25 0 0 ipip\n192.0.2.6:80 0 1 0 0 ipip\n": sample(80, 1, 1, 25, 25, 25, 1),
	} {
		if Digest(virtualServer) != sha256.Sum256([]byte(text)) {
			t.Errorf("not the hash of %q", text)
		}
	}
}

// Whatever a user sets makes a difference; what the kernel counts or keeps for itself makes none.
func TestDigestAgreesWithSame(t *testing.T) {
	base := sample(80, 1, 2)
	for name, row := range map[string]struct {
		change func(*VirtualServer)
		same   bool
	}{
		"nothing":                        {func(*VirtualServer) {}, true},
		"the kernel's flag":              {func(v *VirtualServer) { v.Flags |= ipvs.FlagHashed }, true},
		"counters":                       {func(v *VirtualServer) { v.Stats.InBytes, v.Destinations[0].Stats.InBytes = 5, 6 }, true},
		"connections":                    {func(v *VirtualServer) { v.Destinations[0].Connections.Active = 5 }, true},
		"timeout without persistence":    {func(v *VirtualServer) { v.Timeout = 60 }, true},
		"persistence":                    {func(v *VirtualServer) { v.Flags |= ipvs.FlagPersistent }, false},
		"scheduler":                      {func(v *VirtualServer) { v.Scheduler = "wrr" }, false},
		"scheduler flag":                 {func(v *VirtualServer) { v.Flags |= ipvs.FlagScheduler3 }, false},
		"persistence engine":             {func(v *VirtualServer) { v.PersistenceEngine = "sip" }, false},
		"key":                            {func(v *VirtualServer) { v.Port = 81 }, false},
		"weight":                         {func(v *VirtualServer) { v.Destinations[0].Weight = 9 }, false},
		"method":                         {func(v *VirtualServer) { v.Destinations[0].ForwardingMethod = ipvs.DirectRouting }, false},
		"threshold":                      {func(v *VirtualServer) { v.Destinations[0].UpperThreshold = 9 }, false},
		"tunnel":                         {func(v *VirtualServer) { v.Destinations[0].Tunnel.Port = 9 }, false},
		"one destination less":           {func(v *VirtualServer) { v.Destinations = v.Destinations[:1] }, false},
		"destination of another address": {func(v *VirtualServer) { v.Destinations[1].Address = netip.MustParseAddr("192.0.2.9") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := New(base.Service, base.Destinations)
			row.change(&changed)
			if Same(base, changed) != row.same || (Digest(base) == Digest(changed)) != row.same {
				t.Errorf("same: %t, equal digests: %t", Same(base, changed), Digest(base) == Digest(changed))
			}
		})
	}
}
