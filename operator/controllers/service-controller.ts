import type { AddressBook, VipDecision } from '../core/address-book.ts';
import type { NodeDeaths } from '../core/dead-nodes.ts';
import { selectNodes } from '../core/select-nodes.ts';
import { serviceStatus } from '../core/service-status.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import { FINALIZER, SERVICE_CONDITION } from '../model/names.ts';
import { AllocationRecords } from './allocation-records.ts';
import type { DirectorFleet } from './director-fleet.ts';
import type { NodeAdmission } from './node-admission.ts';
import { DONE, type Outcome } from './outcome.ts';
import type { PoolTally } from './pool-tally.ts';
import type { Clock, Cluster, ClusterWriter, EventRecorder, Log, ServiceStatus } from './ports.ts';
import { referenceTo } from './service-events.ts';
import { type Placement, ServicePlacement } from './service-placement.ts';
import { ServiceRemoval } from './service-removal.ts';
import { onlyAbsenceIsNew, ServiceStatusWriter } from './service-status-writer.ts';

export interface ServiceControllerOptions {
  readonly cluster: Cluster;
  readonly writer: ClusterWriter;
  readonly events: EventRecorder;
  readonly fleet: DirectorFleet;
  readonly book: AddressBook;
  readonly tally: PoolTally;
  /** Nodes that may be real servers. */
  readonly nodes: () => Iterable<ClusterNode>;
  readonly admission: Pick<NodeAdmission, 'pending' | 'keep'>;
  /** Nodes that are dead. */
  readonly deaths: NodeDeaths;
  readonly clock: Clock;
  /** How long a node with a new endpoint waits for its kube-proxy. */
  readonly newEndpointMs: number;
  readonly log: Log;
  /** These Services have something to do now: an address came free that they wait for. */
  readonly enqueue: (keys: Iterable<ServiceKey>) => void;
  /** Addresses may have been held: one of them is due some day. */
  readonly onHeld: () => void;
  /** The pool's use of addresses or directors may have changed. */
  readonly onPoolUse: (pool: string) => void;
}

/**
 * Makes one Service so, whatever has happened to it: one path for create, update and delete. In order: addresses, claim (finalizers
 * before the first effect), virtual servers in the lanes, status from what directors confirm; and all of it back when the Service goes.
 */
export class ServiceController {
  readonly #options: ServiceControllerOptions;
  readonly #placement: ServicePlacement;
  readonly #removal: ServiceRemoval;
  readonly #statuses: ServiceStatusWriter;
  readonly #records: AllocationRecords;
  /** Services that wait for something of a director. */
  readonly #unsettled = new Set<ServiceKey>();

  constructor(options: ServiceControllerOptions) {
    this.#options = options;
    this.#placement = new ServicePlacement(options);
    this.#removal = new ServiceRemoval({ ...options, placement: this.#placement });
    this.#statuses = new ServiceStatusWriter(options);
    this.#records = new AllocationRecords(options);
  }

  /**
   * Takes in what Services already have, before anything is given out: everything published goes to the lanes as it is, so that a start
   * changes nothing. Call it once, when the cluster has been listed completely and the pools are in the book.
   */
  adoptAll(): void {
    const { cluster, book, events } = this.#options;
    const services = [...cluster.services()];
    for (const [key, adoption] of book.adoptAll(services, (namespace) => cluster.namespaceLabels(namespace))) {
      const service = cluster.service(key);
      if (adoption.kind === 'refused' && service !== undefined)
        events.record(referenceTo(service), 'Warning', 'AllocationFailed', adoption.message);
    }
    for (const service of services) this.place(service.key);
  }

  /**
   * Spreads a Service over the lanes again, in memory only: for a lane that is new or that may concern it. One that this fails for holds up no
   * other: what it has on the directors stays as it is until it has been tried again.
   */
  place(key: ServiceKey): void {
    const { cluster, log, enqueue } = this.#options;
    const service = cluster.service(key);
    try {
      this.#spread(key, service);
    } catch (error) {
      log.error('a Service could not be placed; its virtual servers stay as they are, and it is tried again', {
        service: key,
        error,
      });
      this.#removal.freeze(key, service);
      enqueue([key]);
    }
    this.#count(key);
  }

  /** Services that wait for a director: to be looked at again when one becomes ready, or says why it does not. */
  unsettled(): Iterable<ServiceKey> {
    return this.#unsettled;
  }

  /** Services from which a node is draining that is dead now: to be looked at again. */
  bereaved(): Iterable<ServiceKey> {
    return this.#placement.bereaved();
  }

  /** Whether it is one of {@link unsettled}. */
  isUnsettled(key: ServiceKey): boolean {
    return this.#unsettled.has(key);
  }

  /** A Director object is gone or means another host, and what we know of its table is worth nothing. */
  forgetDirector(): void {
    this.#placement.forgetDirector();
  }

  async reconcile(key: ServiceKey): Promise<Outcome> {
    const service = this.#options.cluster.service(key);
    if (service?.wanted === true) return this.#ensure(service);
    if (this.#removal.isNeeded(key, service)) return this.#remove(key, service);
    this.#forget(key);
    return DONE;
  }

  async #ensure(service: LoadBalancedService): Promise<Outcome> {
    const { book, clock } = this.#options;
    const { key } = service;
    const decision = this.#decide(service);
    if (decision.kind === 'refused') return this.#refuse(service, decision);
    this.#wake();
    const wanted = book.recordOf(key) ?? { pool: decision.pool, addresses: decision.addresses };
    const record = await this.#records.keep(service, wanted);
    if (record.kind === 'undone') return record.outcome;
    if (record.first) this.#placement.born(key);
    // The answer took time: the Service may have left, or another may have been made under its name.
    const current = this.#options.cluster.service(key);
    if (current?.wanted !== true || current.uid !== service.uid) return { kind: 'retry', cause: 'the Service changed' };
    const placement = this.#place(current);
    if (placement.assigned) book.releasePorts(key);
    if (placement.vacated) book.releaseLeaving(key, clock.now());
    this.#wake();
    this.#count(key);
    this.#options.onPoolUse(decision.pool);
    const outcome = await this.#publish(current, decision, placement);
    if (outcome.kind !== 'done') return outcome;
    const again = [record.correctInMs, placement.dueMs ?? 0].filter((milliseconds) => milliseconds > 0);
    return again.length > 0 ? { kind: 'retryAfter', milliseconds: Math.min(...again) } : outcome;
  }

  #spread(key: ServiceKey, service: LoadBalancedService | undefined): void {
    if (service?.wanted === true) {
      const { finalizers } = service;
      if (finalizers.includes(FINALIZER) && this.#options.book.addressesOf(key).length > 0) this.#place(service);
    } else if (this.#removal.isNeeded(key, service)) this.#removal.withdraw(key, service);
  }

  #place(service: LoadBalancedService): Placement {
    const { admission, cluster, nodes } = this.#options;
    const placement = this.#placement.place(service);
    const { pool, assigned } = placement;
    if (assigned && pool !== undefined && admission.pending)
      admission.keep(service.key, selectNodes(nodes(), pool, service, cluster.endpoints(service.key)));
    return placement;
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
    const { book, clock } = this.#options;
    const givingUp = book.leavingOf(service.key);
    if (givingUp.length > 0) {
      const remaining = this.#placement.withdraw(service.key, givingUp);
      if (remaining.length === 0) book.releaseLeaving(service.key, clock.now());
      else this.#unsettled.add(service.key);
    }
    this.#wake();
    if (service.record !== undefined && book.poolOf(service.key) === undefined) {
      const disclaimed = await this.#records.disclaim(service);
      if (disclaimed.kind !== 'done') return disclaimed;
    }
    const status = serviceStatus({ service, decision, pool: undefined, directors: [], problems: [] });
    const outcome = await this.#statuses.write(service, status);
    return outcome.kind === 'done' ? { kind: 'giveUp', cause: decision.message } : outcome;
  }

  async #publish(service: LoadBalancedService, decision: VipDecision, placement: Placement): Promise<Outcome> {
    const { key } = service;
    const { pool, directors, problems, portProblems, notes, undecided } = placement;
    const computed = serviceStatus({ service, decision, pool, directors, problems, portProblems, notes });
    // An address that is given up stays published until the new one works.
    const kept = service.ingress.filter(({ ip }) => this.#options.book.leavingOf(key).includes(ip));
    const status = computed.ingress.length === 0 ? { ...computed, ingress: kept } : computed;
    const settled = isProgrammed(status.conditions) && !undecided && this.#options.book.leavingOf(key).length === 0;
    if (settled && directors.every(({ ready, state }) => !ready || state === 'Programmed')) this.#unsettled.delete(key);
    else this.#unsettled.add(key);
    if (onlyAbsenceIsNew(service, status, directors, problems)) return DONE;
    // What is said of a director that is being connected would be wrong in a moment; only a new address is worth it.
    const sameAddresses = status.ingress.map(({ ip }) => ip).join() === service.ingress.map(({ ip }) => ip).join();
    if (undecided && (sameAddresses || directors.every(({ ready }) => !ready))) return DONE;
    return this.#statuses.writePatiently(service, status);
  }

  async #remove(key: ServiceKey, service: LoadBalancedService | undefined): Promise<Outcome> {
    const { book, clock } = this.#options;
    const progress = await this.#removal.advance(key, service);
    if (progress.kind === 'undone') return progress.outcome;
    if (progress.kind === 'waits') {
      this.#unsettled.add(key);
      return DONE;
    }
    const pool = book.poolOf(key);
    this.#forget(key);
    book.release(key, clock.now());
    this.#wake();
    this.#count(key);
    if (pool !== undefined) this.#options.onPoolUse(pool);
    return DONE;
  }

  /** Keeps the tally of its pool up to date. */
  #count(key: ServiceKey): void {
    const { book, cluster, tally } = this.#options;
    tally.set(key, book.poolOf(key), book.addressesOf(key).length * (cluster.service(key)?.ports.length ?? 0));
  }

  /** Whoever has a chance now that he had not before is worked on again. */
  #wake(): void {
    this.#options.enqueue(this.#options.book.wakeable());
    this.#options.onHeld();
  }

  #forget(key: ServiceKey): void {
    this.#placement.forget(key);
    this.#unsettled.delete(key);
    this.#statuses.forget(key);
    this.#records.forget(key);
    this.#removal.forget(key);
    const { cluster, book, clock } = this.#options;
    if (cluster.service(key)?.wanted === true) return;
    book.release(key, clock.now());
    this.#wake();
  }
}

function isProgrammed(conditions: ServiceStatus['conditions']): boolean {
  return conditions.some(({ type, status }) => type === SERVICE_CONDITION.programmed && status === 'True');
}
