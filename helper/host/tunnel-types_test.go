package host

import (
	"slices"
	"testing"
)

func TestTunnelTypes(t *testing.T) {
	for release, want := range map[string][]string{
		"6.1.0-50-cloud-amd64": {"ipip", "gue", "gre"}, "5.3.0": {"ipip", "gue", "gre"}, "5.2.21-rt": {"ipip", "gue"}, "5.1.0": {"ipip"}, "4.19.0-27-amd64": {"ipip"}, "": {"ipip"}, "next": {"ipip"},
	} {
		if got := TunnelTypes(release); !slices.Equal(got, want) {
			t.Errorf("release %q: %v, wanted %v", release, got, want)
		}
	}
}
