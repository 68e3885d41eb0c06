import { count, listInWords } from '../lib/list-in-words.ts';
import type { AddressPool, AddressRange } from '../model/address-pool.ts';
import { formatAddressRange, parseAddressRange } from '../model/address-range.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import type { Director } from '../model/director.ts';
import { addressToNumber, familyOf, type IpAddress } from '../model/ip-address.ts';
import type { ServiceEndpoints } from '../model/load-balanced-service.ts';
import type { ServiceRanges } from '../model/service-ranges.ts';
import { usableRanges } from './usable-ranges.ts';

/** Addresses that somebody has already: a VIP on one of them would take traffic away from there. */
export interface HostAddresses {
  readonly range: AddressRange;
  /** Whose they are, as a phrase: `node node-1`. */
  readonly owner: string;
}

/** Everything in a cluster that has addresses of its own. */
export interface AddressOwners {
  readonly nodes: Iterable<ClusterNode>;
  readonly directors: Iterable<Director>;
  readonly apiServer: Pick<ServiceEndpoints, 'groups'>;
  /** Where the cluster takes its cluster IPs from: kube-proxy answers for each of them on every node. */
  readonly serviceRanges: Iterable<ServiceRanges>;
  /** What the configuration names. */
  readonly neverAssign: readonly AddressRange[];
}

/** The addresses of nodes and their pods, directors, the API server, of cluster IPs, and what the configuration names. */
export function hostAddresses({
  nodes,
  directors,
  apiServer,
  serviceRanges,
  neverAssign,
}: AddressOwners): readonly HostAddresses[] {
  const hosts: HostAddresses[] = neverAssign.map((range) => ({ range, owner: 'neverAssign in the configuration' }));
  for (const { name, internalIPs, externalIPs, podRanges } of nodes) {
    for (const address of [...internalIPs, ...externalIPs])
      hosts.push({ range: single(address), owner: `node ${name}` });
    for (const pods of podRanges)
      hosts.push({ range: parseAddressRange(pods) as AddressRange, owner: `the pods of node ${name}` });
  }
  for (const { name, address } of directors) hosts.push({ range: single(address), owner: `director ${name}` });
  for (const { endpoints } of apiServer.groups)
    for (const { address } of endpoints) hosts.push({ range: single(address), owner: 'the API server' });
  for (const { name, cidrs } of serviceRanges)
    for (const cidr of cidrs)
      hosts.push({ range: parseAddressRange(cidr) as AddressRange, owner: `ServiceCIDR ${name}` });
  return hosts;
}

/**
 * The pool without the addresses that hosts have: these are never handed out, and one that was given before stays where it is and is
 * reported, as after any other change of a pool.
 */
export function withoutHosts(
  pool: AddressPool,
  hosts: readonly HostAddresses[],
): { readonly pool: AddressPool; readonly taken: readonly HostAddresses[] } {
  const taken = hosts.filter(({ range }) => meets(pool.ranges, range));
  if (taken.length === 0) return { pool, taken };
  const ranges = usableRanges(
    pool.ranges,
    taken.map(({ range }) => range),
    false,
  );
  return { pool: { ...pool, ranges }, taken };
}

/** What a person should know about addresses of a pool that hosts have; the first three are named. */
export function describeTaken(taken: readonly HostAddresses[]): string {
  const named = taken.slice(0, 3).map(({ range, owner }) => `${formatAddressRange(range)} belongs to ${owner}`);
  const rest = taken.length > 3 ? `, and ${count(taken.length - 3, 'more', 'more')}` : '';
  return (
    `${listInWords(named)}${rest}. These addresses are never given to a Service. ` +
    'Take them out of spec.addresses, or list them in spec.excludedAddresses.'
  );
}

function single(address: IpAddress): AddressRange {
  const number = addressToNumber(address);
  return { family: familyOf(address), first: number, last: number };
}

/** Whether one of the sorted, disjoint ranges has an address of the other one. */
function meets(ranges: readonly AddressRange[], { family, first, last }: AddressRange): boolean {
  const endsBefore = (range: AddressRange) => (range.family === family ? range.last < first : range.family === 'IPv4');
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (endsBefore(ranges[middle] as AddressRange)) low = middle + 1;
    else high = middle;
  }
  const candidate = ranges[low];
  return candidate !== undefined && candidate.family === family && candidate.first <= last;
}
