/**
 * The address plan of every lab. All of it is documentation space (RFC 5737, RFC 3849) and the benchmarking range of
 * RFC 2544; no packet leaves the lab, so all labs use the same.
 */

/** One host in both families, without prefix length. */
export interface HostAddresses {
  readonly v4: string;
  readonly v6: string;
}

/** The segment of router, control plane, directors and nodes. */
export const LAN = { v4: '192.0.2.0/24', v6: '2001:db8:2::/64' } as const;
/** Where clients live: behind the router, outside the cluster. */
export const CLIENT_NET = { v4: '198.51.100.0/24', v6: '2001:db8:100::/64' } as const;
/** Addresses for LoadBalancerPools; the router routes them towards the directors. */
export const VIP_RANGES = { v4: '203.0.113.0/24', v6: '2001:db8:113::/64' } as const;
/** All pod ranges of all nodes. */
export const CLUSTER_RANGES = { v4: '198.18.128.0/17', v6: '2001:db8:5::/48' } as const;
/** Cluster IPs. */
export const SERVICE_RANGES = { v4: '198.18.0.0/17', v6: '2001:db8:f::/112' } as const;

export const ROUTER: HostAddresses = { v4: '192.0.2.1', v6: '2001:db8:2::1' };
/** Control plane, and where the operator runs. */
export const CONTROL_PLANE: HostAddresses = { v4: '192.0.2.10', v6: '2001:db8:2::10' };
export const API_SERVER = `https://${CONTROL_PLANE.v4}:6443`;
/** The router as clients see it. */
export const CLIENT_GATEWAY: HostAddresses = { v4: '198.51.100.1', v6: '2001:db8:100::1' };

/** Highest number of a node: routes to so many pod ranges are set from the start. */
export const MAX_NODE_NUMBER = 20;
export const MAX_DIRECTORS = 4;

/** Director 1 is .11, director 2 is .12. */
export function directorAddresses(number: number): HostAddresses {
  return { v4: `192.0.2.${10 + number}`, v6: `2001:db8:2::${10 + number}` };
}

/** node1 is .21, node2 is .22. */
export function nodeAddresses(number: number): HostAddresses {
  return { v4: `192.0.2.${20 + number}`, v6: `2001:db8:2::${20 + number}` };
}

/** The pod ranges of one node, as CIDRs. */
export function podRanges(number: number): HostAddresses {
  return { v4: `198.18.${128 + number}.0/24`, v6: `2001:db8:5:${number}::/64` };
}

/** `client` is spread over all directors, `client-director-N` always goes through director N. */
export type ClientName = 'client' | `client-director-${number}`;

export function clientAddresses(name: ClientName): HostAddresses {
  const number = name === 'client' ? 0 : Number(name.slice('client-director-'.length));
  return { v4: `198.51.100.${10 + number}`, v6: `2001:db8:100::${10 + number}` };
}

/** Every client of a lab with so many directors. */
export function clientNames(directors: number): ClientName[] {
  return ['client', ...Array.from({ length: directors }, (_, i): ClientName => `client-director-${i + 1}`)];
}

export function directorName(number: number): string {
  return `director-${number}`;
}

/** The number of a node by its name; nodes are named node1, node2 and so on, because addresses follow from the number. */
export function nodeNumber(name: string): number {
  const number = Number(/^node([1-9][0-9]*)$/.exec(name)?.[1]);
  if (!(number <= MAX_NODE_NUMBER))
    throw new Error(`a lab's nodes are named node1 to node${MAX_NODE_NUMBER}, not ${name}`);
  return number;
}
