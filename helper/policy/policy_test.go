package policy

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const good = `{"owners":{"prod":{"virtualServers":["203.0.113.0/24","2001:db8::/64"],"realServers":["192.0.2.0/24"],"ports":["80","8000-9000"],
	"forwardingMethods":["DirectRouting"],"interfaces":["lo"],"maxVirtualServers":10,"maxRealServersPerVirtualServer":5,"maxDeletionsPerRequest":3}}}`

func TestGoodPolicy(t *testing.T) {
	grant, err := Parse([]byte(good), "prod")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"203.0.113.255": true, "203.0.114.0": false, "2001:db8::ffff": true, "2001:db8:0:1::": false, "192.0.2.1": false} {
		if got := grant.Owns(netip.MustParseAddr(address)); got != want {
			t.Errorf("owns %s: %t", address, got)
		}
	}
	if grant.MaxVirtualServers != 10 || grant.MaxRealServers != 5 || grant.MaxDeletions != 3 {
		t.Errorf("limits %+v", grant)
	}
}

func TestBadPolicies(t *testing.T) {
	for name, row := range map[string]struct{ content, words string }{
		"empty":                  {"", "is not valid"},
		"not JSON":               {"owners: prod", "is not valid"},
		"unknown rule":           {strings.Replace(good, "maxVirtualServers", "maxVirtualServer", 1), `unknown field "maxVirtualServer"`},
		"trailing data":          {good + "{}", "data follows"},
		"local prefix elsewhere": {strings.Replace(good, `"ports"`, `"localPrefixes":["192.0.2.0/24"],"ports"`, 1), "localPrefixes: 192.0.2.0/24 lies in none of virtualServers"},
		"local prefix of one":    {strings.Replace(good, `"ports"`, `"localPrefixes":["203.0.113.1/32"],"ports"`, 1), "is a single address"},
		"local prefixes overlap": {strings.Replace(good, `"ports"`, `"localPrefixes":["203.0.113.0/24","203.0.113.0/25"],"ports"`, 1), "overlaps another"},
		"local prefix of all":    {strings.NewReplacer("203.0.113.0/24", "0.0.0.0/0", `"ports"`, `"localPrefixes":["0.0.0.0/0"],"ports"`).Replace(good), "owners.prod.localPrefixes: 0.0.0.0/0 is every address"},
		"local prefix of all v6": {strings.NewReplacer("2001:db8::/64", "::/0", `"ports"`, `"localPrefixes":["::/0"],"ports"`).Replace(good), "name the ranges that are routed to it"},
		"local prefix not range": {strings.Replace(good, `"ports"`, `"localPrefixes":["203.0.113.1/24"],"ports"`, 1), "has bits behind its prefix"},
		"no such owner":          {strings.Replace(good, "prod", "test", 1), `has no entry for owner prod: add "prod" under "owners"`},
		"owner null":             {`{"owners":{"prod":null}}`, "has no entry for owner prod"},
		"no owners":              {`{}`, "has no entry for owner prod"},
		"no ranges":              {`{"owners":{"prod":{}}}`, "owners.prod.virtualServers: name at least one range"},
		"no real servers":        {`{"owners":{"prod":{"virtualServers":["203.0.113.0/24"],"interfaces":["lo"]}}}`, "owners.prod.realServers: name at least one range"},
		"no interfaces":          {strings.Replace(good, `["lo"]`, `[]`, 1), "owners.prod.interfaces: name at least one interface"},
		"address without prefix": {strings.Replace(good, "203.0.113.0/24", "203.0.113.0", 1), `"203.0.113.0" is not a CIDR range`},
		"bits behind the prefix": {strings.Replace(good, "203.0.113.0/24", "203.0.113.7/24", 1), "203.0.113.7/24 has bits behind its prefix: write 203.0.113.0/24"},
		"port 0":                 {strings.Replace(good, `"80"`, `"0"`, 1), `ports: "0" is neither a port nor a range`},
		"port too high":          {strings.Replace(good, `"80"`, `"65536"`, 1), `ports: "65536" is neither`},
		"reversed ports":         {strings.Replace(good, "8000-9000", "9000-8000", 1), `ports: "9000-8000" is neither`},
		"unknown method":         {strings.Replace(good, `"DirectRouting"`, `"Routing"`, 1), `forwardingMethods: "Routing" is none of`},
		"mark 0":                 {strings.Replace(good, `"ports"`, `"firewallMarks":["0"],"ports"`, 1), `firewallMarks: "0" is neither a mark nor a range`},
		"reversed marks":         {strings.Replace(good, `"ports"`, `"firewallMarks":["9-1"],"ports"`, 1), `firewallMarks: "9-1" is neither`},
		"mark of 33 bits":        {strings.Replace(good, `"ports"`, `"firewallMarks":["4294967296"],"ports"`, 1), `firewallMarks: "4294967296" is neither`},
		"negative limit":         {strings.Replace(good, `"maxVirtualServers":10`, `"maxVirtualServers":-1`, 1), "a limit cannot be negative"},
		"limit as text":          {strings.Replace(good, `"maxVirtualServers":10`, `"maxVirtualServers":"10"`, 1), "is not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(row.content), "prod"); err == nil || !strings.Contains(err.Error(), row.words) {
				t.Errorf("%v, wanted words %q", err, row.words)
			}
		})
	}
}

func TestLoadSaysWhichFile(t *testing.T) {
	directory := t.TempDir()
	missing, broken, fine := filepath.Join(directory, "missing.json"), filepath.Join(directory, "broken.json"), filepath.Join(directory, "fine.json")
	for path, content := range map[string]string{broken: "{", fine: good} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, words := range map[string]string{missing: "does not exist: write one", broken: "is not valid", directory: "cannot be read"} {
		if _, err := Load(path, "prod"); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, wanted words %q", path, err, words)
		}
	}
	if _, err := Load(fine, "prod"); err != nil {
		t.Error(err)
	}
}

// A hostile policy file costs memory in proportion to its length.
func TestParsingIsBounded(t *testing.T) {
	for name, content := range map[string]string{
		"nested":      strings.Repeat(`{"owners":`, 1<<16),
		"brackets":    `{"owners":{"prod":{"ports":` + strings.Repeat("[", 1<<20),
		"ranges":      `{"owners":{"prod":{"virtualServers":[` + strings.Repeat(`"::/0",`, 1<<17) + `"x"]}}}`,
		"many others": `{"owners":{` + strings.Repeat(`"a":{},`, 1<<16) + `"b":{}}}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse([]byte(content), "prod")
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: taken", name)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 120*uint64(len(content)) {
			t.Errorf("%s: %d bytes allocated for %d", name, allocated, len(content))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"owners":{"prod":{}}}`))
	f.Add([]byte(`{"owners":{"prod":{"virtualServers":["0.0.0.0/0"],"realServers":["::/0"],"ports":["1-65535"],"interfaces":[""]}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		grant, err := Parse(content, "prod")
		if err == nil && (len(grant.VirtualServers) == 0 || len(grant.RealServers) == 0 || len(grant.Interfaces) == 0 || grant.MaxDeletions < 0) {
			t.Fatalf("a grant without ranges: %+v", grant)
		}
		if slices.ContainsFunc(grant.LocalPrefixes, func(prefix netip.Prefix) bool { return prefix.Bits() == 0 }) {
			t.Fatalf("a local route of everything: %+v", grant)
		}
	})
}
