import type { IpAddress, IpFamily } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import { byAge } from './adoption-claims.ts';

/** What could help somebody who waits. In a line for a free address or for places in a quota one opening helps one Service; in the others it helps all. */
export const LINE = {
  freeAddress: (pool: string, family: IpFamily) => `one ${family} of ${pool}`,
  /** Apart by how many places are needed: who needs two is no obstacle to who needs one. */
  quota: (pool: string, namespace: string, places: number) => `one quota of ${places} in ${pool} for ${namespace}`,
  address: (address: IpAddress) => `address ${address}`,
  /** Others at the address count no more as who has it. */
  parting: (address: IpAddress) => `parting ${address}`,
  /** A change of that pool, or of any. */
  pool: (name: string | undefined) => `pool ${name ?? '*'}`,
  namespace: (name: string) => `namespace ${name}`,
} as const;

const isForOne = (line: string) => line.startsWith('one ');

/** Under which keys somebody who waits would share an address, and where that would help. */
export interface WouldShare {
  readonly keys: readonly string[];
  /** All have to be free at the address, as `TCP/80`. */
  readonly ports: readonly string[];
  /** The namespace when its quota is what is in the way: then an address that it has already is a help. */
  readonly overQuota: string | undefined;
}

interface Waiter {
  readonly key: ServiceKey;
  readonly createdAt: number;
  readonly lines: readonly string[];
  readonly wouldShare: WouldShare;
}

/** Services that wait, each in the lines of what could help it. Finding the first of a line costs nothing, however many wait elsewhere. */
export class WaitingList {
  readonly #waiters = new Map<ServiceKey, Waiter>();
  /** Each line the oldest first. */
  readonly #lines = new Map<string, Waiter[]>();
  /** By sharing key the lines of those who would share under it, with what they need: what helps one of a line helps all. */
  readonly #sharing = new Map<string, Map<string, WouldShare>>();
  /** Lines in which somebody may have a chance now, and how many. */
  readonly #open = new Map<string, number>();

  /** The Service waits in these lines and no others. */
  put(key: ServiceKey, createdAt: number, lines: readonly string[], wouldShare: WouldShare): void {
    const before = this.#waiters.get(key);
    const all = [...lines, ...wouldShare.keys.map((sharingKey) => nameOf(sharingKey, wouldShare))];
    const waiter = { key, createdAt, lines: all, wouldShare };
    if (before !== undefined) this.#leave(before, all);
    this.#waiters.set(key, waiter);
    for (const line of all) this.#insert(line, waiter);
    for (const sharingKey of wouldShare.keys) this.#beginSharing(sharingKey, wouldShare);
  }

  /** The Service waits no more: whoever is next in its lines may have the chance that it had. */
  drop(key: ServiceKey): void {
    const waiter = this.#waiters.get(key);
    if (waiter === undefined) return;
    this.#waiters.delete(key);
    this.#leave(waiter, []);
  }

  has(key: ServiceKey): boolean {
    return this.#waiters.has(key);
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

  /**
   * Something has changed at an address that is shared under the key.
   *
   * @param isFree whether nobody has the port there.
   * @param joined set when all that has changed is that this namespace has the address now.
   */
  openSharing(sharingKey: string, isFree: (port: string) => boolean, joined?: string): void {
    for (const [name, { ports, overQuota }] of this.#sharing.get(sharingKey) ?? [])
      if ((joined === undefined || joined === overQuota) && ports.every(isFree)) this.open(name);
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

  /** @param stays lines in which it goes on waiting: its chance there is not passed on. */
  #leave(waiter: Waiter, stays: readonly string[]): void {
    for (const line of waiter.lines) {
      this.#remove(line, waiter);
      if (isForOne(line) && !stays.includes(line)) this.open(line);
    }
    for (const sharingKey of waiter.wouldShare.keys)
      this.#endSharing(sharingKey, nameOf(sharingKey, waiter.wouldShare));
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

  #beginSharing(sharingKey: string, wouldShare: WouldShare): void {
    const lines = this.#sharing.get(sharingKey) ?? new Map<string, WouldShare>();
    this.#sharing.set(sharingKey, lines.set(nameOf(sharingKey, wouldShare), wouldShare));
  }

  /** Once nobody stands in the line any more. */
  #endSharing(sharingKey: string, name: string): void {
    const lines = this.#sharing.get(sharingKey);
    if (lines === undefined || this.#lines.has(name)) return;
    lines.delete(name);
    if (lines.size === 0) this.#sharing.delete(sharingKey);
  }
}

/** In which line who would share under the key waits. */
function nameOf(sharingKey: string, { ports, overQuota }: WouldShare): string {
  return `sharing ${JSON.stringify([sharingKey, overQuota, ports])}`;
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
