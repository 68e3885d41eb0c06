// Command controlplane is a whole Kubernetes control plane in one static binary, for tests only.
//
// The first argument names the program to be: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy,
// kubectl, netexec (the HTTP/UDP echo server of agnhost) or kubelet-standin (package kubelet). Everything after it is
// that program's own command line.
// Each but the last is the upstream command, built unchanged from its Go module: the tests meet the real thing.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"ipvs-operator.io/test/lab/controlplane/kubelet"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/test/images/agnhost/netexec"

	// Metrics and client auth registration that the upstream main packages import.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

var commands = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
	"kubelet-standin":         kubelet.NewCommand,
	"netexec":                 func() *cobra.Command { return netexec.CmdNetexec },
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	name := os.Args[1]
	os.Args = append([]string{name}, os.Args[2:]...)
	if name == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	command, known := commands[name]
	if !known {
		usage()
	}
	os.Exit(cli.Run(command()))
}

func usage() {
	names := []string{"etcd"}
	for name := range commands {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: controlplane PROGRAM [ARGUMENT...]\nprograms: %s\n", strings.Join(names, " "))
	os.Exit(2)
}
