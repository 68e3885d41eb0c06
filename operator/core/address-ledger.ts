import { CompactMap } from '../lib/compact-map.ts';
import { setOrDrop } from '../lib/counts.ts';
import { invariant } from '../lib/invariant.ts';
import type { AddressPool, HeldAddress } from '../model/address-pool.ts';
import { familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import { everythingOf, type Holding } from './holding.ts';
import { findOverlaps } from './pool-overlaps.ts';
import { PoolSpace } from './pool-space.ts';
import { SharedAddresses } from './shared-addresses.ts';

/**
 * Who uses which address, and for whom addresses are kept: reserved by a pool, or held since they were released. An address that is used, reserved or held is free in
 * no pool. Pure bookkeeping: what may be done is decided elsewhere.
 */
export class AddressLedger {
  readonly #pools = new Map<string, PoolSpace>();
  #preferred: readonly PoolSpace[] = [];
  readonly #holdings = new CompactMap<ServiceKey, Holding>();
  readonly #users = new CompactMap<IpAddress, readonly ServiceKey[]>();
  /** Services by pool. */
  readonly #services = new Map<string, number>();
  readonly #sharing = new SharedAddresses();
  readonly #assigned = new Map<string, Record<IpFamily, number>>();
  readonly #inNamespace = new Map<string, number>();
  readonly #held = new Map<IpAddress, HeldAddress>();
  #reserved: ReadonlyMap<IpAddress, ServiceKey> = new Map();
  #kept: ReadonlyMap<ServiceKey, readonly IpAddress[]> = new Map();
  readonly #heldFor = new Map<ServiceKey, Set<IpAddress>>();
  /** Addresses whose use has become less since they were last taken. */
  readonly #eased = new Set<IpAddress>();
  readonly #easedQuotas: Pick<Holding, 'pool' | 'namespace'>[] = [];

  get pools(): ReadonlyMap<string, PoolSpace> {
    return this.#pools;
  }

  /** All pools, the most preferred first. */
  get preferred(): readonly PoolSpace[] {
    return this.#preferred;
  }

  /** @returns names of pools that came, went, or changed in what they may give. */
  setPools(pools: readonly AddressPool[], compare: (a: AddressPool, b: AddressPool) => number): ReadonlySet<string> {
    const changed = new Set<string>();
    const overlaps = new Map(findOverlaps(pools).map((overlap) => [overlap.pool, overlap]));
    this.#setReservations(pools);
    const names = new Set(pools.map(({ name }) => name));
    for (const name of this.#pools.keys()) {
      if (names.has(name)) continue;
      this.#pools.delete(name);
      changed.add(name);
    }
    for (const pool of pools) {
      const known = this.#pools.get(pool.name);
      const overlap = overlaps.get(pool.name);
      if (known === undefined) this.#pools.set(pool.name, new PoolSpace(pool, overlap, this.#occupied()));
      else if (!known.update(pool, overlap, () => this.#occupied())) continue;
      changed.add(pool.name);
    }
    this.#preferred = [...this.#pools.values()].sort((a, b) => compare(a.pool, b.pool));
    return changed;
  }

  /** Which addresses are shared under which key; it follows {@link replace}. */
  get sharing(): Omit<SharedAddresses, 'count' | 'note'> {
    return this.#sharing;
  }

  holding(key: ServiceKey): Holding | undefined {
    return this.#holdings.get(key);
  }

  /** Of everybody, in no particular order. */
  holdings(): Iterable<Holding> {
    return this.#holdings.values();
  }

  /** How many Services have an address of the pool. */
  countOf(pool: string): number {
    return this.#services.get(pool) ?? 0;
  }

  /** Everybody who has the address or is giving it up. */
  users(address: IpAddress): readonly ServiceKey[] {
    return this.#users.get(address) ?? NOBODY;
  }

  held(address: IpAddress): HeldAddress | undefined {
    return this.#held.get(address);
  }

  heldAddresses(): Iterable<HeldAddress> {
    return this.#held.values();
  }

  /** For whom a pool reserves the address. */
  reservedFor(address: IpAddress): ServiceKey | undefined {
    return this.#reserved.get(address);
  }

  /** Addresses kept for the Service: reserved, or held since it released them. */
  keptFor(key: ServiceKey): readonly IpAddress[] {
    const reserved = this.#kept.get(key) ?? NO_ADDRESSES;
    const held = this.#heldFor.get(key);
    return held === undefined ? reserved : [...reserved, ...held];
  }

  /** Different addresses that the Services of the namespace have of the pool. */
  usedIn(pool: string, namespace: string): number {
    return this.#inNamespace.get(`${pool}/${namespace}`) ?? 0;
  }

  assigned(pool: string): Readonly<Record<IpFamily, number>> {
    return this.#assigned.get(pool) ?? NONE_ASSIGNED;
  }

  /** The one place where addresses change hands: users, free addresses and counts follow from the holding before and after. */
  replace(before: Holding | undefined, after: Holding | undefined): void {
    const had = everythingOf(before);
    const has = everythingOf(after);
    const used = before === undefined ? 0 : this.usedIn(before.pool, before.namespace);
    if (before !== undefined) this.#count(before, -1);
    for (const address of had) if (before !== undefined && !has.includes(address)) this.#leave(address, before.key);
    for (const address of has) if (after !== undefined && !had.includes(address)) this.#join(address, after.key);
    if (after !== undefined) this.#holdings.set(after.key, after);
    else if (before !== undefined) this.#holdings.delete(before.key);
    this.#sharing.note(before, after, (address) => this.#users.has(address));
    if (after !== undefined) this.#count(after, 1);
    if (before !== undefined && this.usedIn(before.pool, before.namespace) < used) this.#easedQuotas.push(before);
    if (
      before !== undefined &&
      (before.sharingKey !== after?.sharingKey || before.leavingPorts !== after?.leavingPorts)
    )
      for (const address of had) this.#eased.add(address);
  }

  /** Keeps an address for a Service until a moment. It must not be in use. */
  hold(held: HeldAddress): void {
    invariant(!this.#users.has(held.address), 'An address that is held is not in use.');
    this.#held.set(held.address, held);
    const addresses = this.#heldFor.get(held.service) ?? new Set();
    this.#heldFor.set(held.service, addresses.add(held.address));
    this.#settle(held.address);
  }

  /** The address is held no longer. */
  unhold(address: IpAddress): void {
    const held = this.#held.get(address);
    if (held === undefined) return;
    this.#held.delete(address);
    const addresses = this.#heldFor.get(held.service);
    addresses?.delete(address);
    if (addresses?.size === 0) this.#heldFor.delete(held.service);
    this.#settle(address);
    // Also when it is reserved, and so not free: it may be its guest's now.
    if (!this.#users.has(address)) this.#eased.add(address);
  }

  /** Addresses that somebody waiting may have a chance at, since this was last called. */
  takeEased(): readonly IpAddress[] {
    if (this.#eased.size === 0) return NO_ADDRESSES;
    const eased = [...this.#eased];
    this.#eased.clear();
    return eased;
  }

  /** Namespaces that have less of a pool than they had, since this was last called. */
  takeEasedQuotas(): readonly Pick<Holding, 'pool' | 'namespace'>[] {
    return this.#easedQuotas.splice(0);
  }

  /** Nobody has it, and it is kept for nobody. */
  isFree(address: IpAddress): boolean {
    return !this.#users.has(address) && !this.#held.has(address) && !this.#reserved.has(address);
  }

  #join(address: IpAddress, key: ServiceKey): void {
    const users = this.#users.get(address);
    this.#users.set(address, users === undefined ? [key] : [...users, key]);
    if (users !== undefined) return;
    if (this.#held.size > 0) this.unhold(address);
    for (const space of this.#pools.values()) space.take(address);
  }

  #leave(address: IpAddress, key: ServiceKey): void {
    const rest = this.users(address).filter((user) => user !== key);
    if (rest.length > 0) this.#users.set(address, rest);
    else this.#users.delete(address);
    this.#eased.add(address);
    if (rest.length === 0) this.#settle(address);
  }

  /** Makes the address free or used in every pool that has it. */
  #settle(address: IpAddress): void {
    const occupied = !this.isFree(address);
    if (!occupied) this.#eased.add(address);
    for (const space of this.#pools.values()) {
      if (occupied) space.take(address);
      else space.give(address);
    }
  }

  *#occupied(): Iterable<IpAddress> {
    yield* this.#users.keys();
    yield* this.#held.keys();
    yield* this.#reserved.keys();
  }

  #setReservations(pools: readonly AddressPool[]): void {
    const before = this.#reserved;
    const reserved = new Map<IpAddress, ServiceKey>();
    const kept = new Map<ServiceKey, IpAddress[]>();
    for (const { reservations } of pools) {
      for (const { address, service } of reservations) {
        if (reserved.has(address)) continue;
        reserved.set(address, service);
        kept.set(service, [...(kept.get(service) ?? []), address]);
      }
    }
    this.#reserved = reserved;
    this.#kept = kept;
    for (const address of [...before.keys(), ...reserved.keys()])
      if (before.get(address) !== reserved.get(address)) this.#settle(address);
  }

  #count(holding: Holding, sign: 1 | -1): void {
    const { key, pool, namespace, current, sharingKey } = holding;
    const counts = this.#assigned.get(pool) ?? { IPv4: 0, IPv6: 0 };
    const place = `${pool}/${namespace}`;
    let inNamespace = this.#inNamespace.get(place) ?? 0;
    for (const address of current) {
      // Without a key it is alone.
      const others = sharingKey === undefined ? NOBODY : this.users(address);
      const isTwin = (other: ServiceKey) => other !== key && this.#countsThere(other, holding, address);
      if (others.length < 2 || !others.some(isTwin)) inNamespace += sign;
      if (others.length < 2 || !others.some((other) => other !== key && this.#counts(other, pool, address)))
        counts[familyOf(address)] += sign;
      if (sharingKey !== undefined) this.#sharing.count(sharingKey, address, sign);
    }
    setOrDrop(this.#inNamespace, place, inNamespace);
    setOrDrop(this.#services, pool, this.countOf(pool) + sign);
    if (counts.IPv4 + counts.IPv6 === 0) this.#assigned.delete(pool);
    else this.#assigned.set(pool, counts);
  }

  #counts(other: ServiceKey, pool: string, address: IpAddress): boolean {
    const holding = this.#holdings.get(other);
    return holding?.pool === pool && holding.current.includes(address);
  }

  #countsThere(other: ServiceKey, { namespace, pool }: Holding, address: IpAddress): boolean {
    return this.#counts(other, pool, address) && this.#holdings.get(other)?.namespace === namespace;
  }
}

const NOBODY: readonly ServiceKey[] = [];
const NO_ADDRESSES: readonly IpAddress[] = [];
const NONE_ASSIGNED: Readonly<Record<IpFamily, number>> = { IPv4: 0, IPv6: 0 };
