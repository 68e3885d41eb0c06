# Role "director": a host with two network stacks, sshd and IPVS, as an administrator would set it up. Read by boot.sh.
sysctl -q -w net.ipv4.vs.expire_nodest_conn=1 net.ipv4.vs.expire_quiescent_template=1 net.ipv4.vs.sloppy_tcp=1 || say "sysctl net.ipv4.vs failed"

# What survives a reset, where this machine has a disk.
mkdir -p /var/lib/ipvs-operator
if [ -n "$LAB_DISK" ]; then mount -t ext4 "$LAB_DISK" /var/lib/ipvs-operator || say "disk $LAB_DISK failed"; fi
mkdir -p /run/ipvs-operator /var/lib/ipvs-operator/journal
chown ipvs-operator:ipvs-operator /run/ipvs-operator /var/lib/ipvs-operator/journal

# An archive of the initramfs carries no extended attributes, so the capability is given here. Then, before anything reaches this
# host, what config/director/ipvs-helper-restore.service does on one with systemd.
helper=/usr/lib/ipvs-operator/ipvs-helper
if [ -e $helper ]; then
  setcap cap_net_admin,cap_net_raw+ep $helper || say "setcap failed"
  su ipvs-operator -c "$helper restore --json" >/run/restore.out 2>/run/restore.err
  echo $? >/run/restore.exit
fi

. /lab/host-network.sh
mkdir -p /run/sshd

cat >/lab/main.sh <<'END'
#!/bin/sh
exec /usr/sbin/sshd -D -e
END
chmod 755 /lab/main.sh
say "$LAB_NAME is up"
