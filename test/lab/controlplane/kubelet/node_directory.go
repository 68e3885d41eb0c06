package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// nodeDescription is one file of the nodes directory. Whoever writes it has made the network namespace, with
// forwarding on and routes to the other nodes' pod ranges.
type nodeDescription struct {
	Name string `json:"name"`
	// Incarnation is new each time the node is switched on.
	Incarnation string `json:"incarnation"`
	// NetworkNamespace is the name below /run/netns.
	NetworkNamespace string `json:"networkNamespace"`
	// Addresses become InternalIP, in this order: the first is the primary family.
	Addresses []string `json:"addresses"`
	// PodRanges are CIDRs, at most one per family, in the order of Addresses.
	PodRanges []string `json:"podRanges"`
	// KubeProxy is the command line of the node's kube-proxy behind its credentials and host name.
	KubeProxy []string `json:"kubeProxy"`
}

// nodes keeps one running node per file of the directory.
type nodes struct {
	client  kubernetes.Interface
	pods    *pods
	options options

	mutex   sync.Mutex
	running map[string]*runningNode
}

type runningNode struct {
	content string
	stop    context.CancelFunc
	stopped chan struct{}
}

func newNodes(client kubernetes.Interface, pods *pods, o options) *nodes {
	return &nodes{client: client, pods: pods, options: o, running: map[string]*runningNode{}}
}

// watchDirectory follows the directory until ctx ends, then stops every node; changed is called after each change.
func (n *nodes) watchDirectory(ctx context.Context, changed func()) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			n.mutex.Lock()
			defer n.mutex.Unlock()
			for name := range n.running {
				n.stopNode(name)
			}
			return
		case <-ticker.C:
			if n.readDirectory(ctx) {
				changed()
			}
		}
	}
}

// readDirectory starts nodes whose file is new, stops those whose file is gone, restarts those whose file changed.
func (n *nodes) readDirectory(ctx context.Context) bool {
	files, err := filepath.Glob(filepath.Join(n.options.nodesDir, "*.json"))
	if err != nil {
		klog.ErrorS(err, "The nodes directory cannot be read", "directory", n.options.nodesDir)
		return false
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	changed := false
	described := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		described[name] = true
		content, err := os.ReadFile(file)
		if err != nil {
			continue // Removed since the listing: the next reading sees that.
		}
		if running := n.running[name]; running != nil && running.content == string(content) {
			continue
		}
		description, err := parseNodeDescription(name, content)
		if err != nil {
			klog.ErrorS(err, "A node description is not usable", "file", file)
			continue
		}
		n.stopNode(name)
		n.startNode(ctx, description, string(content))
		changed = true
	}
	for name := range n.running {
		if !described[name] {
			n.stopNode(name)
			changed = true
		}
	}
	return changed
}

func parseNodeDescription(name string, content []byte) (nodeDescription, error) {
	var description nodeDescription
	if err := json.Unmarshal(content, &description); err != nil {
		return description, err
	}
	if description.Name != name {
		return description, fmt.Errorf("the file is named for %q and describes %q", name, description.Name)
	}
	if len(description.Addresses) == 0 || len(description.PodRanges) == 0 || description.NetworkNamespace == "" {
		return description, fmt.Errorf("node %s needs networkNamespace, addresses and podRanges", name)
	}
	return description, nil
}

func (n *nodes) startNode(ctx context.Context, description nodeDescription, content string) {
	nodeCtx, stop := context.WithCancel(ctx)
	node, err := newNode(n.client, description)
	if err != nil {
		stop()
		klog.ErrorS(err, "A node description is not usable", "node", description.Name)
		return
	}
	running := &runningNode{content: content, stop: stop, stopped: make(chan struct{})}
	n.running[description.Name] = running
	n.pods.addNode(node)
	go func() {
		defer close(running.stopped)
		var group sync.WaitGroup
		group.Go(func() { node.report(nodeCtx) })
		group.Go(func() { node.runKubeProxy(nodeCtx, n.options) })
		group.Go(func() { node.serveLogs(nodeCtx, n.options.runDir) })
		group.Wait()
	}()
	klog.InfoS("A node started", "node", description.Name)
}

func (n *nodes) stopNode(name string) {
	running := n.running[name]
	if running == nil {
		return
	}
	n.pods.removeNode(name)
	running.stop()
	<-running.stopped
	delete(n.running, name)
	klog.InfoS("A node stopped", "node", name)
}
