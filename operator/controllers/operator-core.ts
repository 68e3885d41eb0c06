import { AddressBook } from '../core/address-book.ts';
import { hasLocalEndpoint } from '../core/select-nodes.ts';
import type { AddressPool, AddressRange } from '../model/address-pool.ts';
import type { Director } from '../model/director.ts';
import { API_SERVER, type ServiceKey } from '../model/load-balanced-service.ts';
import { DirectorController } from './director-controller.ts';
import { DirectorFleet, isSelected } from './director-fleet.ts';
import { HeldAddresses } from './held-addresses.ts';
import { HostGuard } from './host-guard.ts';
import { KnownDeaths } from './known-deaths.ts';
import type { LaneTiming } from './lane-options.ts';
import { isSameTable } from './lane-target.ts';
import { NodeAdmission } from './node-admission.ts';
import { NodeChanges } from './node-changes.ts';
import type { Outcome } from './outcome.ts';
import { PoolController } from './pool-controller.ts';
import { PoolTally } from './pool-tally.ts';
import type {
  Clock,
  Cluster,
  ClusterEvent,
  ClusterWriter,
  ControllerMetrics,
  DirectorDialer,
  DirectorKeys,
  EventRecorder,
  Leadership,
  Log,
  Parsed,
} from './ports.ts';
import { ServiceController } from './service-controller.ts';
import { WorkQueue } from './work-queue.ts';

export interface KubeProxyDelays {
  /** From a new node's first Ready to its first packet. */
  readonly newNodeMs: number;
  /** From a node's first endpoint of a Service with externalTrafficPolicy Local to its first packet. */
  readonly newEndpointMs: number;
}

const KUBE_PROXY: KubeProxyDelays = { newNodeMs: 10_000, newEndpointMs: 3_000 };

/** Everything the controllers need of the world. */
export interface OperatorParts {
  readonly cluster: Cluster;
  readonly writer: ClusterWriter;
  readonly events: EventRecorder;
  readonly keys: DirectorKeys;
  readonly dialer: DirectorDialer;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: ControllerMetrics;
  /** The controllers cannot begin: ends the process, so that another takes over. */
  readonly onFatal: (error: unknown) => void;
  /** Services worked on at the same time; each waits for the API server most of its time. */
  readonly serviceWorkers?: number;
  /** Services that show an address of a pool, written by another implementation, keep it when they may have it. */
  readonly adoptIngress?: boolean;
  readonly laneTiming?: LaneTiming;
  /** How long nodes wait for their kube-proxy. */
  readonly kubeProxy?: KubeProxyDelays;
  /** Addresses that no pool ever gives: gateways, and the cluster IP range where the API server does not tell it. */
  readonly neverAssign?: readonly AddressRange[];
}

/** The controllers and their queues, running on the parts given. */
export interface Operator {
  /** Takes what the cluster tells. Nothing happens before `synced`. */
  onClusterEvent(event: ClusterEvent): void;
  /** True when no key waits or is worked on; keys may sleep until a retry. */
  readonly idle: boolean;
  /** Starts nothing more, ends all sessions, and resolves when nothing runs. Directors and cluster stay as they are. */
  stop(): Promise<void>;
}

/** Services spread over a new lane before the event loop gets a turn: some milliseconds. */
const PLACED_AT_ONCE = 200;
const BACKOFF = { baseMs: 100, capMs: 30_000 };

/** Wires the controllers. The composition root and the simulator make the same thing from different parts. */
export function createOperator(parts: OperatorParts): Operator {
  return new OperatorCore(parts);
}

class OperatorCore implements Operator {
  readonly #parts: OperatorParts;
  readonly #book: AddressBook;
  readonly #fleet = new DirectorFleet();
  readonly #held: HeldAddresses;
  readonly #tally = new PoolTally();
  readonly #nodes: NodeAdmission;
  readonly #nodeChanges = new NodeChanges();
  readonly #deaths: KnownDeaths;
  readonly #hosts: HostGuard;
  readonly #services: ServiceController;
  readonly #pools: PoolController;
  readonly #directors: DirectorController;
  readonly #serviceQueue: WorkQueue<ServiceKey>;
  readonly #poolQueue: WorkQueue<string>;
  readonly #directorQueue: WorkQueue<string>;
  #begun = false;

  constructor(parts: OperatorParts) {
    this.#parts = parts;
    const { newNodeMs, newEndpointMs } = parts.kubeProxy ?? KUBE_PROXY;
    this.#book = new AddressBook({ adoptIngress: parts.adoptIngress ?? false });
    this.#nodes = new NodeAdmission(parts.clock, newNodeMs, () => this.#onNodes());
    this.#deaths = new KnownDeaths(parts.clock);
    this.#hosts = new HostGuard(parts.cluster, parts.neverAssign ?? []);
    const shared = { ...parts, fleet: this.#fleet, book: this.#book, tally: this.#tally, hosts: this.#hosts };
    this.#services = new ServiceController({
      ...shared,
      nodes: () => this.#nodes.marked(parts.cluster.nodes()),
      admission: this.#nodes,
      deaths: this.#deaths,
      newEndpointMs,
      enqueue: (keys) => this.#addServices(keys),
      onHeld: () => this.#held.watch(),
      onPoolUse: (pool) => this.#poolQueue.add(pool),
    });
    this.#held = new HeldAddresses({
      ...shared,
      onExpired: (pools) => {
        this.#addServices(this.#book.wakeable());
        for (const pool of pools) this.#poolQueue.add(pool);
      },
    });
    this.#pools = new PoolController(shared);
    this.#directors = new DirectorController({
      ...shared,
      enqueue: (director) => this.#onReport(director),
      onServices: (services) => this.#onConfirmed(services),
      onReadiness: () => this.#addServices(this.#services.unsettled()),
      fill: () => this.#placeAll(),
      onMembership: (before, after) => this.#onMembership(before, after),
    });
    this.#serviceQueue = this.#queue('service', parts.serviceWorkers ?? 16, (key: ServiceKey) =>
      this.#services.reconcile(key),
    );
    this.#poolQueue = this.#queue('pool', 2, (name: string) => this.#pools.reconcile(name));
    this.#directorQueue = this.#queue('director', 4, (name: string) => this.#directors.reconcile(name));
  }

  get idle(): boolean {
    return this.#serviceQueue.idle && this.#poolQueue.idle && this.#directorQueue.idle;
  }

  onClusterEvent(event: ClusterEvent): void {
    if (!this.#begun) {
      if (this.#parts.cluster.synced()) this.#beginOrEnd();
      return;
    }
    switch (event.kind) {
      case 'synced':
        break;
      case 'endpoints':
        if (event.key === API_SERVER) this.#onHosts();
        this.#serviceQueue.add(event.key);
        break;
      case 'service':
        this.#serviceQueue.add(event.key);
        break;
      case 'nodes':
        this.#nodes.observe(this.#parts.cluster.nodes());
        this.#deaths.observe(this.#parts.cluster.nodes());
        this.#onHosts();
        this.#onNodes();
        break;
      case 'serviceRanges':
        this.#onHosts();
        break;
      case 'pool':
        this.#onPool(event.name);
        break;
      case 'director':
        this.#onHosts();
        this.#directorQueue.add(event.name);
        break;
      case 'secret':
        this.#onSecret(event.name);
        break;
      case 'namespace':
        this.#addServices(this.#book.waitingIn(event.name));
    }
  }

  async stop(): Promise<void> {
    this.#nodes.stop();
    this.#held.stop();
    const queues = Promise.all([this.#serviceQueue.stop(), this.#poolQueue.stop(), this.#directorQueue.stop()]);
    await Promise.all([queues, this.#directors.stop()]);
  }

  /** An operator that has begun by half would keep the Lease and do nothing. */
  #beginOrEnd(): void {
    this.#begun = true;
    try {
      this.#begin();
    } catch (error) {
      this.#parts.log.error('the controllers cannot begin; the process ends, so that another takes over', { error });
      this.#parts.onFatal(error);
    }
  }

  /**
   * The order that keeps a start harmless: pools, lanes (not started), what Services already have into the lanes, and only then sessions
   * with directors and anything new.
   */
  #begin(): void {
    const { cluster, log } = this.#parts;
    this.#nodes.begin(cluster.nodes());
    this.#deaths.observe(cluster.nodes());
    this.#nodeChanges.take(this.#validPools(), this.#nodes.marked(cluster.nodes()));
    this.#hosts.refresh();
    this.#book.setPools(this.#hosts.pools(), this.#unusablePools());
    this.#directors.createLanes();
    this.#restoreHeld();
    this.#services.adoptAll();
    this.#directors.startLanes();
    const byAge = [...cluster.services()].sort((a, b) => a.createdAt - b.createdAt || (a.key < b.key ? -1 : 1));
    this.#addServices(byAge.map(({ key }) => key));
    for (const { lane } of this.#fleet.members()) this.#directorQueue.add(lane.name);
    this.#addAllPools();
    this.#serviceQueue.start();
    this.#poolQueue.start();
    this.#directorQueue.start();
    log.info('the cluster has been read; the controllers begin', { services: byAge.length });
  }

  #restoreHeld(): void {
    const { cluster, clock } = this.#parts;
    for (const { name } of this.#validPools()) this.#book.held.restore(name, cluster.heldAddresses(name), clock.now());
    this.#held.watch();
  }

  /** Only Services of pools whose nodes are others now; of those with externalTrafficPolicy Local only who has an endpoint on such a node. */
  #onNodes(): void {
    const { cluster } = this.#parts;
    const changes = this.#nodeChanges.take(this.#validPools(), this.#nodes.marked(cluster.nodes()));
    for (const [pool, { nodes, ofServing }] of changes) {
      for (const key of this.#tally.servicesOf(pool)) {
        const local = cluster.service(key)?.externalTrafficPolicy === 'Local';
        if (local ? [...nodes].some((node) => hasLocalEndpoint(node, cluster.endpoints(key))) : ofServing)
          this.#serviceQueue.addPatiently(key);
      }
    }
    for (const key of this.#services.bereaved()) this.#serviceQueue.addPatiently(key);
  }

  /** A director has answered. Who waits for that goes before the thousands that one answer may concern. */
  #onConfirmed(services: Iterable<ServiceKey>): void {
    for (const key of services) {
      if (this.#services.isUnsettled(key)) this.#serviceQueue.add(key);
      else this.#serviceQueue.addPatiently(key);
    }
  }

  #onPool(name: string): void {
    this.#addServices(this.#book.setPools(this.#hosts.pools(), this.#unusablePools()));
    this.#addServices(this.#tally.servicesOf(name));
    this.#addServices(this.#book.wakeable());
    this.#addAllPools();
    // What its pools need of the host may be another thing now.
    for (const { lane } of this.#fleet.members()) this.#directorQueue.add(lane.name);
  }

  /** A host has another address: pools may have lost or won it. */
  #onHosts(): void {
    if (!this.#hosts.refresh()) return;
    this.#addServices(this.#book.setPools(this.#hosts.pools(), this.#unusablePools()));
    for (const pool of this.#validPools())
      if (this.#hosts.takenFrom(pool).length > 0) this.#addServices(this.#tally.servicesOf(pool.name));
    this.#addServices(this.#book.wakeable());
    this.#addAllPools();
  }

  #onSecret(secretName: string): void {
    for (const director of this.#parts.cluster.directors()) {
      if (director.ok && director.value.secretName === secretName) this.#directorQueue.add(director.value.name);
    }
  }

  #onReport(director: string): void {
    this.#directorQueue.add(director);
    const member = this.#fleet.member(director);
    if (member === undefined) return;
    for (const pool of this.#validPools()) if (isSelected(member.director, pool)) this.#poolQueue.add(pool.name);
  }

  #onMembership(before: Parsed<Director> | undefined, after: Parsed<Director> | undefined): void {
    if (before !== undefined && !isSameTable(before, after)) this.#services.forgetDirector();
    for (const pool of this.#validPools()) {
      const concerned = [before, after].some((director) => director !== undefined && isSelected(director, pool));
      if (!concerned) continue;
      this.#poolQueue.add(pool.name);
      this.#addServices(this.#tally.servicesOf(pool.name));
    }
    this.#addServices(this.#services.unsettled());
  }

  /** In slices: others get their turn while thousands of Services are spread over a new lane. */
  async #placeAll(): Promise<void> {
    const { cluster, clock } = this.#parts;
    const keys = [...cluster.services()].map(({ key }) => key);
    for (const [index, key] of keys.entries()) {
      if (index % PLACED_AT_ONCE === PLACED_AT_ONCE - 1) await new Promise<void>((turn) => clock.schedule(0, turn));
      this.#services.place(key);
    }
  }

  #unusablePools(): ReadonlySet<string> {
    return new Set([...this.#parts.cluster.pools()].flatMap((pool) => (pool.ok ? [] : [pool.name])));
  }

  #validPools(): AddressPool[] {
    return [...this.#parts.cluster.pools()].flatMap((pool) => (pool.ok ? [pool.value] : []));
  }

  #addAllPools(): void {
    for (const pool of this.#parts.cluster.pools()) this.#poolQueue.add(pool.ok ? pool.value.name : pool.name);
  }

  #addServices(keys: Iterable<ServiceKey>): void {
    for (const key of [...keys]) this.#serviceQueue.add(key);
  }

  #queue<Key extends string>(name: string, workers: number, reconcile: (key: Key) => Promise<Outcome>): WorkQueue<Key> {
    const { clock, log, metrics } = this.#parts;
    return new WorkQueue<Key>({
      name,
      workers,
      backoff: BACKOFF,
      groupOf: namespaceOf,
      clock,
      log: log.child({ controller: name }),
      onDepth: (depth) => metrics.queueDepth(name, depth),
      reconcile: async (key) => {
        const began = clock.monotonic();
        let result = 'error';
        try {
          const outcome = await reconcile(key);
          result = outcome.kind;
          return outcome;
        } finally {
          metrics.reconciled(name, result, (clock.monotonic() - began) / 1_000);
        }
      },
    });
  }
}

/** Of a Service its namespace: one tenant's Services share a turn. Pools and directors have none. */
function namespaceOf(key: string): string {
  return key.slice(0, Math.max(0, key.indexOf('/')));
}
