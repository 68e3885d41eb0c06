import { createOperator, type KubeProxyDelays, type Operator } from '../../operator/controllers/operator-core.ts';
import type { ControllerMetrics, DirectorDialer, Leadership } from '../../operator/controllers/ports.ts';
import type { AddressPool } from '../../operator/model/address-pool.ts';
import type { Director } from '../../operator/model/director.ts';
import type { LoadBalancedService, ServiceKey } from '../../operator/model/load-balanced-service.ts';
import { formatVirtualServerKey } from '../../operator/model/virtual-server.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeApi, FakeCluster } from '../fakes/fake-cluster.ts';
import { FakeDirector, fakeDialer } from '../fakes/fake-director.ts';
import { FakeLog } from '../fakes/fake-log.ts';
import { FakeEvents, FakeWriter } from '../fakes/fake-writer.ts';
import { ProcessLife } from '../fakes/process-life.ts';
import { aDirector } from './a-director.ts';
import { aNode } from './a-node.ts';
import { aPool } from './a-pool.ts';
import { aService } from './a-service.ts';

/** The Lease of a fake cluster: a transition count and who holds it. */
export class FakeLease implements Leadership {
  #epoch: number | undefined;

  constructor(epoch: number | undefined = 1) {
    this.#epoch = epoch;
  }

  epoch(): number | undefined {
    return this.#epoch;
  }

  async raiseEpoch(above: number): Promise<boolean> {
    if (this.#epoch === undefined) return false;
    this.#epoch = Math.max(this.#epoch, above + 1);
    return true;
  }

  hold(epoch: number | undefined): void {
    this.#epoch = epoch;
  }
}

/** Counts nothing. */
export const NO_METRICS: ControllerMetrics = {
  reconciled: () => undefined,
  queueDepth: () => undefined,
  directorUp: () => undefined,
  directorSynced: () => undefined,
  changed: () => undefined,
  directorGone: () => undefined,
  vipsInUse: () => undefined,
  poolGone: () => undefined,
};

export interface WorldOptions {
  readonly seed?: number;
  readonly pools?: readonly AddressPool[];
  readonly directors?: readonly Director[];
  /** How long a director takes to answer, milliseconds. */
  readonly answerDelayMs?: number;
  readonly kubeProxy?: KubeProxyDelays;
}

/**
 * A whole site in memory: cluster, directors lb-1 and lb-2, nodes node-1 and node-2, pool `web`, and an operator process that can be
 * stopped and started again.
 */
export class World {
  readonly clock: FakeClock;
  readonly api = new FakeApi();
  readonly events = new FakeEvents();
  readonly writer = new FakeWriter(this.api);
  readonly log = new FakeLog();
  readonly lease = new FakeLease();
  readonly hosts = new Map<string, FakeDirector>();
  /** Why the operator would have ended its process. */
  readonly fatal: unknown[] = [];
  readonly #answerDelayMs: number;
  readonly #kubeProxy: KubeProxyDelays | undefined;
  #process: { readonly operator: Operator; readonly cluster: FakeCluster; readonly life: ProcessLife } | undefined;

  constructor({ seed = 1, pools = [aPool()], directors, answerDelayMs = 1, kubeProxy }: WorldOptions = {}) {
    this.clock = new FakeClock(seed);
    this.#answerDelayMs = answerDelayMs;
    this.#kubeProxy = kubeProxy;
    this.api.namespaces.set('default', {});
    this.api.putSecret('director-ssh', 'the private key');
    for (const pool of pools) this.api.putPool({ ok: true, value: pool });
    for (const [name, internalIPs] of [
      ['node-1', ['192.0.2.21']],
      ['node-2', ['192.0.2.22']],
    ] as const) {
      this.api.putNode(aNode({ name, internalIPs }));
    }
    for (const director of directors ?? [aDirector(), aDirector({ name: 'lb-2', address: '192.0.2.12' })]) {
      this.addDirector(director);
    }
  }

  /** A Director object and the host it names. */
  addDirector(director: Director): FakeDirector {
    const host =
      this.hosts.get(director.name) ??
      new FakeDirector({
        address: director.address,
        port: director.port,
        clock: this.clock,
        answerDelayMs: this.#answerDelayMs,
      });
    this.hosts.set(director.name, host);
    this.api.putDirector({ ok: true, value: director });
    return host;
  }

  host(name: string): FakeDirector {
    const host = this.hosts.get(name);
    if (host === undefined) throw new Error(`there is no director ${name} in this world`);
    return host;
  }

  /** Starts an operator process on what is stored now. */
  start(watchDelayMs?: number): void {
    if (this.#process !== undefined) throw new Error('the operator runs already');
    const later =
      watchDelayMs === undefined
        ? queueMicrotask
        : (deliver: () => void) => void this.clock.schedule(watchDelayMs, deliver);
    const cluster: FakeCluster = new FakeCluster(this.api, (event) => operator.onClusterEvent(event), later);
    // The dialer is looked up anew, so that a test may add directors later.
    const dialer: DirectorDialer = { dial: (target) => fakeDialer(this.hosts.values()).dial(target) };
    this.starts += 1;
    const life = new ProcessLife();
    const { lease: leadership, log } = this;
    const operator: Operator = createOperator({
      cluster,
      writer: life.writer(this.writer),
      events: life.events(this.events),
      keys: cluster,
      dialer: life.dialer(dialer),
      leadership,
      clock: life.clock(this.clock),
      log,
      metrics: NO_METRICS,
      onFatal: (error) => this.fatal.push(error),
      ...(this.#kubeProxy && { kubeProxy: this.#kubeProxy }),
    });
    this.#process = { operator, cluster, life };
    cluster.sync();
  }

  /** Ends the operator process as SIGTERM does. */
  async stop(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    process?.cluster.stop();
    await process?.operator.stop();
  }

  /** Ends the operator process as SIGKILL does, between two of its steps. */
  crash(): void {
    const process = this.#process;
    this.#process = undefined;
    process?.life.die();
    process?.cluster.stop();
  }

  /** Operator processes started so far. */
  starts = 0;

  get running(): boolean {
    return this.#process !== undefined;
  }

  /** How often the operator process that runs has looked at a Service in memory. */
  get serviceReads(): number {
    return this.#process?.cluster.serviceReads ?? 0;
  }

  /** Lets time pass until nothing more happens within it. */
  async run(milliseconds = 5_000): Promise<void> {
    await this.clock.advance(milliseconds);
  }

  /** Starts an operator process and has it serve Services of these names, one after the other. */
  async serve(...names: string[]): Promise<void> {
    this.start();
    await this.run();
    for (const name of names) {
      this.api.putService(aService({ name }));
      await this.run(100);
    }
    await this.run();
  }

  /** Virtual servers on a director, as `TCP 203.0.113.10:80`. */
  tableOf(director: string): string[] {
    return this.host(director).table.virtualServers().map(formatVirtualServerKey);
  }

  /** {@link tableOf} each director. */
  tables(): string[][] {
    return [...this.api.directors.keys()].map((name) => this.tableOf(name));
  }

  /** The verbs of the writes to an object so far. */
  writesTo(key: ServiceKey): string[] {
    return this.writer.writes.filter(({ object }) => object === key).map(({ verb }) => verb);
  }

  service(key: ServiceKey): LoadBalancedService {
    const service = this.api.services.get(key);
    if (service === undefined) throw new Error(`Service ${key} does not exist`);
    return service;
  }

  /** Addresses in the status of a Service. */
  published(key: ServiceKey): string[] {
    return this.service(key).ingress.map(({ ip }) => ip);
  }

  /** Condition of a Service by the last part of its type, as `status reason: message`. */
  condition(key: ServiceKey, type: string): string | undefined {
    const condition = this.service(key).conditions.find((each) => each.type.endsWith(`/${type}`));
    return condition && `${condition.status} ${condition.reason}: ${condition.message}`;
  }
}
