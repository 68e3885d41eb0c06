import type { AddressPool, AddressRange } from '../model/address-pool.ts';
import {
  addressFromNumber,
  addressToNumber,
  addressToOrdinal,
  familyOf,
  type IpAddress,
  type IpFamily,
} from '../model/ip-address.ts';
import { FreeAddresses, type Ordinal, rangesInclude } from './free-addresses.ts';
import type { PoolOverlap } from './pool-overlaps.ts';

/** A pool with the knowledge which of its addresses are free. */
export class PoolSpace {
  #pool: AddressPool;
  #overlap: PoolOverlap | undefined;
  /** What {@link firstFree} found last: most often it is taken next. */
  #first: { readonly address: IpAddress; readonly number: Ordinal } | undefined;
  #ranges: Readonly<Record<IpFamily, readonly AddressRange[]>>;
  #free: Readonly<Record<IpFamily, FreeAddresses>>;

  /** @param taken addresses in use anywhere; those outside the pool do not matter. */
  constructor(pool: AddressPool, overlap: PoolOverlap | undefined, taken: Iterable<IpAddress>) {
    this.#pool = pool;
    this.#overlap = overlap;
    this.#ranges = splitByFamily(pool.ranges);
    this.#free = this.#allBut(taken);
  }

  get pool(): AddressPool {
    return this.#pool;
  }

  /** Set while the pool yields to an earlier one. */
  get overlap(): PoolOverlap | undefined {
    return this.#overlap;
  }

  /**
   * The pool as it is now; the free addresses are computed anew only when the ranges changed.
   *
   * @returns whether the pool may now give something else, or to somebody else.
   */
  update(pool: AddressPool, overlap: PoolOverlap | undefined, taken: () => Iterable<IpAddress>): boolean {
    const before = this.#pool;
    const yielded = this.#overlap !== undefined;
    this.#pool = pool;
    this.#overlap = overlap;
    const sameSpace = sameRanges(before.ranges, pool.ranges);
    if (!sameSpace) {
      this.#ranges = splitByFamily(pool.ranges);
      this.#free = this.#allBut(taken());
    }
    return !sameSpace || yielded !== (overlap !== undefined) || rulesOf(before) !== rulesOf(pool);
  }

  contains(address: IpAddress): boolean {
    return rangesInclude(this.#ranges[familyOf(address)], addressToNumber(address));
  }

  /** Whether the pool has addresses of the family at all, free or not. */
  offers(family: IpFamily): boolean {
    return this.#ranges[family].length > 0;
  }

  freeCount(family: IpFamily): bigint {
    return this.#free[family].count;
  }

  firstFree(family: IpFamily): IpAddress | undefined {
    const number = this.#free[family].first();
    if (number === undefined) return undefined;
    const address = addressFromNumber(family, number);
    this.#first = { address, number };
    return address;
  }

  /** Marks an address as used; without effect when it is not of this pool. */
  take(address: IpAddress): void {
    const number = this.#first?.address === address ? this.#first.number : addressToOrdinal(address);
    this.#free[familyOf(address)].take(number);
  }

  /** Makes a used address free; without effect when it is not of this pool. */
  give(address: IpAddress): void {
    if (this.contains(address)) this.#free[familyOf(address)].give(addressToOrdinal(address));
  }

  #allBut(taken: Iterable<IpAddress>): Readonly<Record<IpFamily, FreeAddresses>> {
    const free = { IPv4: new FreeAddresses(this.#ranges.IPv4), IPv6: new FreeAddresses(this.#ranges.IPv6) };
    for (const address of taken) free[familyOf(address)].take(addressToOrdinal(address));
    return free;
  }
}

/** Whether the pool has all the addresses. */
export function covers(space: PoolSpace | undefined, addresses: readonly IpAddress[]): boolean {
  return space !== undefined && addresses.every((address) => space.contains(address));
}

/** Name of the pool that has all the addresses, one that yields to no other if there is one. */
export function poolCovering(
  pools: ReadonlyMap<string, PoolSpace>,
  addresses: readonly IpAddress[],
): string | undefined {
  const covering = [...pools.values()].filter((space) => covers(space, addresses));
  return (covering.find(({ overlap }) => overlap === undefined) ?? covering[0])?.pool.name;
}

/** Everything but the addresses that decides what the pool gives to whom. */
function rulesOf({
  autoAssign,
  paused,
  deleting,
  serviceAllocation,
  reservations,
  releaseDelaySeconds,
}: AddressPool): string {
  // With a delay, however long, a Service gets back what one of its name is giving up.
  return JSON.stringify([autoAssign, paused, deleting, serviceAllocation, reservations, releaseDelaySeconds > 0]);
}

function splitByFamily(ranges: readonly AddressRange[]): Readonly<Record<IpFamily, readonly AddressRange[]>> {
  return {
    IPv4: ranges.filter(({ family }) => family === 'IPv4'),
    IPv6: ranges.filter(({ family }) => family === 'IPv6'),
  };
}

function sameRanges(a: readonly AddressRange[], b: readonly AddressRange[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ family, first, last }, index) => {
      const other = b[index];
      return other?.family === family && other.first === first && other.last === last;
    })
  );
}
