package kubelet

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestCommandLine(t *testing.T) {
	table := images{"agnhost": {Entrypoint: []string{"/controlplane"}, Args: []string{"netexec"}}}
	for name, test := range map[string]struct {
		container corev1.Container
		want      []string
	}{
		"image's own arguments": {corev1.Container{Image: "agnhost"}, []string{"/controlplane", "netexec"}},
		"registry, tag, digest": {
			corev1.Container{Image: "registry.example:5000/e2e/agnhost:2.53@sha256:0123"}, []string{"/controlplane", "netexec"},
		},
		"args replace arguments": {
			corev1.Container{Image: "agnhost", Args: []string{"netexec", "--http-port=80"}},
			[]string{"/controlplane", "netexec", "--http-port=80"},
		},
		"command replaces all": {
			corev1.Container{Image: "unknown", Command: []string{"sleep"}, Args: []string{"1"}}, []string{"sleep", "1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := table.commandLine(&test.container)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	_, err := table.commandLine(&corev1.Container{Image: "nginx"})
	if err == nil || !strings.Contains(err.Error(), "agnhost") {
		t.Errorf("the error for an unknown image does not name what is known: %v", err)
	}
}
