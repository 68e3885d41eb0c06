# A director's reboot under systemd, in a virtual machine: guest.sh [damaged]. Printed at the end, for the test to read: the unit, and
# what ipvsadm and ip see. Everything is where docs/install.md puts it.
set -e
helper=/usr/lib/ipvs-operator/ipvs-helper
setcap cap_net_admin,cap_net_raw+ep $helper
mkdir -p /run/ipvs-operator /var/lib/ipvs-operator/journal
chown ipvs-operator:ipvs-operator /run/ipvs-operator /var/lib/ipvs-operator/journal
su ipvs-operator -c "$helper apply --once --owner prod" </lab/request.json >&2
[ "$(ipvsadm -Sn | wc -l)" -eq 2 ]

# What a reboot leaves: the disk.
ipvsadm -C
ipvsadm --set 900 120 300
ip address flush dev dummy0 scope global
rm -r /run/ipvs-operator
if [ "$1" = damaged ]; then
  printf 'damage' | dd of=/var/lib/ipvs-operator/journal/prod.journal bs=1 seek=20 conv=notrunc 2>/dev/null
fi

wants=/etc/systemd/system/multi-user.target.wants
mkdir -p $wants && ln -s ../ipvs-helper-restore.service $wants/
ln -s /usr/lib/systemd /lib/systemd 2>/dev/null || true
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
cat >/lab/systemd.sh <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export container=lab
exec /usr/lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=0
END
chmod 755 /lab/systemd.sh
unshare --fork --pid --mount --cgroup /lab/systemd.sh </dev/null >/tmp/systemd.log 2>&1 &
parent=$!

# Its processes see systemd as number 1; here it is the only child of unshare.
inside() { nsenter --target "$(tr -d ' ' <"/proc/$parent/task/$parent/children")" --mount --pid "$@"; }
state=unknown
for second in $(seq 90); do
  sleep 1
  state=$(inside systemctl show ipvs-helper-restore.service --property=ActiveState --value 2>/dev/null) || continue
  case $state in active | failed) break ;; esac
done
echo "state $state"
inside systemctl show ipvs-helper-restore.service --property=Result --property=ExecMainStatus --property=User
ipvsadm -Sn
ipvsadm -L --timeout
ip -brief address show dev dummy0
stat -c '%U %a %n' /run/ipvs-operator /var/lib/ipvs-operator/journal
cat /tmp/systemd.log >&2
