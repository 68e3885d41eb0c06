import { invariant } from '../lib/invariant.ts';
import type { AddressRange } from '../model/address-pool.ts';

/**
 * An address as a number: of IPv4 a plain one, of which arrays are as small as they can be and nothing for the garbage collector; of IPv6 a bigint.
 */
export type Ordinal = number | bigint;

/**
 * The free addresses of one family, as disjoint intervals, the highest first: the lowest free address, which is taken most often, stands at the end of an array.
 * Taking it costs the same however many are in use, and a /64 costs no more than a /24, because nothing is ever enumerated.
 */
export class FreeAddresses {
  readonly #firsts: Ordinal[] = [];
  readonly #lasts: Ordinal[] = [];
  #count = 0n;

  /** All addresses of the ranges are free. The ranges are sorted and disjoint. */
  constructor(ranges: readonly AddressRange[]) {
    for (const { family, first, last } of ranges.toReversed()) {
      this.#firsts.push(family === 'IPv4' ? Number(first) : first);
      this.#lasts.push(family === 'IPv4' ? Number(last) : last);
      this.#count += last - first + 1n;
    }
  }

  get count(): bigint {
    return this.#count;
  }

  /** The lowest free address. */
  first(): Ordinal | undefined {
    return this.#firsts[this.#firsts.length - 1];
  }

  has(address: Ordinal): boolean {
    const index = this.#intervalStartingAtOrBefore(address);
    const last = this.#lasts[index];
    return last !== undefined && address <= last;
  }

  /** Marks the address as used; without effect when it is not free. */
  take(address: Ordinal): void {
    const index = this.#intervalStartingAtOrBefore(address);
    const first = this.#firsts[index];
    const last = this.#lasts[index];
    if (first === undefined || last === undefined || address > last) return;
    this.#count -= 1n;
    if (first === last) {
      this.#drop(index);
    } else if (address === first) {
      this.#firsts[index] = next(first);
    } else if (address === last) {
      this.#lasts[index] = previous(last);
    } else {
      this.#firsts.splice(index, 0, next(address));
      this.#lasts.splice(index + 1, 0, previous(address));
    }
  }

  /** Makes a taken address free again. It must have been taken from these ranges. */
  give(address: Ordinal): void {
    const below = this.#intervalStartingAtOrBefore(address);
    const above = below - 1;
    const lastBelow = this.#lasts[below];
    invariant(lastBelow === undefined || address > lastBelow, 'An address that is given back was in use.');
    const joinsBelow = lastBelow === previous(address);
    const joinsAbove = this.#firsts[above] === next(address);
    this.#count += 1n;
    if (joinsBelow && joinsAbove) {
      this.#lasts.splice(below, 1);
      this.#firsts.splice(above, 1);
    } else if (joinsBelow) {
      this.#lasts[below] = address;
    } else if (joinsAbove) {
      this.#firsts[above] = address;
    } else {
      this.#firsts.splice(below, 0, address);
      this.#lasts.splice(below, 0, address);
    }
  }

  #drop(index: number): void {
    if (index === this.#firsts.length - 1) {
      this.#firsts.pop();
      this.#lasts.pop();
    } else {
      this.#firsts.splice(index, 1);
      this.#lasts.splice(index, 1);
    }
  }

  /** Index of the interval with the highest start that is not above the address; the length when there is none. */
  #intervalStartingAtOrBefore(address: Ordinal): number {
    let low = 0;
    let high = this.#firsts.length;
    if (high > 0 && (this.#firsts[high - 1] as Ordinal) === address) return high - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#firsts[middle] as Ordinal) > address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function next(ordinal: Ordinal): Ordinal {
  return typeof ordinal === 'number' ? ordinal + 1 : ordinal + 1n;
}

function previous(ordinal: Ordinal): Ordinal {
  return typeof ordinal === 'number' ? ordinal - 1 : ordinal - 1n;
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
