package kubelet

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// image is what an image name stands for on this machine.
type image struct {
	// Entrypoint and Args mean what ENTRYPOINT and CMD mean in a container image.
	Entrypoint []string `json:"entrypoint"`
	Args       []string `json:"args"`
}

// images maps the last path element of an image reference, without tag and digest, to its programs.
type images map[string]image

func readImages(file string) (images, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("table of images: %w", err)
	}
	table := images{}
	if err := json.Unmarshal(content, &table); err != nil {
		return nil, fmt.Errorf("table of images %s: %w", file, err)
	}
	return table, nil
}

// commandLine is the program and arguments of a container, by the rules of the Pod API: command replaces the image's
// entrypoint, args replace the image's arguments. The error is for the image pull condition of the container.
func (table images) commandLine(container *corev1.Container) ([]string, error) {
	if len(container.Command) > 0 {
		return slices.Concat(container.Command, container.Args), nil
	}
	found, known := table[imageName(container.Image)]
	if !known {
		return nil, fmt.Errorf("image %q is not in the lab: it knows %s (or give the container a command of this machine)",
			container.Image, strings.Join(table.names(), ", "))
	}
	args := container.Args
	if len(args) == 0 {
		args = found.Args
	}
	return slices.Concat(found.Entrypoint, args), nil
}

func (table images) names() []string {
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func imageName(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	name, _, _ := strings.Cut(path.Base(reference), ":")
	return name
}
