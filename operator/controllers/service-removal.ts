import type { AddressBook } from '../core/address-book.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import { FINALIZER } from '../model/names.ts';
import type { DirectorFleet } from './director-fleet.ts';
import { DONE, type Outcome } from './outcome.ts';
import type { Clock, Cluster, ClusterWriter, EventRecorder } from './ports.ts';
import { referenceTo } from './service-events.ts';
import type { ServicePlacement } from './service-placement.ts';
import { outcomeOfWrite } from './write-outcome.ts';

/** How soon it is looked again whether a hold has been stored with the status of the pool. */
const HOLD_STORED_MS = 250;

export interface ServiceRemovalOptions {
  readonly cluster: Cluster;
  readonly writer: ClusterWriter;
  readonly events: EventRecorder;
  readonly fleet: DirectorFleet;
  readonly book: AddressBook;
  readonly placement: ServicePlacement;
  readonly clock: Clock;
  readonly onPoolUse: (pool: string) => void;
}

/** How far a removal has come: `waits` for directors, `undone` because of a write that must be tried again, or all `removed`. */
export type RemovalProgress =
  | { readonly kind: 'waits' }
  | { readonly kind: 'undone'; readonly outcome: Outcome }
  | { readonly kind: 'removed' };

type Remaining = { readonly director: string; readonly problem: string | undefined };

/**
 * Takes everything of a Service back that no longer shall have it: first from the directors, then our marks from the object. The finalizer
 * stands while any director may hold something (I11).
 */
export class ServiceRemoval {
  readonly #options: ServiceRemovalOptions;
  /** What was said last about a removal that waits. */
  readonly #said = new Map<ServiceKey, string>();
  /** Versions of each Service that show our finalizer although it has been removed since: the watch may still be at one of them. */
  readonly #outdated = new Map<ServiceKey, readonly string[]>();

  constructor(options: ServiceRemovalOptions) {
    this.#options = options;
  }

  /** Whether a Service that is not wanted still has something of ours. */
  isNeeded(key: ServiceKey, service: LoadBalancedService | undefined): boolean {
    const { book, fleet } = this.#options;
    if (service === undefined) this.#outdated.delete(key);
    else if (service.finalizers.includes(FINALIZER) && !this.#isOutdated(service)) return true;
    if (book.addressesOf(key).length > 0 || book.leavingOf(key).length > 0) return true;
    return [...fleet.members()].some(({ lane }) => lane.has(key));
  }

  /** One step: what can be taken back now is. Addresses stay in the book until the caller releases them. */
  async advance(key: ServiceKey, service: LoadBalancedService | undefined): Promise<RemovalProgress> {
    const remaining = this.withdraw(key, service);
    if (remaining.length > 0) {
      this.#tell(key, service, remaining);
      return { kind: 'waits' };
    }
    if (service?.finalizers.includes(FINALIZER) === true) {
      const outcome = await this.#letGo(service);
      if (outcome.kind !== 'done') return { kind: 'undone', outcome };
    }
    return { kind: 'removed' };
  }

  /** Takes the Service off the directors, in memory. @returns those that may still hold something. */
  withdraw(key: ServiceKey, service: LoadBalancedService | undefined): readonly Remaining[] {
    const { book, cluster, placement } = this.#options;
    const addresses = this.#addressesOf(key, service);
    const poolName = book.poolOf(key);
    const pool = poolName === undefined ? undefined : cluster.pool(poolName);
    if (pool?.ok === true && pool.value.paused) {
      placement.freeze(key, addresses);
      return [
        { director: 'all', problem: `LoadBalancerPool ${poolName} is paused: nothing is removed until it is resumed.` },
      ];
    }
    return placement.withdraw(key, addresses);
  }

  /** Leaves everything that the Service may have on the directors as it is, until it is placed or withdrawn. */
  freeze(key: ServiceKey, service: LoadBalancedService | undefined): void {
    this.#options.placement.freeze(key, this.#addressesOf(key, service));
  }

  /** The Service is wanted again, or nothing of it is left. */
  forget(key: ServiceKey): void {
    this.#said.delete(key);
  }

  #isOutdated({ key, resourceVersion }: LoadBalancedService): boolean {
    return this.#outdated.get(key)?.includes(resourceVersion) === true;
  }

  #addressesOf(key: ServiceKey, service: LoadBalancedService | undefined): readonly IpAddress[] {
    const { book } = this.#options;
    const recorded = service?.finalizers.includes(FINALIZER) === true ? (service.record?.addresses ?? []) : [];
    // What the record names may be another Service's: only what the book calls ours, or nobody's, may go.
    const ours = recorded.filter((address) => book.users(address).every((user) => user === key));
    return [...new Set([...book.addressesOf(key), ...book.leavingOf(key), ...ours])];
  }

  /** Removes our marks from the object: status, finalizers and annotations. */
  async #letGo(service: LoadBalancedService): Promise<Outcome> {
    const { book, writer, events } = this.#options;
    const { key } = service;
    const addresses = service.record?.addresses ?? [...book.addressesOf(key), ...book.leavingOf(key)];
    if (!this.#isHeld(service)) return { kind: 'retryAfter', milliseconds: HOLD_STORED_MS };
    const released = await writer.releaseService(service);
    const outcome = outcomeOfWrite(released, 'remove our finalizer');
    if (outcome.kind !== 'done') return outcome;
    const between = released.kind === 'written' ? released.between : undefined;
    this.#outdated.set(key, [service.resourceVersion, ...(between === undefined ? [] : [between])]);
    if (released.kind === 'gone') return DONE;
    const message = whatBecomesOf(addresses, key, book);
    events.record(referenceTo(service), 'Normal', 'DeletedLoadBalancer', message);
    return DONE;
  }

  /** The addresses that a pool holds for a while are held, and stored as such: else who ends now and starts again would give them away. */
  #isHeld({ key, record }: LoadBalancedService): boolean {
    const { book, clock, cluster, onPoolUse } = this.#options;
    const name = book.poolOf(key) ?? record?.pool ?? '';
    const pool = cluster.pool(name);
    if (pool?.ok !== true || pool.value.releaseDelaySeconds === 0) return true;
    book.release(key, clock.now());
    const stored = new Set(cluster.heldAddresses(name).map(({ address, service }) => `${address} ${service}`));
    const held = book.held.of(name).filter(({ service }) => service === key);
    if (held.every(({ address, service }) => stored.has(`${address} ${service}`))) return true;
    onPoolUse(name);
    return false;
  }

  /** Who waits for a director in trouble is told which, once. */
  #tell(key: ServiceKey, service: LoadBalancedService | undefined, remaining: readonly Remaining[]): void {
    const sentences = remaining.flatMap(({ director, problem }) =>
      problem === undefined ? [] : [{ director, problem }],
    );
    const names = sentences.map(({ director }) => director).join();
    if (service === undefined || sentences.length === 0 || this.#said.get(key) === names) return;
    this.#said.set(key, names);
    const message =
      `Waiting until nothing is left on the directors: ${sentences.map(({ problem }) => problem).join(' ')} ` +
      'A director that will never come back: delete its Director object.';
    this.#options.events.record(referenceTo(service), 'Warning', 'DeletingLoadBalancer', message);
  }
}

function whatBecomesOf(addresses: readonly IpAddress[], key: ServiceKey, book: AddressBook): string {
  if (addresses.length === 0) return 'Nothing is left on any director.';
  const isShared = (address: IpAddress) => book.users(address).some((user) => user !== key);
  const isHeld = (address: IpAddress) => book.held.for(address) === key;
  return addresses
    .map((address) => {
      if (isShared(address)) return `Address ${address} stays with those who share it.`;
      return isHeld(address)
        ? `Address ${address} is held for this name for a while.`
        : `Address ${address} is free again.`;
    })
    .join(' ');
}
