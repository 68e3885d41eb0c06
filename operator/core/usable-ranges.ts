import type { AddressRange } from '../model/address-pool.ts';

/** Blocks of IPv4 addresses from .0 to .255. */
const BLOCK = 256n;

/**
 * What may be handed out: the ranges sorted and merged, without the excluded ones and, when asked for, without the IPv4 addresses
 * that end in .0 or .255.
 */
export function usableRanges(
  ranges: readonly AddressRange[],
  excluded: readonly AddressRange[],
  avoidBuggyIPs: boolean,
): readonly AddressRange[] {
  const usable = subtract(merge(ranges), merge(excluded));
  return avoidBuggyIPs ? usable.flatMap(withoutBuggy) : usable;
}

/** How many addresses sorted, disjoint ranges have. */
export function countAddresses(ranges: readonly AddressRange[]): bigint {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
}

function compareRanges(a: AddressRange, b: AddressRange): number {
  if (a.family !== b.family) return a.family === 'IPv4' ? -1 : 1;
  return a.first < b.first ? -1 : a.first > b.first ? 1 : 0;
}

function merge(ranges: readonly AddressRange[]): AddressRange[] {
  const merged: AddressRange[] = [];
  for (const range of [...ranges].sort(compareRanges)) {
    const previous = merged.at(-1);
    if (previous === undefined || previous.family !== range.family || range.first > previous.last + 1n)
      merged.push(range);
    else if (range.last > previous.last) merged[merged.length - 1] = { ...previous, last: range.last };
  }
  return merged;
}

function subtract(ranges: readonly AddressRange[], excluded: readonly AddressRange[]): AddressRange[] {
  const left: AddressRange[] = [];
  for (const range of ranges) {
    let { first } = range;
    for (const gap of excluded) {
      if (gap.family !== range.family || gap.last < first || gap.first > range.last) continue;
      if (gap.first > first) left.push({ ...range, first, last: gap.first - 1n });
      first = gap.last + 1n;
    }
    if (first <= range.last) left.push({ ...range, first });
  }
  return left;
}

function withoutBuggy(range: AddressRange): AddressRange[] {
  if (range.family === 'IPv6') return [range];
  const parts: AddressRange[] = [];
  for (let block = range.first - (range.first % BLOCK); block <= range.last; block += BLOCK) {
    const first = range.first > block + 1n ? range.first : block + 1n;
    const last = range.last < block + BLOCK - 2n ? range.last : block + BLOCK - 2n;
    if (first <= last) parts.push({ family: 'IPv4', first, last });
  }
  return parts;
}
