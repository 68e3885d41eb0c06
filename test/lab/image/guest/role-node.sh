# Role "node": a cluster node: kubelet stand-in, kube-proxy and pods, and the far end of every kind of tunnel. Read by boot.sh.
. /lab/host-network.sh

sysctls net/ipv6/conf/default/accept_dad=0
# The VIPs that kube-proxy's ipvs mode puts on kube-ipvs0 are not to be asked for on the segment.
sysctls net/ipv4/conf/all/arp_ignore=1 net/ipv4/conf/all/arp_announce=2

ip -6 tunnel add in6 mode any local "${LAB_ADDRESS6%/*}"
for device in $LAB_TUNNELS; do
  ip link set $device up || say "$device does not come up"
  sysctls net/ipv4/conf/$device/rp_filter=0
done
ip fou add port "$LAB_GUE_PORT" gue
ip -6 fou add port "$LAB_GUE_PORT" gue

# The node's own network under a name, as the kubelet stand-in wants it.
mkdir -p /run/netns /run/lab/logs
: >"/run/netns/$LAB_NAME"
mount --bind /proc/1/ns/net "/run/netns/$LAB_NAME"
mv /lab/run/* /run/lab/
mkdir -p /run/lab/nodes && mv "/run/lab/$LAB_NAME.json" /run/lab/nodes/
nft -f /run/lab/missed.nft
mkdir -p "${LAB_CONTROLPLANE%/*}" && ln -s /lab/controlplane "$LAB_CONTROLPLANE"

(
  while :; do
    "$LAB_CONTROLPLANE" kubelet-standin --kubeconfig=/run/lab/kubelet.kubeconfig --proxy-kubeconfig=/run/lab/proxy.kubeconfig \
      --nodes=/run/lab/nodes --run-dir=/run/lab --images=/run/lab/images.json >>/run/lab/logs/kubelet-standin.log 2>&1
    sleep 1
  done
) &

mkdir -p /run/sshd
cat >/lab/main.sh <<'END'
#!/bin/sh
exec /usr/sbin/sshd -D -e
END
chmod 755 /lab/main.sh
say "$LAB_NAME is up"
