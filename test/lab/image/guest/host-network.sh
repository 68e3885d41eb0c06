# Network of a host that forwards: settings, addresses, routes. Read by the roles.
sysctls() { for setting in "$@"; do echo "${setting#*=}" >"/proc/sys/${setting%%=*}" || say "sysctl $setting failed"; done; }

sysctls net/ipv4/ip_forward=1 net/ipv6/conf/all/forwarding=1 \
  net/ipv4/conf/all/rp_filter=0 net/ipv4/conf/default/rp_filter=0 \
  net/ipv4/conf/all/send_redirects=0 net/ipv4/conf/default/send_redirects=0 \
  net/ipv4/conf/all/accept_local=1 net/ipv4/conf/default/accept_local=1 \
  net/ipv6/conf/all/accept_ra=0 net/ipv6/conf/default/accept_ra=0
for interface in eth0 lo; do
  sysctls net/ipv4/conf/$interface/rp_filter=0 net/ipv4/conf/$interface/send_redirects=0 net/ipv4/conf/$interface/accept_local=1
done

ip link set eth0 up
ip addr add "$LAB_ADDRESS4" dev eth0
ip route add default via "$LAB_GATEWAY4"
if [ -n "$LAB_ADDRESS6" ]; then ip -6 addr add "$LAB_ADDRESS6" dev eth0 nodad; fi
if [ -n "$LAB_GATEWAY6" ]; then ip -6 route add default via "$LAB_GATEWAY6"; fi
echo "$LAB_ROUTES" | while read -r route; do
  case $route in '') continue ;; *:*) family=-6 ;; *) family=-4 ;; esac
  ip $family route add $route || say "route $route failed"
done
# Packets to an address of the pool that no virtual server holds end here; else they would circle between router and director.
for prefix in $LAB_BLACKHOLES; do
  case $prefix in *:*) family=-6 ;; *) family=-4 ;; esac
  ip $family route add blackhole "$prefix" metric 4294967295
done
