package settings

import (
	"strings"
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

func TestParseReportsAllThatIsWrong(t *testing.T) {
	desired, problems := Parse(wire.Host{
		Sysctls:     map[string]string{"net.ipv4.vs.conntrack": " 1 ", "net.ipv4.ip_forward": "1", "net.ipv4.vs.amemthresh": ""},
		Timeouts:    &wire.Timeouts{TCPSeconds: 900, TCPFinSeconds: 120, UDPSeconds: 31*24*3600 + 1},
		SyncDaemons: &[]wire.SyncDaemon{{Role: "master", Interface: "eth0"}, {Role: "master", Interface: "eth1"}, {Role: "both", Interface: "eth0"}},
	})
	if len(problems) != 6 || desired.Sysctls["net.ipv4.vs.conntrack"] != "" || desired.Timeouts != nil || desired.Daemons != nil {
		t.Errorf("problems %+v, desired %+v", problems, desired)
	}
	for index, words := range []string{"below net.ipv4.vs. only", `value "" is not a number`} {
		if index >= len(problems) || !strings.Contains(problems[index].Message, words) {
			t.Errorf("problem %d of %+v, wanted %q", index, problems, words)
		}
	}
}

func TestPlanComparesWhatWasAskedFor(t *testing.T) {
	running := ipvs.Daemon{Role: ipvs.Master, Interface: "eth0", SyncID: 1, MaxLength: 1472, Port: 8848, TTL: 1}
	for name, row := range map[string]struct {
		wanted []ipvs.Daemon
		kinds  []Kind
	}{
		"untouched":   {nil, nil},
		"the same":    {[]ipvs.Daemon{{Role: ipvs.Master, Interface: "eth0", SyncID: 1}}, nil},
		"none":        {[]ipvs.Daemon{}, []Kind{StopDaemon}},
		"other port":  {[]ipvs.Daemon{{Role: ipvs.Master, Interface: "eth0", SyncID: 1, Port: 9000}}, []Kind{StopDaemon, StartDaemon}},
		"other role":  {[]ipvs.Daemon{{Role: ipvs.Backup, Interface: "eth0", SyncID: 1}}, []Kind{StopDaemon, StartDaemon}},
		"one of both": {[]ipvs.Daemon{running, {Role: ipvs.Backup, Interface: "eth0", SyncID: 1}}, []Kind{StartDaemon}},
	} {
		t.Run(name, func(t *testing.T) {
			changes := Plan(Desired{Daemons: row.wanted}, Observed{Daemons: []ipvs.Daemon{running}})
			if len(changes) != len(row.kinds) {
				t.Fatalf("changes %+v", changes)
			}
			for index, kind := range row.kinds {
				if changes[index].Kind != kind {
					t.Errorf("changes %+v, wanted %v", changes, row.kinds)
				}
			}
		})
	}
}
