import type { IpAddress, IpFamily } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import { byAge } from './adoption-claims.ts';

/** What could help somebody who waits. In a line for a free address or for a place in a quota one place helps one Service; in the others it helps all. */
export const LINE = {
  freeAddress: (pool: string, family: IpFamily) => `one ${family} of ${pool}`,
  quota: (pool: string, namespace: string) => `one quota of ${pool} for ${namespace}`,
  address: (address: IpAddress) => `address ${address}`,
  /** A change of what is shared under the key. */
  sharing: (key: string) => `sharing ${key}`,
  /** A change of that pool, or of any. */
  pool: (name: string | undefined) => `pool ${name ?? '*'}`,
  namespace: (name: string) => `namespace ${name}`,
} as const;

const isForOne = (line: string) => line.startsWith('one ');

interface Waiter {
  readonly key: ServiceKey;
  readonly createdAt: number;
  readonly lines: readonly string[];
}

/** Services that wait, each in the lines of what could help it. Finding the first of a line costs nothing, however many wait elsewhere. */
export class WaitingList {
  readonly #waiters = new Map<ServiceKey, Waiter>();
  /** Each line the oldest first. */
  readonly #lines = new Map<string, Waiter[]>();
  /** Lines in which somebody may have a chance now, and how many. */
  readonly #open = new Map<string, number>();

  /** The Service waits in these lines and no others. */
  put(key: ServiceKey, createdAt: number, lines: readonly string[]): void {
    const before = this.#waiters.get(key);
    const waiter = { key, createdAt, lines };
    this.#waiters.set(key, waiter);
    for (const line of before?.lines ?? []) {
      this.#remove(line, before as Waiter);
      if (isForOne(line) && !lines.includes(line)) this.open(line);
    }
    for (const line of lines) this.#insert(line, waiter);
  }

  /** The Service waits no more: whoever is next in its lines may have the chance that it had. */
  drop(key: ServiceKey): void {
    const waiter = this.#waiters.get(key);
    if (waiter === undefined) return;
    this.#waiters.delete(key);
    for (const line of waiter.lines) {
      this.#remove(line, waiter);
      if (isForOne(line)) this.open(line);
    }
  }

  /** Everybody, the oldest first. */
  all(): readonly ServiceKey[] {
    return [...this.#waiters.values()].sort(byAge).map(({ key }) => key);
  }

  /** Those of one line, the oldest first. */
  of(line: string): readonly ServiceKey[] {
    return (this.#lines.get(line) ?? []).map(({ key }) => key);
  }

  /** One place has come free in the line, or something has changed that concerns all of it. */
  open(line: string): void {
    if (this.#lines.has(line)) this.#open.set(line, (this.#open.get(line) ?? 0) + 1);
  }

  /** Those who have a chance now, the oldest first; each opening of a line where one place helps one Service gives one. */
  takeOpen(): readonly ServiceKey[] {
    if (this.#open.size === 0) return [];
    const chosen = new Map<ServiceKey, Waiter>();
    for (const [line, places] of this.#open)
      for (const waiter of this.#lines.get(line)?.slice(0, isForOne(line) ? places : undefined) ?? [])
        chosen.set(waiter.key, waiter);
    this.#open.clear();
    return [...chosen.values()].sort(byAge).map(({ key }) => key);
  }

  #insert(line: string, waiter: Waiter): void {
    const waiters = this.#lines.get(line);
    if (waiters === undefined) this.#lines.set(line, [waiter]);
    else waiters.splice(placeOf(waiters, waiter), 0, waiter);
  }

  #remove(line: string, waiter: Waiter): void {
    const waiters = this.#lines.get(line) ?? [];
    waiters.splice(placeOf(waiters, waiter), 1);
    if (waiters.length === 0) this.#lines.delete(line);
  }
}

/** Index of the first that is not older. */
function placeOf(waiters: readonly Waiter[], waiter: Waiter): number {
  let low = 0;
  let high = waiters.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (byAge(waiters[middle] as Waiter, waiter) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
