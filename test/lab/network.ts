import {
  CLIENT_GATEWAY,
  type ClientName,
  CONTROL_PLANE,
  clientAddresses,
  clientNames,
  directorAddresses,
  directorName,
  MAX_NODE_NUMBER,
  nodeAddresses,
  podRanges,
  ROUTER,
  VIP_RANGES,
} from './addresses.ts';
import { mustRun } from './run-program.ts';

/** The routing table of the router that sends one client's VIP traffic to one director: its number is 100 + the director's. */
const FIRST_DIRECTOR_TABLE = 100;

/**
 * Builds the network of a lab in the network namespace it is called in, which becomes the router:
 * the bridge `lan` with a namespace `cp`, a tap device per director, and each client behind a link of its own.
 */
export async function buildNetwork(directors: number): Promise<void> {
  await asRouter();
  const taps = Array.from({ length: directors }, (_, i) => directorName(i + 1)).flatMap((tap) => [
    `tuntap add dev ${tap} mode tap`,
    `link set ${tap} master lan up`,
  ]);
  await ip([
    'link set lo up',
    'link add lan type bridge forward_delay 0 mcast_snooping 0',
    'link set lan up',
    `address add ${ROUTER.v4}/24 dev lan`,
    `address add ${ROUTER.v6}/64 dev lan nodad`,
    ...taps,
    ...podRoutes('lan', undefined),
    ...Array.from({ length: directors }, (_, i) => directorTable(i + 1)).flat(),
  ]);
  await mustRun('ip', ['-6', '-batch', '-'], {
    input: Array.from({ length: directors }, (_, i) => directorRuleV6(i + 1)).join(''),
  });
  await routeVips(Array.from({ length: directors }, (_, i) => i + 1));
  await Promise.all([
    attachToLan('cp', CONTROL_PLANE, undefined),
    ...clientNames(directors).map((name, i) => attachClient(name, i)),
  ]);
}

/** Makes a namespace for a cluster node: it forwards, and knows the way to every other node's pods. */
export async function addNodeNamespace(name: string, number: number): Promise<void> {
  await attachToLan(name, nodeAddresses(number), number);
  await mustRun('ip', ['netns', 'exec', name, 'nft', '-f', '-'], { input: missedByKubeProxy(['eth0']) });
}

/**
 * kube-proxy misses a new connection now and then while it changes its rules (about one in 5,000 under constant change, Linux 6.18).
 * Such a packet must end on the node, so that the client repeats it; else it circles through router and director until its TTL is used
 * up. A filter does it behind those of kube-proxy (a route would take the packets that kube-proxy wants to refuse), and only for what
 * comes in by the node's own devices, because pods may go to a VIP by way of the router, as they do with ipMode Proxy.
 */
export function missedByKubeProxy(devices: readonly string[]): string {
  const from = `iifname { ${devices.join(', ')} }`;
  return `table inet missed {
  chain forward {
    type filter hook forward priority 10;
    ${from} ip daddr ${VIP_RANGES.v4} drop
    ${from} ip6 daddr ${VIP_RANGES.v6} drop
  }
}
`;
}

/** A link of the segment for a virtual machine. */
export async function addTap(name: string): Promise<void> {
  await ip([`tuntap add dev ${name} mode tap`, `link set ${name} master lan up`]);
}

export async function removeTap(name: string): Promise<void> {
  await ip([`link delete ${name}`]);
}

/** The way from a node to the pods of all others, as ip-route(8) takes it behind `add`. */
export function otherPodRoutes(number: number): string[] {
  return podRoutes('eth0', number).map((line) => line.replace(/^route add /, ''));
}

/** Takes a node's namespace away, with every link in it. */
export async function removeNodeNamespace(name: string): Promise<void> {
  await ip([`link delete ${name}`, `netns delete ${name}`]);
}

/** The router spreads clients' VIP traffic over exactly these directors (ECMP, by address and port). */
export async function routeVips(directors: readonly number[]): Promise<void> {
  const hops = (family: 'v4' | 'v6') => directors.map((n) => `nexthop via ${directorAddresses(n)[family]} dev lan`);
  // Without a director the range ends here: a packet to it must not find the way back to where it came from.
  await ip(
    directors.length === 0
      ? [`route replace unreachable ${VIP_RANGES.v4}`, `route replace unreachable ${VIP_RANGES.v6}`]
      : [
          `route replace ${VIP_RANGES.v4} ${hops('v4').join(' ')}`,
          `route replace ${VIP_RANGES.v6} ${hops('v6').join(' ')}`,
        ],
  );
}

/** Cuts a director's network, or joins it again: the virtual machine itself notices nothing. */
export async function setDirectorLink(director: string, state: 'up' | 'down'): Promise<void> {
  await ip([`link set ${director} ${state}`]);
}

function directorTable(number: number): string[] {
  const table = FIRST_DIRECTOR_TABLE + number;
  const [client, director] = [clientAddresses(`client-director-${number}`), directorAddresses(number)];
  return [
    `rule add from ${client.v4} to ${VIP_RANGES.v4} lookup ${table}`,
    `route add ${VIP_RANGES.v4} via ${director.v4} dev lan table ${table}`,
    `route add ${VIP_RANGES.v6} via ${director.v6} dev lan table ${table}`,
  ];
}

/** Unlike addresses and routes, ip-rule(8) does not tell the family by the address. */
function directorRuleV6(number: number): string {
  const client = clientAddresses(`client-director-${number}`);
  return `rule add from ${client.v6} to ${VIP_RANGES.v6} lookup ${FIRST_DIRECTOR_TABLE + number}\n`;
}

/** Routes to the pods of all nodes there may ever be, but the one that asks. */
function podRoutes(device: string, own: number | undefined): string[] {
  const others = Array.from({ length: MAX_NODE_NUMBER }, (_, i) => i + 1).filter((number) => number !== own);
  return others.flatMap((number) => [
    `route add ${podRanges(number).v4} via ${nodeAddresses(number).v4} dev ${device}`,
    `route add ${podRanges(number).v6} via ${nodeAddresses(number).v6} dev ${device}`,
  ]);
}

async function attachToLan(name: string, address: { v4: string; v6: string }, own: number | undefined): Promise<void> {
  await ip([`netns add ${name}`]);
  await asRouter(name);
  await ip([`link add ${name} type veth peer name eth0 netns ${name}`, `link set ${name} master lan up`]);
  await ip(
    [
      'link set lo up',
      'link set eth0 up',
      `address add ${address.v4}/24 dev eth0`,
      `address add ${address.v6}/64 dev eth0 nodad`,
      `route add default via ${ROUTER.v4}`,
      `route add default via ${ROUTER.v6}`,
      ...podRoutes('eth0', own),
    ],
    name,
  );
}

async function attachClient(name: ClientName, index: number): Promise<void> {
  const [address, link] = [clientAddresses(name), `client${index}`];
  await ip([`netns add ${name}`]);
  await asRouter(name);
  await ip([
    `link add ${link} type veth peer name eth0 netns ${name}`,
    `link set ${link} up`,
    `address add ${CLIENT_GATEWAY.v4}/32 dev ${link}`,
    `address add ${CLIENT_GATEWAY.v6}/128 dev ${link} nodad`,
    `route add ${address.v4}/32 dev ${link}`,
    `route add ${address.v6}/128 dev ${link}`,
  ]);
  await ip(
    [
      'link set lo up',
      'link set eth0 up',
      `address add ${address.v4}/32 dev eth0`,
      `address add ${address.v6}/128 dev eth0 nodad`,
      `route add ${CLIENT_GATEWAY.v4}/32 dev eth0`,
      `route add ${CLIENT_GATEWAY.v6}/128 dev eth0`,
      `route add default via ${CLIENT_GATEWAY.v4} dev eth0`,
      `route add default via ${CLIENT_GATEWAY.v6} dev eth0`,
    ],
    name,
  );
}

/**
 * Settings of every namespace, before it has links. Replies of direct routing take another way than requests, which
 * reverse path filtering would drop; redirects would teach hosts of the segment shortcuts around what is tested.
 */
const SETTINGS = [
  'ipv4/ip_forward=1',
  'ipv4/conf/all/rp_filter=0',
  'ipv4/conf/default/rp_filter=0',
  'ipv4/conf/all/send_redirects=0',
  'ipv4/conf/default/send_redirects=0',
  'ipv4/conf/all/accept_redirects=0',
  'ipv4/conf/default/accept_redirects=0',
  'ipv4/fib_multipath_hash_policy=1',
  'ipv6/conf/all/forwarding=1',
  'ipv6/conf/default/forwarding=1',
  'ipv6/conf/all/accept_redirects=0',
  'ipv6/conf/default/accept_redirects=0',
  'ipv6/conf/default/accept_dad=0',
  'ipv6/conf/default/accept_ra=0',
  'ipv6/fib_multipath_hash_policy=1',
];

async function asRouter(namespace?: string): Promise<void> {
  const script = SETTINGS.map((setting) => setting.split('='))
    .map(([key, value]) => `echo ${value} > /proc/sys/net/${key}`)
    .join('\n');
  const shell = ['sh', '-ec', script];
  if (namespace === undefined) await mustRun('sh', ['-ec', script]);
  else await mustRun('ip', ['netns', 'exec', namespace, ...shell]);
}

/** Runs lines of ip(8) as one batch, which stops at the first that fails. */
async function ip(lines: readonly string[], namespace?: string): Promise<void> {
  const where = namespace === undefined ? [] : ['-n', namespace];
  await mustRun('ip', [...where, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
