package contract

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"ipvs-operator.io/helper/wire"
)

// randomRules makes some of the virtual servers ask for packet rules of all kinds.
func randomRules(random *rand.Rand) []wire.VirtualServer {
	var servers []wire.VirtualServer
	for index := range 8 {
		vip, host, base := fmt.Sprintf("203.0.113.%d", index+1), "192.0.2.21", "198.51.%d.0/%d"
		if index%2 == 1 {
			vip, host, base = fmt.Sprintf("2001:db8::%d", index+1), "2001:db8:1::21", "2001:db8:%d::/%d"
		}
		server := masquerading(vip, 80, host)
		server.Masquerade = random.IntN(2) == 0
		server.MSSClamp = []int64{0, 0, 1200, 1400}[random.IntN(4)]
		for range random.IntN(4) {
			bits := 24
			if index%2 == 1 {
				bits = 48
			}
			server.SourceRanges = append(server.SourceRanges, fmt.Sprintf(base, random.IntN(5)+1, bits+random.IntN(8)))
		}
		if random.IntN(5) > 0 {
			servers = append(servers, server)
		}
	}
	return servers
}

// From whatever rules to whatever others: applied they are as asked, and applied again nothing is written.
func TestPacketRulesConverge(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := packetDirector(t, w)
		random := rand.New(rand.NewPCG(4, 4))
		host := &wire.Host{Sysctls: map[string]string{"net.ipv4.vs.conntrack": "1"}}
		for step := range 25 {
			servers := randomRules(random)
			request := wire.Apply{Fence: d.fence, Scope: wire.ScopeAll, Interface: "lo", VirtualServers: servers, Host: host}
			answer := d.apply(t, d.engine, request)
			if len(answer.Errors) > 0 || answer.Writes != len(answer.Changes) {
				t.Fatalf("step %d: %+v", step, answer.Errors)
			}
			again := d.apply(t, d.newEngine("prod"), request)
			if again.Writes != 0 || len(again.Changes) != 0 || again.TableHash != answer.TableHash {
				t.Fatalf("step %d: applied again it writes %+v", step, again.Changes)
			}
			read := d.read(t)
			for _, server := range servers {
				found := keyed(t, read, server.Key)
				if found.Masquerade != server.Masquerade || found.MSSClamp != server.MSSClamp || (len(found.SourceRanges) > 0) != (len(server.SourceRanges) > 0) {
					t.Fatalf("step %d: read %+v, wanted %+v", step, found.PacketRules, server.PacketRules)
				}
			}
		}
		d.all(t)
		w.nftShowsNothing(t)
	})
}
