import type { DirectorVm } from '../lab/vm/director-vm.ts';

/** What arrives wrapped, as nftables names it before anything is unwrapped. UDP port 6081 is for tunnels with a checksum. */
export const WRAPPED = {
  ipip: 'ip protocol 4',
  ip6ip6: 'ip6 nexthdr 41',
  'IPv6 in IPv4': 'ip protocol 41',
  'IPv4 in IPv6': 'ip6 nexthdr 4',
  gre: 'meta l4proto 47',
  gue: 'udp dport 6080 udp checksum 0',
  'gue, checked': 'udp dport 6081 udp checksum != 0',
  'gue, checked unasked': 'udp dport 6080 udp checksum != 0',
  'gue, not checked': 'udp dport 6081 udp checksum 0',
} as const;

export type Wrapping = keyof typeof WRAPPED;

/** What must not arrive: the same tunnel with the checksum that was not asked for, or without the one that was. */
export const MISTAKEN: Partial<Record<Wrapping, Wrapping>> = {
  gue: 'gue, checked unasked',
  'gue, checked': 'gue, not checked',
};

/** A second address of the machine, whose gre tunnels want a checksum: one end takes packets with it or without, never both. */
export const CHECKED = { v4: '192.0.2.112', v6: '2001:db8:2::112' } as const;

interface Addresses {
  readonly v4: string;
  readonly v6: string;
}

/**
 * Makes a machine the far end of every kind of tunnel, as the administrator of a real server would: devices that take packets
 * from any director, and as witness (nftables) counters of what arrives wrapped, and the segment sizes in what is unwrapped.
 */
export async function openTunnelEnds(machine: DirectorVm, own: Addresses): Promise<void> {
  const commands = [
    'modprobe -a ipip sit ip6_tunnel fou fou6 ip_gre ip6_gre',
    `ip address add ${CHECKED.v4}/24 dev eth0`,
    `ip -6 address add ${CHECKED.v6}/64 dev eth0 nodad`,
    // These exist with their modules and take from anywhere.
    ...['tunl0', 'sit0', 'gre0', 'ip6gre0'].map((device) => `ip link set ${device} up`),
    // ip6tnl0 takes only IPv6; a device of our own takes both.
    `ip -6 tunnel add in6 mode any local ${own.v6}`,
    'ip link set in6 up',
    `ip link add checked4 type gre local ${CHECKED.v4} icsum`,
    'ip link set checked4 up',
    `ip link add checked6 type ip6gre local ${CHECKED.v6} icsum`,
    'ip link set checked6 up',
    ...['ip', 'ip -6'].flatMap((ip) => [6080, 6081].map((port) => `${ip} fou add port ${port} gue`)),
    'nft add table inet witness',
    "nft 'add chain inet witness arriving { type filter hook prerouting priority raw; }'",
    ...Object.entries(WRAPPED).map(
      ([name, match]) => `nft 'add rule inet witness arriving iifname eth0 ${match} counter comment "${name}"'`,
    ),
    ...['ip', 'ip6'].flatMap((family) => {
      const key = `${family} daddr . tcp dport . tcp option maxseg size`;
      return [
        `nft 'add set inet witness announced-${family} { typeof ${key}; flags dynamic; size 1000; }'`,
        `nft 'add rule inet witness arriving iifname != eth0 tcp flags syn update @announced-${family} { ${key} }'`,
      ];
    }),
  ];
  await machine.read(commands.join(' && '));
}

/** Takes away what {@link openTunnelEnds} made. */
export async function closeTunnelEnds(machine: DirectorVm): Promise<void> {
  const commands = [
    'nft delete table inet witness',
    ...['ip', 'ip -6'].flatMap((ip) => [6080, 6081].map((port) => `${ip} fou del port ${port}`)),
    ...['checked4', 'checked6', 'in6'].map((device) => `ip link delete ${device}`),
    ...['tunl0', 'sit0', 'gre0', 'ip6gre0'].map((device) => `ip link set ${device} down`),
    `ip address delete ${CHECKED.v4}/24 dev eth0`,
    `ip -6 address delete ${CHECKED.v6}/64 dev eth0`,
  ];
  await machine.read(commands.join(' && '));
}

/** Packets that have arrived wrapped so, of every kind. */
export async function arrived(machine: DirectorVm): Promise<Readonly<Record<Wrapping, number>>> {
  const listing = await machine.read('nft list chain inet witness arriving');
  const count = (name: string): number => {
    const packets = new RegExp(`counter packets (\\d+) bytes \\d+ comment "${name}"`).exec(listing)?.[1];
    if (packets === undefined) throw new Error(`no counter "${name}" in: ${listing}`);
    return Number(packets);
  };
  return Object.fromEntries(Object.keys(WRAPPED).map((name) => [name, count(name)])) as Record<Wrapping, number>;
}

/** The segment sizes that clients' SYNs to a VIP and port announced when they came out of a tunnel; each once, ascending. */
export async function announced(machine: DirectorVm, vip: string, port: number): Promise<number[]> {
  const listing = await machine.read(`nft list set inet witness announced-${vip.includes(':') ? 'ip6' : 'ip'}`);
  const sizes = [...listing.matchAll(/([0-9a-f.:]+) \. (\d+) \. (\d+)\b/g)].flatMap(([, to, at, size]) =>
    to === vip && Number(at) === port ? [Number(size)] : [],
  );
  return sizes.toSorted((a, b) => a - b);
}
