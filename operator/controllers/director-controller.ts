import { directorStatus } from '../core/director-status.ts';
import { hostSettings } from '../core/host-settings.ts';
import { count } from '../lib/list-in-words.ts';
import type { Director } from '../model/director.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import type { DirectorFleet } from './director-fleet.ts';
import { DirectorLane } from './director-lane.ts';
import { directorStatusInput } from './director-status-input.ts';
import type { LaneTiming } from './lane-options.ts';
import type { LaneReport } from './lane-report.ts';
import { type LaneSpec, laneSpec, tableMeant } from './lane-target.ts';
import { DONE, type Outcome } from './outcome.ts';
import type {
  Clock,
  Cluster,
  ClusterWriter,
  ControllerMetrics,
  DirectorDialer,
  DirectorKeys,
  DirectorStatus,
  EventRecorder,
  Leadership,
  Log,
  ObjectReference,
  Parsed,
} from './ports.ts';
import { StatusPacer } from './status-pacer.ts';

export interface DirectorControllerOptions {
  readonly cluster: Cluster;
  readonly writer: ClusterWriter;
  readonly events: EventRecorder;
  readonly keys: DirectorKeys;
  readonly dialer: DirectorDialer;
  readonly leadership: Leadership;
  readonly fleet: DirectorFleet;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: ControllerMetrics;
  readonly laneTiming?: LaneTiming;
  /** The status of this director may have to be written. */
  readonly enqueue: (director: string) => void;
  /** What these Services have on a director may have changed. */
  readonly onServices: (services: Iterable<ServiceKey>) => void;
  /** A director became ready, or not; pools and waiting Services may care. */
  readonly onReadiness: (director: string) => void;
  /** A lane is new and empty: assign what it shall have before it starts. */
  readonly fill: () => Promise<void>;
  /** A director came, went, became another host, or changed in what pools select by. */
  readonly onMembership: (before: Parsed<Director> | undefined, after: Parsed<Director> | undefined) => void;
}

/** Statuses are written at most once a second, mere counters every 30 s. */
const PACE = { urgentMs: 1_000, figuresMs: 30_000 };

/** Keeps one lane for each Director object, and tells people in its status and events how it fares. */
export class DirectorController {
  readonly #options: DirectorControllerOptions;
  readonly #pacer: StatusPacer;
  readonly #told = new Map<string, string>();
  /** Lanes that had been filled and were started then. */
  readonly #started = new WeakSet<DirectorLane>();
  readonly #stopping = new Set<Promise<void>>();

  constructor(options: DirectorControllerOptions) {
    this.#options = options;
    this.#pacer = new StatusPacer(options.clock, PACE);
  }

  /** Makes a lane for every Director there is, without starting it. Call it once, before Services are adopted. */
  createLanes(): void {
    for (const director of this.#options.cluster.directors()) this.#adjustLane(nameOf(director), director);
  }

  startLanes(): void {
    for (const { lane } of this.#options.fleet.members()) this.#start(lane);
  }

  /** Closes all sessions; resolves when no lane runs any more. */
  async stop(): Promise<void> {
    for (const { lane } of this.#options.fleet.members()) this.#retire(lane);
    await Promise.all(this.#stopping);
  }

  async reconcile(name: string): Promise<Outcome> {
    const { cluster, fleet } = this.#options;
    const director = cluster.director(name);
    const before = fleet.member(name);
    if (director === undefined || (before !== undefined && isAnother(before.director, director))) this.#remove(name);
    if (director === undefined) return DONE;
    const known = fleet.member(name)?.director;
    const lane = this.#adjustLane(name, director);
    // Not whether it is known: a lane that could not be filled is known too.
    const isNew = !this.#started.has(lane);
    if (isNew) {
      await this.#options.fill();
      this.#start(lane);
    }
    const counted = isNew ? undefined : known;
    if (selectionPrint(counted) !== selectionPrint(director)) this.#options.onMembership(counted, director);
    return this.#writeStatus(name, director);
  }

  #start(lane: DirectorLane): void {
    this.#started.add(lane);
    lane.start();
  }

  #adjustLane(name: string, director: Parsed<Director>): DirectorLane {
    const { fleet } = this.#options;
    const lane = fleet.member(name)?.lane ?? this.#newLane(name);
    fleet.set(name, { lane, director });
    lane.configure(this.#specOf(name, director));
    return lane;
  }

  #specOf(name: string, director: Parsed<Director>): LaneSpec {
    if (director.ok) {
      const pools = [...this.#options.cluster.pools()].flatMap((pool) => (pool.ok ? [pool.value] : []));
      const key = this.#options.keys.privateKey(director.value.secretName);
      return laneSpec(director.value, key, hostSettings(director.value, pools));
    }
    return {
      ok: false,
      trouble: { reason: 'InvalidSpec', message: `Director ${name}: ${director.problems.join(' ')}` },
    };
  }

  #newLane(name: string): DirectorLane {
    const { dialer, leadership, clock, log, metrics, laneTiming, enqueue, onServices, onReadiness } = this.#options;
    return new DirectorLane({
      director: name,
      dialer,
      leadership,
      clock,
      log: log.child({ director: name }),
      ...(laneTiming && { timing: laneTiming }),
      listener: {
        onServices,
        onReadiness: () => {
          onReadiness(name);
          this.#tellReadiness(name);
        },
        onReport: () => enqueue(name),
        onApplied: ({ changes }) => {
          for (const { kind } of changes) metrics.changed(name, kind, 1);
          metrics.directorSynced(name, clock.now() / 1_000);
        },
        onRepaired: (changes) =>
          this.#record(name, 'Warning', 'DriftRepaired', `Somebody else had changed the table; put right: ${changes}.`),
      },
    });
  }

  #remove(name: string): void {
    const { fleet, metrics, onMembership } = this.#options;
    const member = fleet.member(name);
    this.#pacer.forget(name);
    this.#told.delete(name);
    if (member === undefined) return;
    fleet.delete(name);
    this.#retire(member.lane);
    metrics.directorGone(name);
    onMembership(member.director, undefined);
  }

  #retire(lane: DirectorLane): void {
    const stopping = lane.stop().finally(() => this.#stopping.delete(stopping));
    this.#stopping.add(stopping);
  }

  async #writeStatus(name: string, director: Parsed<Director>): Promise<Outcome> {
    const pause = this.#pacer.pause(name);
    if (pause > 0) return { kind: 'retryAfter', milliseconds: pause };
    const report = this.#options.fleet.member(name)?.lane.report();
    // While it is being connected for the first time there is nothing to tell, and a restart shall not be seen in every status.
    if (report === undefined || isUndecided(report)) return DONE;
    this.#options.metrics.directorUp(name, report.ready);
    const status = directorStatus(directorStatusInput(director, report));
    const urgent = urgentPart(status);
    const wait = this.#pacer.wait(name, urgent, status);
    if (wait === undefined) return DONE;
    if (wait > 0) return { kind: 'retryAfter', milliseconds: wait };
    const result = await this.#options.writer.writeDirectorStatus(name, status);
    if (result.kind === 'failed')
      return { kind: 'retry', cause: `could not write the status of the Director: ${result.cause}` };
    if (result.kind === 'conflict') return { kind: 'retry', cause: 'the Director changed meanwhile' };
    this.#pacer.written(name, urgent, status);
    return DONE;
  }

  /** One event per change between ready and a reason why not. */
  #tellReadiness(name: string): void {
    const report = this.#options.fleet.member(name)?.lane.report();
    if (report === undefined) return;
    this.#options.metrics.directorUp(name, report.ready);
    const state = report.ready ? 'Ready' : report.trouble?.reason;
    if (state === undefined || state === this.#told.get(name)) return;
    this.#told.set(name, state);
    if (report.ready) {
      this.#record(
        name,
        'Normal',
        'DirectorReady',
        `Connected, and its table is complete: ${count(report.counts?.virtualServers ?? 0, 'virtual server')}.`,
      );
    } else if (report.trouble !== undefined) {
      this.#record(name, 'Warning', eventReason(report.trouble.reason), report.trouble.message);
    }
  }

  #record(name: string, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const director = this.#options.cluster.director(name);
    if (director?.ok !== true) return;
    const about: ObjectReference = { kind: 'Director', name, uid: director.value.uid };
    this.#options.events.record(about, type, reason, message);
  }
}

function nameOf(director: Parsed<Director>): string {
  return director.ok ? director.value.name : director.name;
}

/** A Director made anew under the same name may be another host. */
function isAnother(before: Parsed<Director>, after: Parsed<Director>): boolean {
  return before.ok && after.ok && before.value.uid !== after.value.uid;
}

function isUndecided({ ready, trouble, held, hello }: LaneReport): boolean {
  return !ready && trouble === undefined && held === undefined && hello === undefined;
}

function selectionPrint(director: Parsed<Director> | undefined): string {
  if (director?.ok !== true) return String(director?.ok);
  const { labels, state } = director.value;
  return JSON.stringify([labels, state, tableMeant(director.value)]);
}

/** Everything but what moves with each change of the table or each connection of a client. */
function urgentPart(status: DirectorStatus): unknown {
  return { ...status, connections: undefined, totalWrites: undefined, lastSyncTime: undefined };
}

function eventReason(reason: string): string {
  const unreachable = ['Unreachable', 'Timeout', 'Closed', 'NotAnswering', 'ProtocolError'];
  return unreachable.includes(reason) ? 'DirectorUnreachable' : reason;
}
