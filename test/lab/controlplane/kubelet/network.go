package kubelet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
)

// podNetwork is a pod's network namespace and the veth pair that links it to its node's.
type podNetwork struct {
	namespace string
	nodeLink  string
	node      *node
	number    uint32
	addresses []net.IP
}

// gatewayIPv6 is the node's end of every pod link.
var gatewayIPv6 = net.ParseIP("fe80::1")

// newPodNetwork makes the namespace, its addresses and the routes on both sides. The pod is not bridged: the node
// routes to it, so the node's kube-proxy sees all traffic of the pod.
func newPodNetwork(n *node, pod *corev1.Pod) (*podNetwork, error) {
	if pod.Spec.HostNetwork {
		network := &podNetwork{namespace: n.NetworkNamespace, node: n}
		for _, text := range n.Addresses {
			network.addresses = append(network.addresses, net.ParseIP(text))
		}
		return network, nil
	}
	number, err := n.addresses.take()
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(pod.UID))
	network := &podNetwork{
		namespace: "pod-" + pod.Namespace + "-" + pod.Name,
		nodeLink:  "veth" + hex.EncodeToString(hash[:])[:8],
		node:      n,
		number:    number,
		addresses: n.addresses.at(number),
	}
	if err := network.create(); err != nil {
		return nil, errors.Join(fmt.Errorf("network of pod %s/%s: %w", pod.Namespace, pod.Name, err), network.remove())
	}
	return network, nil
}

func (p *podNetwork) create() error {
	if err := createNamespace(p.namespace); err != nil {
		return err
	}
	podHandle, podNamespace, err := handleOf(p.namespace)
	if err != nil {
		return err
	}
	defer podHandle.Close()
	defer podNamespace.Close()
	nodeHandle, nodeNamespace, err := handleOf(p.node.NetworkNamespace)
	if err != nil {
		return err
	}
	defer nodeHandle.Close()
	defer nodeNamespace.Close()

	pair := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: p.nodeLink},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(podNamespace),
	}
	if err := nodeHandle.LinkAdd(pair); err != nil {
		return fmt.Errorf("veth pair: %w", err)
	}
	nodeIndex, err := linkUp(nodeHandle, p.nodeLink)
	if err != nil {
		return err
	}
	podIndex, err := linkUp(podHandle, "eth0")
	if err != nil {
		return err
	}
	if _, err := linkUp(podHandle, "lo"); err != nil {
		return err
	}
	gateways := p.node.addresses.at(gatewayNumber)
	for i, address := range p.addresses {
		gateway := gateways[i]
		if address.To4() == nil {
			gateway = gatewayIPv6
		}
		if err := connect(nodeHandle, nodeIndex, podHandle, podIndex, address, gateway); err != nil {
			return fmt.Errorf("address %s: %w", address, err)
		}
	}
	return nil
}

// connect gives the node's end the gateway address and a route to the pod, and the pod its address and default route.
func connect(nodeHandle *netlink.Handle, nodeIndex int, podHandle *netlink.Handle, podIndex int, address, gateway net.IP) error {
	if err := addAddress(nodeHandle, nodeIndex, gateway); err != nil {
		return err
	}
	if err := nodeHandle.RouteAdd(&netlink.Route{LinkIndex: nodeIndex, Dst: hostNet(address), Scope: netlink.SCOPE_LINK}); err != nil {
		return fmt.Errorf("route on the node: %w", err)
	}
	if err := addAddress(podHandle, podIndex, address); err != nil {
		return err
	}
	if gateway.To4() != nil {
		direct := &netlink.Route{LinkIndex: podIndex, Dst: hostNet(gateway), Scope: netlink.SCOPE_LINK}
		if err := podHandle.RouteAdd(direct); err != nil {
			return fmt.Errorf("route to the gateway: %w", err)
		}
	}
	anywhere := &net.IPNet{IP: make(net.IP, len(hostNet(gateway).IP)), Mask: net.CIDRMask(0, 8*len(hostNet(gateway).IP))}
	if err := podHandle.RouteAdd(&netlink.Route{LinkIndex: podIndex, Dst: anywhere, Gw: gateway}); err != nil {
		return fmt.Errorf("default route: %w", err)
	}
	return nil
}

// addAddress skips duplicate address detection: nobody else is on the link, and a tentative address cannot be used.
func addAddress(handle *netlink.Handle, index int, address net.IP) error {
	link := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
	wanted := &netlink.Addr{IPNet: hostNet(address)}
	if address.To4() == nil {
		wanted.Flags = syscall.IFA_F_NODAD
		if address.IsLinkLocalUnicast() {
			wanted.Mask = net.CIDRMask(64, 128)
		}
	}
	if err := handle.AddrAdd(link, wanted); err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("add address %s: %w", address, err)
	}
	return nil
}

func hostNet(address net.IP) *net.IPNet {
	if four := address.To4(); four != nil {
		return &net.IPNet{IP: four, Mask: net.CIDRMask(32, 32)}
	}
	return &net.IPNet{IP: address, Mask: net.CIDRMask(128, 128)}
}

func linkUp(handle *netlink.Handle, name string) (index int, err error) {
	link, err := handle.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("link %s: %w", name, err)
	}
	if err := handle.LinkSetUp(link); err != nil {
		return 0, fmt.Errorf("link %s up: %w", name, err)
	}
	return link.Attrs().Index, nil
}

func handleOf(namespace string) (*netlink.Handle, netns.NsHandle, error) {
	opened, err := netns.GetFromName(namespace)
	if err != nil {
		return nil, opened, fmt.Errorf("network namespace %s: %w", namespace, err)
	}
	handle, err := netlink.NewHandleAt(opened)
	if err != nil {
		opened.Close()
		return nil, opened, fmt.Errorf("network namespace %s: %w", namespace, err)
	}
	return handle, opened, nil
}

// createNamespace makes /run/netns/NAME as `ip netns add` does. IPv6 waits for no duplicate address detection there.
func createNamespace(name string) error {
	file := filepath.Join("/run/netns", name)
	created, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	created.Close()
	return inNewNetworkNamespace(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0o644); err != nil {
			return err
		}
		return syscall.Mount(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), syscall.Gettid()), file, "none", syscall.MS_BIND, "")
	})
}

// remove takes the link away first: the namespace itself lives on while another pod's mounts still show it.
func (p *podNetwork) remove() error {
	if p.nodeLink == "" {
		return nil // The node's own network.
	}
	p.node.addresses.release(p.number)
	var problems []error
	if handle, namespace, err := handleOf(p.node.NetworkNamespace); err == nil {
		if link, err := handle.LinkByName(p.nodeLink); err == nil {
			problems = append(problems, handle.LinkDel(link))
		}
		handle.Close()
		namespace.Close()
	}
	file := filepath.Join("/run/netns", p.namespace)
	if err := syscall.Unmount(file, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
		problems = append(problems, fmt.Errorf("unmount %s: %w", file, err))
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
