package kubelet

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

const (
	// Both as kubelet's defaults: a lease lasts 40 s and is renewed every quarter of that.
	leaseDuration = 40 * time.Second
	leaseRenewal  = 10 * time.Second
	podsPerNode   = 250
)

// node is one lab node: its Node object, its lease and its kube-proxy.
type node struct {
	nodeDescription
	client    kubernetes.Interface
	addresses *addressRanges
}

func newNode(client kubernetes.Interface, description nodeDescription) (*node, error) {
	ranges := make([]*net.IPNet, 0, len(description.PodRanges))
	for _, text := range description.PodRanges {
		_, parsed, err := net.ParseCIDR(text)
		if err != nil {
			return nil, fmt.Errorf("pod range: %w", err)
		}
		ranges = append(ranges, parsed)
	}
	return &node{nodeDescription: description, client: client, addresses: newAddressRanges(ranges)}, nil
}

// report keeps the Node object and its lease current until ctx ends. The Node object outlives the node, as in a real
// cluster: who removes a node deletes it.
func (n *node) report(ctx context.Context) {
	for failed := true; ; {
		err := n.reportOnce(ctx)
		if err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "The node could not report; trying again", "node", n.Name)
		}
		failed = err != nil
		wait := leaseRenewal
		if failed {
			wait = 200 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (n *node) reportOnce(ctx context.Context) error {
	api := n.client.CoreV1().Nodes()
	object, err := api.Get(ctx, n.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		object, err = api.Create(ctx, n.object(), metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	n.setStatus(object)
	if _, err = api.UpdateStatus(ctx, object, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return n.renewLease(ctx, object)
}

func (n *node) object() *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{
			corev1.LabelHostname:   n.Name,
			corev1.LabelOSStable:   runtime.GOOS,
			corev1.LabelArchStable: runtime.GOARCH,
		}},
		Spec: corev1.NodeSpec{PodCIDR: n.PodRanges[0], PodCIDRs: n.PodRanges},
	}
}

func (n *node) setStatus(object *corev1.Node) {
	status := &object.Status
	status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: n.Name}}
	for _, address := range n.Addresses {
		status.Addresses = append(status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: address})
	}
	status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("64"),
		corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourcePods:   *resource.NewQuantity(podsPerNode, resource.DecimalSI),
	}
	status.Allocatable = status.Capacity
	status.DaemonEndpoints.KubeletEndpoint.Port = logsPort
	status.NodeInfo.KubeletVersion = version.Get().GitVersion
	status.NodeInfo.OSImage = "lab"
	status.NodeInfo.OperatingSystem, status.NodeInfo.Architecture = runtime.GOOS, runtime.GOARCH
	n.setCondition(status, corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet stand-in is running pods")
	for _, pressure := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		n.setCondition(status, pressure, corev1.ConditionFalse, "KubeletHasSufficientResources", "the lab does not watch this")
	}
}

func (n *node) setCondition(status *corev1.NodeStatus, kind corev1.NodeConditionType, value corev1.ConditionStatus, reason, message string) {
	now := metav1.Now()
	condition := corev1.NodeCondition{
		Type: kind, Status: value, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now,
	}
	index := slices.IndexFunc(status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == kind })
	if index < 0 {
		status.Conditions = append(status.Conditions, condition)
		return
	}
	if status.Conditions[index].Status == value {
		condition.LastTransitionTime = status.Conditions[index].LastTransitionTime
	}
	status.Conditions[index] = condition
}

func (n *node) renewLease(ctx context.Context, object *corev1.Node) error {
	api := n.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease, err := api.Get(ctx, n.Name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return err
	}
	if missing {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
	}
	lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: object.UID}}
	lease.Spec.HolderIdentity = ptr.To(n.Name)
	lease.Spec.LeaseDurationSeconds = ptr.To(int32(leaseDuration.Seconds()))
	lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
	if missing {
		_, err = api.Create(ctx, lease, metav1.CreateOptions{})
	} else {
		_, err = api.Update(ctx, lease, metav1.UpdateOptions{})
	}
	return err
}

// runKubeProxy keeps a kube-proxy running in the node's network namespace until ctx ends.
func (n *node) runKubeProxy(ctx context.Context, o options) {
	self, err := os.Executable()
	if err != nil {
		klog.ErrorS(err, "No kube-proxy without the path of this program", "node", n.Name)
		return
	}
	start := processStart{
		commandLine: slices.Concat([]string{
			self, "kube-proxy", "--kubeconfig=" + o.proxyKubeconfig, "--hostname-override=" + n.Name,
		}, n.KubeProxy),
		networkNamespace: n.NetworkNamespace,
		hostname:         n.Name,
		environment:      os.Environ(),
		logFile:          filepath.Join(o.runDir, "logs", "kube-proxy-"+n.Name+".log"),
	}
	for ctx.Err() == nil {
		process, err := start.run()
		if err != nil {
			klog.ErrorS(err, "kube-proxy did not start", "node", n.Name)
		} else {
			select {
			case <-ctx.Done():
				process.kill()
				<-process.exited
				return
			case <-process.exited:
				klog.InfoS("kube-proxy ended and is started again", "node", n.Name, "exitCode", process.exitCode())
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
