# Role "director": a host with two network stacks, sshd and IPVS, as an administrator would set it up. Read by boot.sh.
. /lab/host-network.sh

sysctls net/ipv4/vs/expire_nodest_conn=1 net/ipv4/vs/expire_quiescent_template=1 net/ipv4/vs/sloppy_tcp=1

# An archive of the initramfs carries no extended attributes, so the capability is given here.
helper=/usr/lib/ipvs-operator/ipvs-helper
if [ -e $helper ]; then setcap cap_net_admin,cap_net_raw+ep $helper || say "setcap failed"; fi
mkdir -p /run/ipvs-operator /var/lib/ipvs-operator/journal
chown ipvs-operator:ipvs-operator /run/ipvs-operator /var/lib/ipvs-operator/journal
mkdir -p /run/sshd

cat >/lab/main.sh <<'END'
#!/bin/sh
exec /usr/sbin/sshd -D -e
END
chmod 755 /lab/main.sh
say "$LAB_NAME is up"
