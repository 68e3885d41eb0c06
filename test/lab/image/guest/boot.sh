#!/bin/sh
# First thing that runs in every virtual machine of the lab (sysinit of busybox init): file systems, modules, then the role that
# /lab/settings.sh names. That file and everything else that differs between machines arrives in a second archive.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
say() { echo "lab: $*" >/dev/console; }

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /run /tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
ln -sf /proc/self/fd /dev/fd
dmesg -n 4

. /lab/settings.sh
hostname "$LAB_NAME"
# The kernel loads what an interface or a socket asks for by itself; what no one asks for is named here.
modprobe -a virtio_pci $LAB_MODULES || say "modprobe failed"
ip link set lo up
if [ -x "/lab/role-$LAB_ROLE.sh" ]; then . "/lab/role-$LAB_ROLE.sh"; else say "no such role: $LAB_ROLE"; fi
