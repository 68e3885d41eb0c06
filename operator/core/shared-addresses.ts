import { setOrDrop } from '../lib/counts.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { Holding } from './holding.ts';

/** A Service of the namespace has begun to share the address under the key. */
export interface BegunSharing {
  readonly sharingKey: string;
  readonly address: IpAddress;
  readonly namespace: string;
  /** Whether others share the address under the key already. */
  readonly joins: boolean;
}

/** Which addresses are shared under which key, and what of that has changed for those who would share. Pure bookkeeping. */
export class SharedAddresses {
  /** By sharing key, how many Services have an address under it. */
  readonly #bySharingKey = new Map<string, Map<IpAddress, number>>();
  readonly #begun: BegunSharing[] = [];
  /** Shared addresses that a Service had and has no more, or is giving up, while others have them. */
  readonly #parted = new Set<IpAddress>();

  /** Addresses in use under a sharing key, in no particular order. */
  under(sharingKey: string): Iterable<IpAddress> {
    return this.#bySharingKey.get(sharingKey)?.keys() ?? NO_ADDRESSES;
  }

  /** Addresses that Services have begun to share, since this was last called. */
  takeBegun(): readonly BegunSharing[] {
    return this.#begun.splice(0);
  }

  /** Shared addresses that are less Services' than before, since this was last called. */
  takeParted(): readonly IpAddress[] {
    if (this.#parted.size === 0) return NO_ADDRESSES;
    const parted = [...this.#parted];
    this.#parted.clear();
    return parted;
  }

  /** One Service more, or less, has the address under the key. */
  count(sharingKey: string, address: IpAddress, sign: 1 | -1): void {
    const addresses = this.#bySharingKey.get(sharingKey) ?? new Map<IpAddress, number>();
    setOrDrop(addresses, address, (addresses.get(address) ?? 0) + sign);
    if (addresses.size > 0) this.#bySharingKey.set(sharingKey, addresses);
    else this.#bySharingKey.delete(sharingKey);
  }

  /** What of a change concerns those who share; to be called while what the Service had is counted no more, and what it has not yet. */
  note(before: Holding | undefined, after: Holding | undefined, isUsed: (address: IpAddress) => boolean): void {
    if (after?.sharingKey !== undefined) {
      const { sharingKey, namespace } = after;
      const had = before?.sharingKey === sharingKey ? before.current : NO_ADDRESSES;
      for (const address of after.current)
        if (!had.includes(address))
          this.#begun.push({
            ...{ sharingKey, address, namespace },
            joins: this.#bySharingKey.get(sharingKey)?.has(address) === true,
          });
    }
    if (before?.sharingKey === undefined) return;
    for (const address of before.current)
      if (after?.current.includes(address) !== true && isUsed(address)) this.#parted.add(address);
  }
}

const NO_ADDRESSES: readonly IpAddress[] = [];
