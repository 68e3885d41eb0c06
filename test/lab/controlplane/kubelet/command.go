// Package kubelet is the lab's stand-in for the kubelets of all its nodes: one process that runs every Pod bound to a
// lab node as processes in a network namespace of its own, and reports what they do as a kubelet would.
//
// It replaces the container engine, not the API: binding is kube-scheduler's, ReplicaSets and EndpointSlices are
// kube-controller-manager's, and kube-proxy in the node's namespace routes to the pod addresses this package reports.
// A container is its image's program (a table maps image names to programs of this machine) in namespaces of network,
// mounts and host name; it is not confined in any other way.
package kubelet

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type options struct {
	kubeconfig      string
	proxyKubeconfig string
	nodesDir        string
	runDir          string
	imagesFile      string
}

// NewCommand is the program kubelet-standin; it runs until SIGTERM or SIGINT and then takes its pods along.
func NewCommand() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:          "kubelet-standin",
		Short:        "Runs the Pods of all lab nodes as processes in network namespaces",
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return run(ctx, o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "credentials of a user that may do what kubelets do")
	flags.StringVar(&o.proxyKubeconfig, "proxy-kubeconfig", "", "credentials that each node's kube-proxy gets")
	flags.StringVar(&o.nodesDir, "nodes", "", "directory with one NAME.json per node; nodes come and go with the files")
	flags.StringVar(&o.runDir, "run-dir", "", "directory for volumes and logs of pods")
	flags.StringVar(&o.imagesFile, "images", "", "JSON file that maps image names to programs")
	for _, name := range []string{"kubeconfig", "proxy-kubeconfig", "nodes", "run-dir", "images"} {
		if err := command.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return command
}

func run(ctx context.Context, o options) error {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", o.kubeconfig, err)
	}
	// One process speaks for many kubelets: client-go's default of 5 requests a second would hold pods back.
	config.QPS, config.Burst = 500, 1000
	config.UserAgent = "kubelet-standin"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	images, err := readImages(o.imagesFile)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	podInformer := factory.Core().V1().Pods().Informer()
	pods := newPods(client, images, o.runDir)
	nodes := newNodes(client, pods, o)
	_, err = podInformer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { pods.observe(object.(*corev1.Pod)) },
		UpdateFunc: func(_, object any) { pods.observe(object.(*corev1.Pod)) },
		DeleteFunc: func(object any) {
			if tombstone, is := object.(cache.DeletedFinalStateUnknown); is {
				object = tombstone.Obj
			}
			pods.vanished(object.(*corev1.Pod))
		},
	})
	if err != nil {
		return err
	}
	// A pod seen before its node would be ignored, so nodes that are described already come first.
	nodes.readDirectory(ctx)
	factory.Start(ctx.Done())
	nodes.watchDirectory(ctx, func() { pods.observeAll(podInformer.GetStore()) })
	pods.stopAll()
	return nil
}
