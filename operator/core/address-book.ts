import { listInWords } from '../lib/list-in-words.ts';
import type { AddressPool } from '../model/address-pool.ts';
import type { AllocationRecord } from '../model/allocation-record.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { LabelSet } from '../model/labels.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import { type Awaited, type Choice, NOTHING_AWAITED, type VipDecision } from './address-decision.ts';
import { AddressLedger } from './address-ledger.ts';
import { Adopter, type Adoption } from './adopter.ts';
import { adoptionClaims, claimOf } from './adoption-claims.ts';
import { chooseAddresses } from './choose-addresses.ts';
import { grantPorts } from './grant-ports.ts';
import { everythingOf, type Holding, inFamilyOrder, sameHolding } from './holding.ts';
import { comparePreference } from './pool-admission.ts';
import { covers, poolCovering } from './pool-space.ts';
import { ReleasedAddresses } from './released-addresses.ts';
import { WaitingServices } from './waiting-services.ts';

export type { Refusal, RefusalReason, VipDecision } from './address-decision.ts';
export type { Adoption } from './adopter.ts';

/** How full a pool is. An address that is being given up, reserved or held is neither assigned nor available. */
export interface PoolUsage {
  readonly assignedIPv4: number;
  readonly assignedIPv6: number;
  readonly availableIPv4: bigint;
  readonly availableIPv6: bigint;
  /** Services whose address the pool no longer has; they keep it. */
  readonly outside: number;
}

/** Labels of a namespace; undefined while not known. */
export type LabelsOf = (namespace: string) => LabelSet | undefined;

const NO_LABELS: LabelsOf = () => undefined;

/**
 * Who has which address. In memory only: rebuilt at start from the pools and from the records on the Services, before
 * anything is given out. An address, protocol and port has one holder at most (I1) and a holder keeps its address until it asks for another (I2).
 *
 * The order of use: {@link setPools}, {@link ReleasedAddresses.restore}, {@link adoptAll} once, then {@link allocate} and {@link release} as Services come and go.
 */
export class AddressBook {
  readonly #ledger = new AddressLedger();
  readonly #released = new ReleasedAddresses(this.#ledger);
  readonly #waiting = new WaitingServices(this.#ledger);
  /** By pool: Services whose address it no longer has. */
  readonly #outside = new Map<string, Set<ServiceKey>>();
  readonly #adoptIngress: boolean;
  #unusable: ReadonlySet<string> = new Set();

  /** @param options.adoptIngress whether what a status shows counts as a wish of a Service that has no record yet: for those who come from another implementation. */
  constructor(options: { readonly adoptIngress: boolean } = { adoptIngress: false }) {
    this.#adoptIngress = options.adoptIngress;
  }

  /** Addresses that their pool still holds for who released them. */
  get held(): Omit<ReleasedAddresses, 'hold'> {
    return this.#released;
  }

  /**
   * Takes the valid pools as they are now. Nobody loses an address by it, not even when its pool is gone; when another pool has
   * the address then, that is its pool from now on.
   *
   * @param unusable names of pools that exist but cannot be read: a slip in a pool must not move its Services to another one.
   * @returns the Services that belong to another pool now.
   */
  setPools(pools: readonly AddressPool[], unusable: ReadonlySet<string> = new Set()): readonly ServiceKey[] {
    const before = this.#unusable;
    this.#unusable = unusable;
    const changed = this.#ledger.setPools(pools, comparePreference);
    for (const name of changed) this.#waiting.poolChanged(name);
    const sameUnusable = before.size === unusable.size && [...unusable].every((name) => before.has(name));
    if (changed.size === 0 && sameUnusable) return [];
    this.#waiting.poolChanged(undefined);
    return [...this.#ledger.holdings()]
      .filter((holding) => !unusable.has(holding.pool) && this.#rehome(holding))
      .map(({ key }) => key);
  }

  /**
   * {@link adopt} for each that claims something: what record and status confirm first, then by age, so that nobody can take an address from
   * who has it by writing a record.
   */
  adoptAll(services: Iterable<LoadBalancedService>, labelsOf: LabelsOf = NO_LABELS): ReadonlyMap<ServiceKey, Adoption> {
    const adopter = new Adopter(this.#ledger, this.#unusable);
    const claims = adoptionClaims(services, this.#adoptIngress);
    return new Map(claims.map((claim) => [claim.service.key, adopter.adopt(claim, labelsOf(claim.service.namespace))]));
  }

  /**
   * Takes over the addresses of a Service that its record names. What no status confirms is taken over only when the Service could ask for it:
   * it lies in a pool that admits the Service. Addresses that another Service has are left to that one.
   */
  adopt(service: LoadBalancedService, namespaceLabels?: LabelSet): Adoption {
    const claim = claimOf(service);
    if (claim === undefined) return { kind: 'nothing' };
    return new Adopter(this.#ledger, this.#unusable).adopt(claim, namespaceLabels);
  }

  /**
   * The addresses of a Service: those it has, or new ones. Asking again gives the same answer. What a Service has changes only
   * when its own request changes (address, pool, families, a new value of `reallocate`); the old address is then leaving until
   * {@link releaseLeaving}. When the new request cannot be met it keeps what it has and the decision says so in `unmet`.
   *
   * A Service with the name of an earlier one but another uid is a new Service: the earlier one's addresses are leaving.
   *
   * @param namespaceLabels of the Service's namespace, undefined while not known.
   */
  allocate(service: LoadBalancedService, namespaceLabels: LabelSet | undefined): VipDecision {
    const { key, request } = service;
    const held = this.#withoutNamesake(service);
    const has = held !== undefined && held.current.length > 0;
    const again = has && request.reallocate !== undefined && request.reallocate !== held.reallocated;
    const choice = chooseAddresses({
      service,
      namespaceLabels,
      held: has && !again ? { pool: held.pool, addresses: held.current } : undefined,
      avoid: again ? held.current : [],
      kept: has ? this.#ledger.keptFor(key) : [...this.#ledger.keptFor(key), ...this.#ownLeaving(held)],
      ledger: this.#ledger,
    });
    if (choice.ok) return this.#assign(service, held, choice, request.reallocate ?? held?.reallocated);
    if (!has) {
      this.#wait(service, choice.awaited);
      return { kind: 'refused', ...choice.refusal };
    }
    const same = { ok: true, pool: held.pool, picks: held.current } as const;
    const kept = this.#assign(service, held, same, held.reallocated, choice.awaited);
    const message = `${choice.refusal.message} The Service keeps ${listInWords(kept.addresses)}.`;
    return { ...kept, unmet: { reason: choice.refusal.reason, message } };
  }

  /**
   * Frees everything a Service has or waits for: only when no director can hold it any more.
   *
   * @param now milliseconds since the epoch: from then on the pool's releaseDelay counts.
   * @returns what the Service has no more, be it free now or held.
   */
  release(key: ServiceKey, now: number): readonly IpAddress[] {
    this.#waiting.drop(key);
    const holding = this.#ledger.holding(key);
    if (holding === undefined) return [];
    this.#ledger.replace(holding, undefined);
    this.#mark(key, holding.pool, false);
    return this.#released.hold(holding, everythingOf(holding), now);
  }

  /** Addresses a Service gave up by an explicit change; a director may still have them. */
  leavingOf(key: ServiceKey): readonly IpAddress[] {
    return this.#ledger.holding(key)?.leaving ?? [];
  }

  /** Frees the addresses a Service gave up: only when no director can hold them any more. Else as {@link release}. */
  releaseLeaving(key: ServiceKey, now: number): readonly IpAddress[] {
    const holding = this.#ledger.holding(key);
    if (holding === undefined || holding.leaving.length === 0) return [];
    this.#ledger.replace(holding, holding.current.length === 0 ? undefined : { ...holding, leaving: [] });
    return this.#released.hold(holding, holding.leaving, now);
  }

  /** Every lane has been told which ports the Service has now: those it had before may be another's. */
  releasePorts(key: ServiceKey): void {
    const holding = this.#ledger.holding(key);
    if (holding === undefined || holding.leavingPorts.length === 0) return;
    this.#ledger.replace(holding, { ...holding, leavingPorts: [] });
  }

  /** The Services that have the address, or are giving it up. */
  users(address: IpAddress): readonly ServiceKey[] {
    return this.#ledger.users(address);
  }

  /** In the order of ipFamilies; without those being given up. */
  addressesOf(key: ServiceKey): readonly IpAddress[] {
    return this.#ledger.holding(key)?.current ?? [];
  }

  /** The pool the addresses of a Service are from; it may be gone. */
  poolOf(key: ServiceKey): string | undefined {
    return this.#ledger.holding(key)?.pool;
  }

  /** The Service with those of its ports that are its own at its addresses; another one may have some of a shared address. */
  granted(service: LoadBalancedService): LoadBalancedService {
    const holding = this.#ledger.holding(service.key);
    if (holding?.sharingKey === undefined) return service;
    const ports = service.ports.filter(({ protocol, port }) => holding.ports.includes(`${protocol}/${port}`));
    return ports.length === service.ports.length ? service : { ...service, ports };
  }

  /** Ports at which the Service has its addresses beside others, as `TCP/80`; undefined when nobody else may have the addresses. */
  sharedPortsOf(key: ServiceKey): readonly string[] | undefined {
    const holding = this.#ledger.holding(key);
    return holding?.sharingKey === undefined ? undefined : [...holding.ports, ...holding.leavingPorts];
  }

  /** What is to be stored on the Service; undefined when it has nothing. */
  recordOf(key: ServiceKey): AllocationRecord | undefined {
    const holding = this.#ledger.holding(key);
    if (holding === undefined || holding.current.length === 0) return undefined;
    const { pool, current, sharingKey, ports, reallocated } = holding;
    return {
      pool,
      addresses: current,
      ...(sharingKey !== undefined && { sharing: { key: sharingKey, ports } }),
      ...(reallocated !== undefined && { reallocated }),
    };
  }

  /** How many Services have an address of the pool. */
  servicesIn(pool: string): number {
    return this.#ledger.countOf(pool);
  }

  usage(pool: string): PoolUsage {
    const space = this.#ledger.pools.get(pool);
    const assigned = this.#ledger.assigned(pool);
    return {
      assignedIPv4: assigned.IPv4,
      assignedIPv6: assigned.IPv6,
      availableIPv4: space?.freeCount('IPv4') ?? 0n,
      availableIPv6: space?.freeCount('IPv6') ?? 0n,
      outside: this.#outside.get(pool)?.size ?? 0,
    };
  }

  /** Services whose last request was refused, oldest first. */
  waiting(): readonly ServiceKey[] {
    return this.#waiting.all();
  }

  /** Those of one namespace: to be tried again when its labels change. */
  waitingIn(namespace: string): readonly ServiceKey[] {
    return this.#waiting.in(namespace);
  }

  /** Services that have a chance now which they had not when they were refused, oldest first; each is named once. */
  wakeable(): readonly ServiceKey[] {
    return this.#waiting.takeWakeable();
  }

  #assign(
    service: LoadBalancedService,
    held: Holding | undefined,
    choice: Extract<Choice, { ok: true }>,
    reallocated: string | undefined,
    /** What it goes on waiting for. */
    unmetAwaited?: Awaited,
  ): Extract<VipDecision, { kind: 'assigned' }> {
    const { key, namespace, uid } = service;
    const { pool } = choice;
    const current = inFamilyOrder(choice.picks, service.ipFamilies);
    const leaving = everythingOf(held).filter((address) => !current.includes(address));
    const grant = grantPorts(this.#ledger, service, held, current, leaving);
    const { sharingKey, ports, leavingPorts, awaited } = grant;
    const after: Holding = {
      key,
      namespace,
      uid,
      pool,
      current,
      leaving,
      sharingKey,
      ports,
      leavingPorts,
      reallocated,
    };
    if (held === undefined || !sameHolding(held, after)) this.#ledger.replace(held, after);
    if (held !== undefined && held.pool !== pool) this.#mark(key, held.pool, false);
    const unmet = choice.unmet ?? grant.refusal;
    this.#mark(key, pool, unmet?.reason === 'AddressOutsidePools');
    // One step: who left a line in between would give its place to the next one, who would be woken for nothing.
    if (unmetAwaited !== undefined)
      this.#wait(service, { ...unmetAwaited, addresses: [...unmetAwaited.addresses, ...awaited] });
    else if (awaited.length === 0) this.#waiting.drop(key);
    else this.#wait(service, { ...NOTHING_AWAITED, addresses: awaited });
    return { kind: 'assigned', addresses: current, pool, ...(unmet && { unmet }) };
  }

  #wait(service: LoadBalancedService, awaited: Awaited): void {
    const { key } = service;
    const own = [...this.#ledger.keptFor(key), ...this.#ownLeaving(this.#ledger.holding(key))];
    this.#waiting.wait(service, awaited, own);
  }

  /** A Service that was deleted and made anew under the same name starts without an address. */
  #withoutNamesake({ key, uid }: LoadBalancedService): Holding | undefined {
    const holding = this.#ledger.holding(key);
    if (holding === undefined || holding.uid === uid) return holding;
    const leavingPorts = [...holding.ports, ...holding.leavingPorts];
    const leaving = everythingOf(holding);
    const retired = { ...holding, uid, current: [], leaving, ports: [], leavingPorts, reallocated: undefined };
    this.#ledger.replace(holding, retired);
    return retired;
  }

  /** With a release delay the same namespace and name gets its address back, also before it has come free. */
  #ownLeaving(held: Holding | undefined): readonly IpAddress[] {
    if (held === undefined || held.leaving.length === 0) return [];
    const pool = this.#ledger.pools.get(held.pool)?.pool;
    return pool !== undefined && pool.releaseDelaySeconds > 0 ? held.leaving : [];
  }

  /** A holding whose pool no longer has its addresses belongs to the pool that has them now, if there is one. */
  #rehome(holding: Holding): boolean {
    if (holding.current.length === 0) return false;
    const { pools } = this.#ledger;
    if (covers(pools.get(holding.pool), holding.current)) return false;
    const pool = poolCovering(pools, holding.current);
    if (pool === undefined) return false;
    this.#mark(holding.key, holding.pool, false);
    this.#ledger.replace(holding, { ...holding, pool });
    return true;
  }

  /** Notes whether the address of a Service lies outside its pool. */
  #mark(key: ServiceKey, pool: string, outside: boolean): void {
    const services = this.#outside.get(pool);
    if (outside) this.#outside.set(pool, (services ?? new Set()).add(key));
    else if (services?.delete(key) === true && services.size === 0) this.#outside.delete(pool);
  }
}
