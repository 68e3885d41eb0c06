import type { DirectorVm } from '../lab/vm/director-vm.ts';

/** What arrives wrapped, as nftables names it before anything is unwrapped. */
export const WRAPPED = {
  ipip: 'meta l4proto 4',
  ip6ip6: 'meta l4proto 41',
  gre: 'meta l4proto 47',
  gue: 'udp dport 6080',
} as const;

export type Wrapping = keyof typeof WRAPPED;

/** A second address of the machine, whose gre tunnels want a checksum: one end takes packets with it or without, never both. */
export const CHECKED = { v4: '192.0.2.112', v6: '2001:db8:2::112' } as const;

/**
 * Makes a machine the far end of every kind of tunnel, as the administrator of a real server would: devices that take packets
 * from any director, and counters (nftables) of what arrives wrapped, as witness.
 */
export async function openTunnelEnds(
  machine: DirectorVm,
  own: { readonly v4: string; readonly v6: string },
): Promise<void> {
  const commands = [
    'modprobe -a ipip ip6_tunnel fou ip_gre ip6_gre',
    `ip address add ${CHECKED.v4}/24 dev eth0`,
    `ip -6 address add ${CHECKED.v6}/64 dev eth0 nodad`,
    // tunl0 and gre0 exist with their modules and take from anywhere.
    'ip link set tunl0 up',
    'ip link set gre0 up',
    'ip link set ip6gre0 up',
    // ip6tnl0 takes only IPv6; a device of our own takes both.
    `ip -6 tunnel add in6 mode any local ${own.v6}`,
    'ip link set in6 up',
    `ip link add checked4 type gre local ${CHECKED.v4} icsum`,
    'ip link set checked4 up',
    `ip link add checked6 type ip6gre local ${CHECKED.v6} icsum`,
    'ip link set checked6 up',
    'ip fou add port 6080 gue',
    'ip -6 fou add port 6080 gue',
    'nft add table inet witness',
    "nft 'add chain inet witness arriving { type filter hook prerouting priority raw; }'",
    ...Object.entries(WRAPPED).map(
      ([name, match]) => `nft 'add rule inet witness arriving iifname eth0 ${match} counter comment "${name}"'`,
    ),
  ];
  for (const command of commands) await machine.read(command);
}

/** Packets that have arrived wrapped so. */
export async function arrived(machine: DirectorVm, wrapping: Wrapping): Promise<number> {
  const listing = await machine.read('nft list chain inet witness arriving');
  const packets = new RegExp(`counter packets (\\d+) bytes \\d+ comment "${wrapping}"`).exec(listing)?.[1];
  if (packets === undefined) throw new Error(`no counter in: ${listing}`);
  return Number(packets);
}
