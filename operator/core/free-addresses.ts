import { invariant } from '../lib/invariant.ts';
import type { AddressRange } from '../model/address-pool.ts';

/**
 * The free addresses of one family, as sorted disjoint intervals. Taking the first is cheap however many are in use, and a
 * /64 costs no more than a /24, because nothing is ever enumerated.
 */
export class FreeAddresses {
  readonly #firsts: bigint[] = [];
  readonly #lasts: bigint[] = [];
  #count = 0n;

  /** All addresses of the ranges are free. The ranges are sorted and disjoint. */
  constructor(ranges: readonly AddressRange[]) {
    for (const { first, last } of ranges) {
      this.#firsts.push(first);
      this.#lasts.push(last);
      this.#count += last - first + 1n;
    }
  }

  get count(): bigint {
    return this.#count;
  }

  /** The lowest free address. */
  first(): bigint | undefined {
    return this.#firsts[0];
  }

  has(address: bigint): boolean {
    const index = this.#intervalStartingAtOrBefore(address);
    const last = this.#lasts[index];
    return last !== undefined && address <= last;
  }

  /** Marks the address as used; without effect when it is not free. */
  take(address: bigint): void {
    const index = this.#intervalStartingAtOrBefore(address);
    const first = this.#firsts[index];
    const last = this.#lasts[index];
    if (first === undefined || last === undefined || address > last) return;
    this.#count -= 1n;
    if (first === last) {
      this.#firsts.splice(index, 1);
      this.#lasts.splice(index, 1);
    } else if (address === first) {
      this.#firsts[index] = first + 1n;
    } else if (address === last) {
      this.#lasts[index] = last - 1n;
    } else {
      this.#firsts.splice(index + 1, 0, address + 1n);
      this.#lasts.splice(index, 0, address - 1n);
    }
  }

  /** Makes a taken address free again. It must have been taken from these ranges. */
  give(address: bigint): void {
    invariant(!this.has(address), 'An address that is given back was in use.');
    const before = this.#intervalStartingAtOrBefore(address);
    const after = before + 1;
    const joinsBefore = this.#lasts[before] === address - 1n;
    const joinsAfter = this.#firsts[after] === address + 1n;
    this.#count += 1n;
    if (joinsBefore && joinsAfter) {
      this.#lasts.splice(before, 1);
      this.#firsts.splice(after, 1);
    } else if (joinsBefore) {
      this.#lasts[before] = address;
    } else if (joinsAfter) {
      this.#firsts[after] = address;
    } else {
      this.#firsts.splice(after, 0, address);
      this.#lasts.splice(after, 0, address);
    }
  }

  /** Index of the last interval that starts at or before the address; -1 when there is none. */
  #intervalStartingAtOrBefore(address: bigint): number {
    let low = 0;
    let high = this.#firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#firsts[middle] as bigint) <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** Whether one of the sorted, disjoint ranges holds the address. */
export function rangesInclude(ranges: readonly AddressRange[], address: bigint): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as AddressRange).first <= address) low = middle + 1;
    else high = middle;
  }
  const candidate = ranges[low - 1];
  return candidate !== undefined && address <= candidate.last;
}
