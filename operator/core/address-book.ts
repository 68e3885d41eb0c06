import { invariant } from '../lib/invariant.ts';
import { listInWords } from '../lib/list-in-words.ts';
import type { AddressPool } from '../model/address-pool.ts';
import { familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { LabelSet } from '../model/labels.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import type { Awaited, Refusal, VipDecision } from './address-decision.ts';
import { type AdoptionClaim, adoptionClaims, byAge, claimOf } from './adoption-claims.ts';
import { chooseAddresses } from './choose-addresses.ts';
import { nameService } from './name-service.ts';
import { whyNotAdmitted } from './pool-admission.ts';
import { findOverlaps } from './pool-overlaps.ts';
import { PoolSpace } from './pool-space.ts';

export type { Refusal, RefusalReason, VipDecision } from './address-decision.ts';

/** What became of the addresses that a Service was found with. */
export type Adoption =
  | { readonly kind: 'adopted'; readonly addresses: readonly IpAddress[]; readonly pool: string }
  | { readonly kind: 'nothing' }
  | ({ readonly kind: 'refused' } & Refusal);

/** How full a pool is. An address that is being given up is neither assigned nor available. */
export interface PoolUsage {
  readonly assignedIPv4: number;
  readonly assignedIPv6: number;
  readonly availableIPv4: bigint;
  readonly availableIPv6: bigint;
}

/** Labels of a namespace; undefined while not known. */
export type LabelsOf = (namespace: string) => LabelSet | undefined;

const NO_LABELS: LabelsOf = () => undefined;

interface Holding {
  readonly key: ServiceKey;
  readonly uid: string;
  readonly pool: string;
  /** One per family at most, in the order of ipFamilies. */
  readonly current: readonly IpAddress[];
  /** No longer wanted, but a director may still have them: in use until {@link AddressBook.releaseLeaving}. */
  readonly leaving: readonly IpAddress[];
}

interface Waiting {
  readonly key: ServiceKey;
  readonly createdAt: number;
  readonly awaited: Awaited;
}

/**
 * Who has which address. In memory only: rebuilt at start from the pools and from the records on the Services, before
 * anything is given out. An address has one holder at most (I1) and a holder keeps it until it asks for another (I2).
 *
 * The order of use: {@link setPools}, {@link adoptAll} once, then {@link allocate} and {@link release} as Services come and go.
 */
export class AddressBook {
  readonly #pools = new Map<string, PoolSpace>();
  readonly #holdings = new Map<ServiceKey, Holding>();
  readonly #holders = new Map<IpAddress, ServiceKey>();
  readonly #waiting = new Map<ServiceKey, Waiting>();
  readonly #assigned = new Map<string, Record<IpFamily, number>>();
  #unusable: ReadonlySet<string> = new Set();

  /**
   * Takes the valid pools as they are now. Nobody loses an address by it, not even when its pool is gone; when another pool has
   * the address then, that is its pool from now on.
   *
   * @param unusable names of pools that exist but cannot be read: a slip in a pool must not move its Services to another one.
   * @returns the Services that belong to another pool now.
   */
  setPools(pools: readonly AddressPool[], unusable: ReadonlySet<string> = new Set()): readonly ServiceKey[] {
    this.#unusable = unusable;
    const overlaps = new Map(findOverlaps(pools).map((overlap) => [overlap.pool, overlap]));
    const names = new Set(pools.map(({ name }) => name));
    for (const name of this.#pools.keys()) if (!names.has(name)) this.#pools.delete(name);
    for (const pool of pools) {
      const known = this.#pools.get(pool.name);
      if (known === undefined)
        this.#pools.set(pool.name, new PoolSpace(pool, overlaps.get(pool.name), this.#holders.keys()));
      else known.update(pool, overlaps.get(pool.name), this.#holders.keys());
    }
    const settled = [...this.#holdings.values()].filter(({ pool }) => !unusable.has(pool));
    return settled.filter((holding) => this.#rehome(holding)).map(({ key }) => key);
  }

  /**
   * {@link adopt} for each that claims something: what record and status confirm first, then by age, so that nobody can take an address from
   * who has it by writing a record.
   */
  adoptAll(services: Iterable<LoadBalancedService>, labelsOf: LabelsOf = NO_LABELS): ReadonlyMap<ServiceKey, Adoption> {
    const claims = adoptionClaims(services);
    return new Map(claims.map((claim) => [claim.service.key, this.#adopt(claim, labelsOf(claim.service.namespace))]));
  }

  /**
   * Takes over the addresses of a Service that its record names. What no status confirms is taken over only when the Service could ask for it:
   * it lies in a pool that admits the Service. Addresses that another Service has are left to that one.
   */
  adopt(service: LoadBalancedService, namespaceLabels?: LabelSet): Adoption {
    const claim = claimOf(service);
    return claim === undefined ? { kind: 'nothing' } : this.#adopt(claim, namespaceLabels);
  }

  #adopt(claim: AdoptionClaim, namespaceLabels: LabelSet | undefined): Adoption {
    const { service, addresses } = claim;
    const { key, uid } = service;
    const held = this.#holdings.get(key);
    if (held?.uid === uid) return { kind: 'adopted', addresses: held.current, pool: held.pool };
    const pool = this.#originOf(addresses, claim.pool);
    const refusal = claim.confirmed ? undefined : this.#whyNotClaimable(claim, pool, namespaceLabels);
    if (pool === undefined || refusal !== undefined) return { kind: 'refused', ...(refusal ?? outsidePools(claim)) };
    const isOthers = (address: IpAddress) => (this.#holders.get(address) ?? key) !== key;
    const taken = addresses.find(isOthers);
    const free = addresses.filter((address) => !isOthers(address));
    const leaving = everythingOf(held).filter((address) => !free.includes(address));
    if (free.length > 0) this.#replace(held, { key, uid, pool, current: free, leaving });
    if (taken === undefined) return { kind: 'adopted', addresses: free, pool };
    const holder = nameService(this.#holders.get(taken) as ServiceKey, service.namespace);
    const message = `The allocation record of Service ${key} names ${taken}, which belongs to ${holder}; ${key} gets another address.`;
    return { kind: 'refused', reason: 'AddressInUse', message };
  }

  #whyNotClaimable(
    claim: AdoptionClaim,
    pool: string | undefined,
    namespaceLabels: LabelSet | undefined,
  ): Refusal | undefined {
    const space = pool === undefined ? undefined : this.#pools.get(pool);
    if (space === undefined || !claim.addresses.every((address) => space.contains(address))) return outsidePools(claim);
    const refusal = whyNotAdmitted(space.pool, claim.service, namespaceLabels);
    return (
      refusal && {
        ...refusal,
        message: `The allocation record of Service ${claim.service.key} is not honoured: ${refusal.message}`,
      }
    );
  }

  /**
   * The addresses of a Service: those it has, or new ones. Asking again gives the same answer. What a Service has changes only
   * when its own request changes (address, pool, families); the old address is then leaving until {@link releaseLeaving}. When
   * the new request cannot be met it keeps what it has and the decision says so in `unmet`.
   *
   * A Service with the name of an earlier one but another uid is a new Service: the earlier one's addresses are leaving.
   *
   * @param namespaceLabels of the Service's namespace, undefined while not known.
   */
  allocate(service: LoadBalancedService, namespaceLabels: LabelSet | undefined): VipDecision {
    this.#retireNamesake(service);
    const held = this.#holdings.get(service.key);
    const choice = chooseAddresses({
      service,
      namespaceLabels,
      held: held && { pool: held.pool, addresses: held.current },
      pools: this.#pools,
      holder: (address) => this.#holders.get(address),
    });
    if (!choice.ok) {
      this.#waiting.set(service.key, { key: service.key, createdAt: service.createdAt, awaited: choice.awaited });
      if (held === undefined || held.current.length === 0) return { kind: 'refused', ...choice.refusal };
      const message = `${choice.refusal.message} The Service keeps ${listInWords(held.current)}.`;
      const { reason } = choice.refusal;
      return { kind: 'assigned', addresses: held.current, pool: held.pool, unmet: { reason, message } };
    }
    this.#waiting.delete(service.key);
    const addresses = inFamilyOrder(choice.picks, service.ipFamilies);
    const leaving = everythingOf(held).filter((address) => !addresses.includes(address));
    this.#replace(held, { key: service.key, uid: service.uid, pool: choice.pool, current: addresses, leaving });
    return { kind: 'assigned', addresses, pool: choice.pool, ...(choice.unmet && { unmet: choice.unmet }) };
  }

  /** Frees everything a Service has or waits for: only when no director can hold it any more. Returns what became free. */
  release(key: ServiceKey): readonly IpAddress[] {
    this.#waiting.delete(key);
    const holding = this.#holdings.get(key);
    if (holding === undefined) return [];
    this.#replace(holding, undefined);
    return everythingOf(holding);
  }

  /** Addresses a Service gave up by an explicit change; a director may still have them. */
  leavingOf(key: ServiceKey): readonly IpAddress[] {
    return this.#holdings.get(key)?.leaving ?? [];
  }

  /** Frees the addresses a Service gave up: only when no director can hold them any more. Returns what became free. */
  releaseLeaving(key: ServiceKey): readonly IpAddress[] {
    const holding = this.#holdings.get(key);
    if (holding === undefined || holding.leaving.length === 0) return [];
    this.#replace(holding, holding.current.length === 0 ? undefined : { ...holding, leaving: [] });
    return holding.leaving;
  }

  /** The Service that has the address, or is giving it up. */
  holder(address: IpAddress): ServiceKey | undefined {
    return this.#holders.get(address);
  }

  /** In the order of ipFamilies; without those being given up. */
  addressesOf(key: ServiceKey): readonly IpAddress[] {
    return this.#holdings.get(key)?.current ?? [];
  }

  /** The pool the addresses of a Service are from; it may be gone. */
  poolOf(key: ServiceKey): string | undefined {
    return this.#holdings.get(key)?.pool;
  }

  /** Services that have an address of the pool, in no particular order. */
  servicesOf(pool: string): readonly ServiceKey[] {
    return [...this.#holdings.values()].filter((holding) => holding.pool === pool).map(({ key }) => key);
  }

  usage(pool: string): PoolUsage {
    const space = this.#pools.get(pool);
    const assigned = this.#assigned.get(pool);
    return {
      assignedIPv4: assigned?.IPv4 ?? 0,
      assignedIPv6: assigned?.IPv6 ?? 0,
      availableIPv4: space?.freeCount('IPv4') ?? 0n,
      availableIPv6: space?.freeCount('IPv6') ?? 0n,
    };
  }

  /** Services whose last request was refused, oldest first: to be tried again when pools or namespaces change. */
  waiting(): readonly ServiceKey[] {
    return [...this.#waiting.values()].sort(byAge).map(({ key }) => key);
  }

  /** Of the waiting Services, those that could use one of the freed addresses; oldest first. */
  wakeable(freed: readonly IpAddress[]): readonly ServiceKey[] {
    const offers = freed.map((address) => ({
      address,
      family: familyOf(address),
      pools: [...this.#pools.values()].filter((space) => space.contains(address)).map(({ pool }) => pool.name),
    }));
    const useful = ({ awaited }: Waiting): boolean =>
      offers.some(
        ({ address, family, pools }) =>
          awaited.addresses.includes(address) ||
          (awaited.families.includes(family) && pools.some((name) => awaited.pools.includes(name))),
      );
    return [...this.#waiting.values()]
      .filter(useful)
      .sort(byAge)
      .map(({ key }) => key);
  }

  /** A Service that was deleted and made anew under the same name starts without an address. */
  #retireNamesake({ key, uid }: LoadBalancedService): void {
    const holding = this.#holdings.get(key);
    if (holding === undefined || holding.uid === uid) return;
    this.#replace(holding, { ...holding, uid, current: [], leaving: everythingOf(holding) });
  }

  /** Where published addresses came from: the pool of the annotation when it has them, cannot be read or is gone, else the pool that has them. */
  #originOf(addresses: readonly IpAddress[], annotated: string | undefined): string | undefined {
    if (annotated !== undefined && (this.#unusable.has(annotated) || this.#covers(annotated, addresses)))
      return annotated;
    return this.#poolCovering(addresses) ?? annotated;
  }

  /** A holding whose pool no longer has its addresses belongs to the pool that has them now, if there is one. */
  #rehome(holding: Holding): boolean {
    if (holding.current.length === 0 || this.#covers(holding.pool, holding.current)) return false;
    const pool = this.#poolCovering(holding.current);
    if (pool === undefined) return false;
    this.#replace(holding, { ...holding, pool });
    return true;
  }

  #covers(pool: string, addresses: readonly IpAddress[]): boolean {
    const space = this.#pools.get(pool);
    return space !== undefined && addresses.every((address) => space.contains(address));
  }

  #poolCovering(addresses: readonly IpAddress[]): string | undefined {
    const covering = [...this.#pools.keys()].filter((name) => this.#covers(name, addresses));
    return covering.find((name) => this.#pools.get(name)?.overlap === undefined) ?? covering[0];
  }

  /** The one place where addresses change hands: holders, free addresses and counts follow from the holding before and after. */
  #replace(before: Holding | undefined, after: Holding | undefined): void {
    const had = everythingOf(before);
    const has = everythingOf(after);
    for (const address of had) {
      if (has.includes(address)) continue;
      this.#holders.delete(address);
      for (const space of this.#pools.values()) space.give(address);
    }
    for (const address of has) {
      if (after === undefined || had.includes(address)) continue;
      invariant(!this.#holders.has(address), `Address ${address} is given to one Service only.`);
      this.#holders.set(address, after.key);
      for (const space of this.#pools.values()) space.take(address);
    }
    if (before !== undefined) this.#count(before, -1);
    if (after !== undefined) this.#count(after, 1);
    if (after !== undefined) this.#holdings.set(after.key, after);
    else if (before !== undefined) this.#holdings.delete(before.key);
  }

  #count({ pool, current }: Holding, sign: 1 | -1): void {
    const counts = this.#assigned.get(pool) ?? { IPv4: 0, IPv6: 0 };
    for (const address of current) counts[familyOf(address)] += sign;
    if (counts.IPv4 + counts.IPv6 === 0) this.#assigned.delete(pool);
    else this.#assigned.set(pool, counts);
  }
}

function outsidePools({ service, addresses }: AdoptionClaim): Refusal {
  const message = `The allocation record of Service ${service.key} is not honoured: no LoadBalancerPool has ${listInWords(addresses)}.`;
  return { reason: 'AddressOutsidePools', message };
}

function everythingOf(holding: Holding | undefined): readonly IpAddress[] {
  return holding === undefined ? [] : [...holding.current, ...holding.leaving];
}

function inFamilyOrder(addresses: readonly IpAddress[], families: readonly IpFamily[]): readonly IpAddress[] {
  return [...addresses].sort((a, b) => families.indexOf(familyOf(a)) - families.indexOf(familyOf(b)));
}
