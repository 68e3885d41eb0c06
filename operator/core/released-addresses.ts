import type { HeldAddress } from '../model/address-pool.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import type { AddressLedger } from './address-ledger.ts';
import type { Holding } from './holding.ts';

/** So many addresses of a pool are held at most, for they stand in its status; then those go first that come free first. */
const MOST_HELD = 1_000;

/** Addresses that nobody has and that are not free yet: a pool with a releaseDelay holds them for who released them. */
export class ReleasedAddresses {
  readonly #ledger: AddressLedger;

  constructor(ledger: AddressLedger) {
    this.#ledger = ledger;
  }

  /** Takes back addresses that were held when the process before ended; those in use, or in no such pool any more, are left out. */
  restore(pool: string, held: Iterable<HeldAddress>, now: number): void {
    const space = this.#ledger.pools.get(pool);
    for (const one of held) {
      const { address, until } = one;
      if (space?.contains(address) !== true || until <= now || this.#ledger.users(address).length > 0) continue;
      if (this.#ledger.reservedFor(address) === undefined) this.#ledger.hold(one);
    }
  }

  /** Ends the holding of addresses whose time has come. @returns the pools that have them. */
  expire(now: number): ReadonlySet<string> {
    const due = [...this.#ledger.heldAddresses()].filter(({ until }) => until <= now);
    for (const { address } of due) this.#ledger.unhold(address);
    return new Set(due.flatMap(({ address }) => this.#poolsWith(address)));
  }

  /** When the next held address comes free, milliseconds since the epoch; undefined when none is held. */
  nextExpiry(): number | undefined {
    let next: number | undefined;
    for (const { until } of this.#ledger.heldAddresses()) if (next === undefined || until < next) next = until;
    return next;
  }

  /** Addresses of the pool that are held, in the order in which they come free. */
  of(pool: string): readonly HeldAddress[] {
    const space = this.#ledger.pools.get(pool);
    return [...this.#ledger.heldAddresses()]
      .filter(({ address }) => space?.contains(address) === true)
      .sort((a, b) => a.until - b.until || (a.address < b.address ? -1 : 1));
  }

  /** For whom the address is held since it was released. */
  for(address: IpAddress): ServiceKey | undefined {
    return this.#ledger.held(address)?.service;
  }

  /** Of the addresses that a Service has no more, those that its pool holds for a while are held. */
  hold({ key, pool }: Holding, addresses: readonly IpAddress[], now: number): readonly IpAddress[] {
    const space = this.#ledger.pools.get(pool);
    const seconds = space?.pool.releaseDelaySeconds ?? 0;
    if (space === undefined || seconds === 0) return addresses;
    for (const { address } of this.of(pool).slice(0, -(MOST_HELD - addresses.length))) this.#ledger.unhold(address);
    for (const address of addresses) {
      const taken = this.#ledger.users(address).length > 0 || this.#ledger.reservedFor(address) !== undefined;
      if (!taken && space.contains(address)) this.#ledger.hold({ address, service: key, until: now + seconds * 1_000 });
    }
    return addresses;
  }

  #poolsWith(address: IpAddress): readonly string[] {
    return [...this.#ledger.pools.values()].filter((space) => space.contains(address)).map(({ pool }) => pool.name);
  }
}
