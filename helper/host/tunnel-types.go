package host

import (
	"fmt"

	"ipvs-operator.io/helper/ipvs"
)

// TunnelTypes are those that IPVS of a kernel release ("6.1.0-50-cloud-amd64") keeps: gue came with Linux 5.2, gre with 5.3. An
// older kernel does not refuse them: it makes ipip of them. Of a release that cannot be read only ipip is certain.
func TunnelTypes(release string) []string {
	var major, minor int
	types := []string{ipvs.TunnelIPIP.String()}
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return types
	}
	if major > 5 || major == 5 && minor >= 2 {
		types = append(types, ipvs.TunnelGUE.String())
	}
	if major > 5 || major == 5 && minor >= 3 {
		types = append(types, ipvs.TunnelGRE.String())
	}
	return types
}
