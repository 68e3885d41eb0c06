import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type OperatorConfig, readConfig } from './config.ts';
import { createOperator, type Operator } from './controllers/operator-core.ts';
import type { Leadership, Log } from './controllers/ports.ts';
import { createApiClient } from './kube/api-client.ts';
import { SafeOperator } from './kube/base-operator.ts';
import { type ClusterCache, createClusterCache } from './kube/cluster-cache.ts';
import { createEventRecorder, type StoppableEventRecorder } from './kube/event-recorder.ts';
import { loadKubeConfig, type OpKubeConfig } from './kube/kube-config.ts';
import { createLease, type Lease } from './kube/lease.ts';
import { createClusterWriter } from './kube/write-status.ts';
import { type HealthServer, startHealthServer } from './observe/health-server.ts';
import { createLogger } from './observe/logger.ts';
import { createMetrics } from './observe/metrics.ts';
import { systemClock } from './observe/system-clock.ts';
import { createDirectorDialer } from './ssh/helper-client.ts';

const VERSION = '0.1.0';
/** A process that gets no Lease for so long is a standby, and as such ready: a rolling update waits for it. */
const STANDBY_AFTER_MS = 5_000;

/** What runs while we lead: a view of the cluster, and controllers that act on it. */
interface Term {
  readonly cache: ClusterCache;
  readonly events: StoppableEventRecorder;
  readonly operator: Operator;
}

/** The process: it leads or waits for the Lease, and works only while it leads. */
class IpvsOperator extends SafeOperator {
  readonly #config: OperatorConfig;
  readonly #kubeConfig: OpKubeConfig;
  readonly #log: Log;
  readonly #api: ReturnType<typeof createApiClient>;
  readonly #metrics = createMetrics();
  readonly #identity = `${hostname()}-${randomBytes(4).toString('hex')}`;
  readonly #startedAt = systemClock.monotonic();
  #health: HealthServer | undefined;
  #lease: Lease | undefined;
  #term: Term | undefined;
  /** Terms begin and end one after the other. */
  #turn: Promise<void> = Promise.resolve();

  constructor(config: OperatorConfig, kubeConfig: OpKubeConfig, log: Log) {
    super(kubeConfig, log);
    this.#config = config;
    this.#kubeConfig = kubeConfig;
    this.#log = log;
    this.#api = createApiClient(kubeConfig);
  }

  protected override async init(): Promise<void> {
    const { health, lease, namespace } = this.#config;
    this.#log.info('The operator starts', { version: VERSION, namespace, identity: this.#identity });
    this.#health = await startHealthServer({
      ...health,
      unhealthy: () => undefined,
      unready: () => this.#unready(),
      metrics: this.#metrics,
      log: this.#log,
    });
    if (!lease.enabled) {
      this.#inTurn(() => this.#beginTerm(new SoleLeadership()));
      return;
    }
    const election = createLease({
      api: this.#api,
      namespace,
      name: lease.name,
      identity: this.#identity,
      clock: systemClock,
      log: this.#log,
      onAcquired: (epoch) => {
        this.#log.info('This process holds the Lease and works', { lease: lease.name, epoch });
        this.#inTurn(() => this.#beginTerm(election));
      },
      onLost: (cause) => {
        this.#log.warn('This process has lost the Lease and stops working', { lease: lease.name, cause });
        this.#inTurn(() => this.#endTerm());
      },
    });
    this.#lease = election;
    election.start();
  }

  /** Directors and Services stay exactly as they are: traffic flows without us. */
  protected override async shutDown(): Promise<void> {
    this.#inTurn(() => this.#endTerm());
    await this.#turn;
    await this.#lease?.stop();
    await this.#health?.close();
    await this.#kubeConfig.close();
    this.#log.info('The operator has stopped');
  }

  /** A step that fails is a bug: its rejection ends the process, which says so and is started again. */
  #inTurn(step: () => void | Promise<void>): void {
    this.#turn = this.#turn.then(step);
  }

  #beginTerm(leadership: Leadership): void {
    if (this.#term !== undefined) return;
    const { namespace, claimUnclassed, aliases, adoptIngress, neverAssign, kubeProxy, limits } = this.#config;
    const shared = { api: this.#api, clock: systemClock, log: this.#log };
    const cache = createClusterCache({
      ...shared,
      namespace,
      claimUnclassed,
      aliases,
      onEvent: (event) => operator.onClusterEvent(event),
    });
    const events = createEventRecorder({
      ...shared,
      instance: this.#identity,
      onUnwritten: (why) => this.#metrics.eventUnwritten(why),
    });
    const operator: Operator = createOperator({
      clock: systemClock,
      log: this.#log,
      cluster: cache,
      keys: cache,
      writer: createClusterWriter({ ...shared, cache }),
      events,
      dialer: createDirectorDialer({
        clock: systemClock,
        log: this.#log,
        limits: { parallelDials: limits.parallelDials },
      }),
      leadership,
      metrics: this.#metrics,
      onFatal: (error) =>
        this.#inTurn(() => {
          throw error;
        }),
      serviceWorkers: limits.serviceWorkers,
      neverAssign,
      adoptIngress,
      kubeProxy: { newNodeMs: kubeProxy.newNodeSeconds * 1_000, newEndpointMs: kubeProxy.newEndpointSeconds * 1_000 },
    });
    this.#term = { cache, events, operator };
    cache.start();
  }

  async #endTerm(): Promise<void> {
    const term = this.#term;
    if (term === undefined) return;
    this.#term = undefined;
    await term.operator.stop();
    await term.cache.stop();
    await term.events.stop();
  }

  #unready(): string | undefined {
    if (this.#term !== undefined) {
      return this.#term.cache.synced() ? undefined : 'the cluster has not been listed completely yet';
    }
    const waiting = systemClock.monotonic() - this.#startedAt;
    return waiting < STANDBY_AFTER_MS ? 'waiting for the Lease' : undefined;
  }
}

/** Without a Lease we always lead. */
class SoleLeadership implements Leadership {
  #epoch = 1;

  epoch(): number {
    return this.#epoch;
  }

  async raiseEpoch(above: number): Promise<boolean> {
    this.#epoch = Math.max(this.#epoch, above + 1);
    return true;
  }
}

async function main(): Promise<void> {
  const result = readConfig(process.argv.slice(2));
  if (!result.ok) {
    process.stderr.write(`ipvs-operator: ${result.message}\n`);
    process.exitCode = 2;
    return;
  }
  const { config } = result;
  const logger = createLogger({ level: config.logLevel });
  const { log } = logger;
  const fail = (message: string, error: unknown) => {
    log.error(message, { error });
    void logger.end().finally(() => process.exit(1));
  };
  process.on('unhandledRejection', (error) => fail('A rejection was not handled; the process ends', error));
  process.on('uncaughtException', (error) => fail('An error was not caught; the process ends', error));
  try {
    const source = config.kubeconfig === undefined ? {} : { kubeconfig: config.kubeconfig };
    const operator = new IpvsOperator(
      config,
      loadKubeConfig({ ...source, userAgent: `ipvs-operator/${VERSION}` }),
      log,
    );
    await operator.start();
    await firstSignal(log);
    operator.stop();
    await operator.stopped;
    await logger.end();
    process.exit();
  } catch (error) {
    fail('The operator cannot run', error);
  }
}

/** A second signal ends the process at once. */
function firstSignal(log: Log): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals) => {
      if (asked) process.exit(1);
      asked = true;
      log.info('Asked to stop', { signal });
      resolve();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

await main();
