import { listInWords } from '../lib/list-in-words.ts';
import type { AddressPool, AddressRange } from '../model/address-pool.ts';
import { formatAddressRange } from '../model/address-range.ts';

/** A pool that yields because another pool, made earlier, has some of its addresses. */
export interface PoolOverlap {
  readonly pool: string;
  /** Names of the pools that keep the addresses, sorted. */
  readonly conflictsWith: readonly string[];
  readonly message: string;
}

/**
 * Finds the pools whose addresses overlap those of an earlier pool (by creation time, then name). The earlier one stays in
 * use; the later one gives no new address until the overlap is gone. A pool that yields still stands in the way of pools
 * later than itself: otherwise deleting one pool could give addresses of a second to a third.
 *
 * Pools that could not be parsed have no known addresses and are not part of this.
 */
export function findOverlaps(pools: readonly AddressPool[]): readonly PoolOverlap[] {
  const bySeniority = [...pools].sort(compareSeniority);
  const overlaps: PoolOverlap[] = [];
  for (const [index, pool] of bySeniority.entries()) {
    const found: { readonly name: string; readonly text: string }[] = [];
    for (const earlier of bySeniority.slice(0, index)) {
      const shared = firstShared(earlier.ranges, pool.ranges);
      if (shared !== undefined)
        found.push({ name: earlier.name, text: `${earlier.name} (${formatAddressRange(shared)})` });
    }
    if (found.length === 0) continue;
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    overlaps.push({
      pool: pool.name,
      conflictsWith: found.map(({ name }) => name),
      message:
        `Addresses of this pool also belong to the earlier LoadBalancerPool ${listInWords(found.map(({ text }) => text))}. ` +
        'This pool gives no new address until the overlap is removed from one of them; addresses already given stay.',
    });
  }
  return overlaps;
}

/** The pool made earlier first; names decide between equals. */
export function compareSeniority(a: AddressPool, b: AddressPool): number {
  return a.createdAt - b.createdAt || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** The first stretch of addresses that both lists of sorted ranges have. */
function firstShared(a: readonly AddressRange[], b: readonly AddressRange[]): AddressRange | undefined {
  for (const family of ['IPv4', 'IPv6'] as const) {
    const left = a.filter((range) => range.family === family);
    const right = b.filter((range) => range.family === family);
    let i = 0;
    let j = 0;
    for (;;) {
      const x = left[i];
      const y = right[j];
      if (x === undefined || y === undefined) break;
      const { first } = x.first > y.first ? x : y;
      const { last } = x.last < y.last ? x : y;
      if (first <= last) return { family, first, last };
      if (x.last < y.last) i += 1;
      else j += 1;
    }
  }
  return undefined;
}
