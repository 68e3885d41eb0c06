import type { AddressBook, VipDecision } from '../core/address-book.ts';
import { type DirectorConfirmation, serviceStatus } from '../core/service-status.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import { CORE_FINALIZER, FINALIZER, SERVICE_CONDITION } from '../model/names.ts';
import type { DirectorFleet } from './director-fleet.ts';
import { DONE, type Outcome } from './outcome.ts';
import type { Clock, Cluster, ClusterWriter, EventRecorder, Log, ServiceStatus, WriteResult } from './ports.ts';
import { eventsOfChange, referenceTo } from './service-events.ts';
import { type Placement, ServicePlacement } from './service-placement.ts';

export interface ServiceControllerOptions {
  readonly cluster: Cluster;
  readonly writer: ClusterWriter;
  readonly events: EventRecorder;
  readonly fleet: DirectorFleet;
  readonly book: AddressBook;
  /** Nodes that may be real servers. */
  readonly nodes: () => Iterable<ClusterNode>;
  readonly clock: Clock;
  readonly log: Log;
  /** These Services have something to do now: an address came free that they wait for. */
  readonly enqueue: (keys: Iterable<ServiceKey>) => void;
  /** The pool's use of addresses or directors may have changed. */
  readonly onPoolUse: (pool: string) => void;
}

/** Confirmations usually take milliseconds: that one is awaited is worth a write only when it takes so long. */
const PENDING_WORTH_TELLING_MS = 4_000;

/** How long a status of ours may be missing in what the watch shows before it is written again. */
const OWN_WRITE_VISIBLE_MS = 5_000;

/**
 * Makes one Service so, whatever has happened to it: one path for create, update and delete. In order: addresses, claim (finalizers
 * before the first effect), virtual servers in the lanes, status from what directors confirm; and all of it back when the Service goes.
 */
export class ServiceController {
  readonly #options: ServiceControllerOptions;
  readonly #placement: ServicePlacement;
  /** Services that wait for something of a director. */
  readonly #unsettled = new Set<ServiceKey>();
  /** What we wrote last, until the watch shows it. */
  readonly #written = new Map<ServiceKey, { readonly status: string; readonly at: number }>();
  /** Since when a Service waits for confirmations. */
  readonly #pendingSince = new Map<ServiceKey, number>();
  /** What was said last about a removal that waits. */
  readonly #removalSaid = new Map<ServiceKey, string>();

  constructor(options: ServiceControllerOptions) {
    this.#options = options;
    this.#placement = new ServicePlacement(options);
  }

  /**
   * Takes in what Services already have, before anything is given out: everything published goes to the lanes as it is, so that a start
   * changes nothing. Call it once, when the cluster has been listed completely and the pools are in the book.
   */
  adoptAll(): void {
    const { cluster, book } = this.#options;
    const services = [...cluster.services()];
    book.adoptAll(services);
    for (const service of services) this.place(service.key);
  }

  /** Spreads a Service over the lanes again, in memory only: for a lane that is new or that may concern it. */
  place(key: ServiceKey): void {
    const { cluster, book } = this.#options;
    const service = cluster.service(key);
    if (service?.wanted === true) {
      if (service.finalizers.includes(FINALIZER) && book.addressesOf(key).length > 0) this.#placement.place(service);
    } else if (this.#needsCleanup(key, service)) this.#withdraw(key, service);
  }

  /** Services that wait for a director: to be looked at again when one becomes ready, or says why it does not. */
  unsettled(): Iterable<ServiceKey> {
    return this.#unsettled;
  }

  /** A Director object is gone, and with it what we know of its table. */
  forgetDirector(): void {
    this.#placement.forgetDirector();
  }

  async reconcile(key: ServiceKey): Promise<Outcome> {
    const service = this.#options.cluster.service(key);
    if (service?.wanted === true) return this.#ensure(service);
    if (this.#needsCleanup(key, service)) return this.#cleanUp(key, service);
    this.#forget(key);
    return DONE;
  }

  async #ensure(service: LoadBalancedService): Promise<Outcome> {
    const { book, writer } = this.#options;
    const { key } = service;
    const decision = this.#decide(service);
    if (decision.kind === 'refused') return this.#refuse(service, decision);
    if (!isClaimed(service) || service.allocatedFromPool !== decision.pool) {
      const claimed = await writer.claimService(service, decision.pool);
      if (claimed.kind !== 'written' && claimed.kind !== 'unchanged') return outcomeOf(claimed, 'claim the Service');
      if (!service.finalizers.includes(FINALIZER)) this.#placement.born(key);
    }
    // The answer took time: the Service may have left, or another may have been made under its name.
    const current = this.#options.cluster.service(key);
    if (current?.wanted !== true || current.uid !== service.uid) return { kind: 'retry', cause: 'the Service changed' };
    const placement = this.#placement.place(current);
    if (placement.vacated) this.#free(book.releaseLeaving(key));
    this.#options.onPoolUse(decision.pool);
    return this.#publish(current, decision, placement);
  }

  /** The addresses of a Service; one whose wishes cannot be read keeps what it has and gets nothing new. */
  #decide(service: LoadBalancedService): VipDecision {
    const { book, cluster } = this.#options;
    if (service.problems.length === 0) return book.allocate(service, cluster.namespaceLabels(service.namespace));
    const addresses = book.addressesOf(service.key);
    const pool = book.poolOf(service.key);
    if (addresses.length > 0 && pool !== undefined) return { kind: 'assigned', addresses, pool };
    return { kind: 'refused', reason: 'InvalidRequest', message: service.problems.join(' ') };
  }

  async #refuse(service: LoadBalancedService, decision: Extract<VipDecision, { kind: 'refused' }>): Promise<Outcome> {
    const { book } = this.#options;
    const givingUp = book.leavingOf(service.key);
    if (givingUp.length > 0) {
      const remaining = this.#placement.withdraw(service.key, givingUp);
      if (remaining.length === 0) this.#free(book.releaseLeaving(service.key));
      else this.#unsettled.add(service.key);
    }
    const status = serviceStatus({ service, decision, pool: undefined, directors: [], problems: [] });
    const outcome = await this.#write(service, status);
    return outcome.kind === 'done' ? { kind: 'giveUp', cause: decision.message } : outcome;
  }

  async #publish(service: LoadBalancedService, decision: VipDecision, placement: Placement): Promise<Outcome> {
    const { key } = service;
    const { pool, directors, problems, notes, undecided } = placement;
    const computed = serviceStatus({ service, decision, pool, directors, problems, notes });
    // An address that is given up stays published until the new one works.
    const kept = service.ingress.filter(({ ip }) => this.#options.book.leavingOf(key).includes(ip));
    const status = computed.ingress.length === 0 ? { ...computed, ingress: kept } : computed;
    const settled = isProgrammed(status.conditions) && this.#options.book.leavingOf(key).length === 0;
    if (settled && directors.every(({ ready, state }) => !ready || state === 'Programmed')) this.#unsettled.delete(key);
    else this.#unsettled.add(key);
    if (onlyAbsenceIsNew(service, status, directors, problems)) return DONE;
    if (undecided && directors.every(({ ready }) => !ready)) return DONE;
    const patience = this.#patience(key, status);
    return patience > 0 ? { kind: 'retryAfter', milliseconds: patience } : this.#write(service, status);
  }

  /** For how much longer nothing is said about a confirmation that is awaited. */
  #patience(key: ServiceKey, { conditions }: ServiceStatus): number {
    if (!conditions.some(({ type, reason }) => type === SERVICE_CONDITION.programmed && reason === 'Pending')) {
      this.#pendingSince.delete(key);
      return 0;
    }
    const now = this.#options.clock.monotonic();
    const since = this.#pendingSince.get(key) ?? now;
    this.#pendingSince.set(key, since);
    return since + PENDING_WORTH_TELLING_MS - now;
  }

  /** Writes a status that differs from the stored one, and tells what is new in it. */
  async #write(service: LoadBalancedService, status: ServiceStatus): Promise<Outcome> {
    const { writer, events, clock } = this.#options;
    const print = printOf(service.uid, status);
    if (print === printOf(service.uid, service)) return DONE;
    const ours = this.#written.get(service.key);
    const waited = ours === undefined ? 0 : clock.monotonic() - ours.at;
    if (ours?.status === print && waited < OWN_WRITE_VISIBLE_MS) {
      return { kind: 'retryAfter', milliseconds: OWN_WRITE_VISIBLE_MS - waited };
    }
    const result = await writer.writeServiceStatus(service, status);
    if (result.kind !== 'written' && result.kind !== 'unchanged')
      return outcomeOf(result, 'write the status of the Service');
    this.#written.set(service.key, { status: print, at: clock.monotonic() });
    if (result.kind === 'written') {
      for (const { type, reason, message } of eventsOfChange(service, status)) {
        events.record(referenceTo(service), type, reason, message);
      }
    }
    return DONE;
  }

  #needsCleanup(key: ServiceKey, service: LoadBalancedService | undefined): boolean {
    const { book, fleet } = this.#options;
    if (service?.finalizers.includes(FINALIZER) === true) return true;
    if (book.addressesOf(key).length > 0 || book.leavingOf(key).length > 0) return true;
    return [...fleet.members()].some(({ lane }) => lane.has(key));
  }

  async #cleanUp(key: ServiceKey, service: LoadBalancedService | undefined): Promise<Outcome> {
    const { book, writer, events } = this.#options;
    const remaining = this.#withdraw(key, service);
    if (remaining.length > 0) return this.#tellRemaining(key, service, remaining);
    const pool = book.poolOf(key);
    if (service?.finalizers.includes(FINALIZER) === true) {
      if (!service.deleting && (service.ingress.length > 0 || service.conditions.length > 0)) {
        const cleared = await writer.writeServiceStatus(service, { ingress: [], conditions: [] });
        if (cleared.kind === 'conflict' || cleared.kind === 'failed')
          return outcomeOf(cleared, 'clear the status of the Service');
      }
      const released = await writer.releaseService(service);
      if (released.kind === 'conflict' || released.kind === 'failed')
        return outcomeOf(released, 'remove our finalizer');
      const addresses = [...book.addressesOf(key), ...book.leavingOf(key)];
      const message =
        addresses.length > 0 ? `Address ${addresses.join(' and ')} is free again.` : 'Nothing is left on any director.';
      events.record(referenceTo(service), 'Normal', 'DeletedLoadBalancer', message);
    }
    this.#placement.forget(key);
    this.#forget(key);
    this.#free(book.release(key));
    if (pool !== undefined) this.#options.onPoolUse(pool);
    return DONE;
  }

  #withdraw(key: ServiceKey, service: LoadBalancedService | undefined): readonly Remaining[] {
    const { book, cluster } = this.#options;
    const published = service?.finalizers.includes(FINALIZER) === true ? service.ingress.map(({ ip }) => ip) : [];
    // What the status shows may meanwhile be another Service's: only what the book calls ours, or nobody's, may go.
    const ours = published.filter((ip) => (book.holder(ip) ?? key) === key);
    const addresses = [...new Set([...book.addressesOf(key), ...book.leavingOf(key), ...ours])];
    const poolName = book.poolOf(key);
    const pool = poolName === undefined ? undefined : cluster.pool(poolName);
    if (pool?.ok === true && pool.value.paused) {
      this.#placement.freeze(key, addresses);
      return [
        { director: 'all', problem: `LoadBalancerPool ${poolName} is paused: nothing is removed until it is resumed.` },
      ];
    }
    return this.#placement.withdraw(key, addresses);
  }

  /** The finalizer stands while a director may hold something; who waits for a director in trouble is told which, once. */
  #tellRemaining(key: ServiceKey, service: LoadBalancedService | undefined, remaining: readonly Remaining[]): Outcome {
    this.#unsettled.add(key);
    const sentences = remaining.flatMap(({ director, problem }) =>
      problem === undefined ? [] : [{ director, problem }],
    );
    const names = sentences.map(({ director }) => director).join();
    if (service === undefined || sentences.length === 0 || this.#removalSaid.get(key) === names) return DONE;
    this.#removalSaid.set(key, names);
    const message =
      `Waiting until nothing is left on the directors: ${sentences.map(({ problem }) => problem).join(' ')} ` +
      'A director that will never come back: delete its Director object.';
    this.#options.events.record(referenceTo(service), 'Warning', 'DeletingLoadBalancer', message);
    return DONE;
  }

  #free(freed: readonly IpAddress[]): void {
    if (freed.length > 0) this.#options.enqueue(this.#options.book.wakeable(freed));
  }

  #forget(key: ServiceKey): void {
    this.#unsettled.delete(key);
    this.#written.delete(key);
    this.#removalSaid.delete(key);
    this.#pendingSince.delete(key);
    if (this.#options.cluster.service(key)?.wanted !== true) this.#free(this.#options.book.release(key));
  }
}

type Remaining = { readonly director: string; readonly problem: string | undefined };

function isClaimed(service: LoadBalancedService): boolean {
  return service.finalizers.includes(FINALIZER) && service.finalizers.includes(CORE_FINALIZER);
}

function isProgrammed(conditions: ServiceStatus['conditions']): boolean {
  return conditions.some(({ type, status }) => type === SERVICE_CONDITION.programmed && status === 'True');
}

/**
 * Directors that went away take nothing back, and their pool and their own status say so: telling it to each of thousands of Services
 * as well would cost thousands of writes, and as many when they return.
 */
function onlyAbsenceIsNew(
  service: LoadBalancedService,
  next: ServiceStatus,
  directors: readonly DirectorConfirmation[],
  problems: readonly string[],
): boolean {
  const away = directors.some(({ ready }) => !ready);
  const failed = directors.some(({ ready, state }) => ready && state === 'Failed');
  const before = service.conditions.find(({ type }) => type === SERVICE_CONDITION.programmed);
  const rest = ({ ingress, conditions }: ServiceStatus) =>
    printOf(service.uid, {
      ingress,
      conditions: conditions.filter(({ type }) => type !== SERVICE_CONDITION.programmed),
    });
  return (
    away &&
    !failed &&
    problems.length === 0 &&
    before?.status === 'True' &&
    (before.observedGeneration ?? 0) === service.generation &&
    rest(service) === rest(next)
  );
}

/** Equal for equal statuses, in whatever order the API server stores them. */
function printOf(uid: string, { ingress, conditions }: ServiceStatus): string {
  const addresses = ingress.map(({ ip, ipMode, ports }) => [ip, ipMode, ports ?? []]);
  const sorted = conditions
    .map(({ type, status, reason, message, observedGeneration }) => [type, status, reason, message, observedGeneration])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return JSON.stringify([uid, addresses, sorted]);
}

function outcomeOf(result: WriteResult, what: string): Outcome {
  switch (result.kind) {
    case 'written':
    case 'unchanged':
    case 'gone':
      return DONE;
    case 'conflict':
      return { kind: 'retry', cause: `could not ${what}: it changed meanwhile` };
    case 'failed':
      return { kind: 'retry', cause: `could not ${what}: ${result.cause}` };
  }
}
