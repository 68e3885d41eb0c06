import type { AddressBook } from '../core/address-book.ts';
import { describeTaken } from '../core/host-addresses.ts';
import { timeoutsCondition } from '../core/host-settings.ts';
import { findOverlaps } from '../core/pool-overlaps.ts';
import { poolStatus } from '../core/pool-status.ts';
import { formatTime } from '../lib/format-time.ts';
import type { AddressPool } from '../model/address-pool.ts';
import type { Condition } from '../model/condition.ts';
import { countsForPublication, type DirectorFleet, type FleetMember } from './director-fleet.ts';
import type { HostGuard } from './host-guard.ts';
import { DONE, type Outcome } from './outcome.ts';
import { PoolGuardian } from './pool-guardian.ts';
import type { PoolTally } from './pool-tally.ts';
import type { Clock, Cluster, ClusterWriter, ControllerMetrics, PoolDirectorStatus, PoolStatus } from './ports.ts';
import { StatusPacer } from './status-pacer.ts';

export interface PoolControllerOptions {
  readonly cluster: Cluster;
  readonly writer: ClusterWriter;
  readonly fleet: DirectorFleet;
  readonly book: AddressBook;
  readonly tally: PoolTally;
  readonly hosts: HostGuard;
  readonly clock: Clock;
  readonly metrics: ControllerMetrics;
}

/** One write a second at most; what moves with every change of a table waits longer. */
const PACE = { urgentMs: 1_000, figuresMs: 5_000 };

/** Tells in the status of each pool how full it is, which directors serve it, and what is wrong. */
export class PoolController {
  readonly #options: PoolControllerOptions;
  readonly #pacer: StatusPacer;
  readonly #guardian: PoolGuardian;

  constructor(options: PoolControllerOptions) {
    this.#options = options;
    this.#pacer = new StatusPacer(options.clock, PACE);
    this.#guardian = new PoolGuardian(options);
  }

  async reconcile(name: string): Promise<Outcome> {
    const { cluster, writer, book, tally, hosts, metrics } = this.#options;
    const pool = cluster.pool(name);
    if (pool === undefined) {
      this.#pacer.forget(name);
      metrics.poolGone(name);
      return DONE;
    }
    const guarded = await this.#guardian.reconcile(name);
    if (guarded.kind !== 'done') return guarded;
    const pause = this.#pacer.pause(name);
    if (pause > 0) return { kind: 'retryAfter', milliseconds: pause };
    const members = pool.ok ? this.#options.fleet.selectedBy(pool.value) : [];
    if (members.some(isUndecided)) return DONE;
    const taken = pool.ok ? hosts.takenFrom(pool.value) : [];
    const usage = book.usage(name);
    metrics.vipsInUse(name, usage.assignedIPv4 + usage.assignedIPv6);
    const status = poolStatus({
      pool,
      usage,
      overlap: findOverlaps(hosts.pools()).find((overlap) => overlap.pool === name),
      ...(taken.length > 0 && { hostAddresses: describeTaken(taken) }),
      directors: members.map(directorOf),
      virtualServers: tally.virtualServersOf(name),
      timeouts: pool.ok ? this.#timeoutsOf(pool.value, members) : undefined,
      held: book.held.of(name),
      services: book.servicesIn(name),
      changeHeld: members.map(({ lane }) => lane.report().held?.message).find((message) => message !== undefined),
    });
    const urgent = urgentPart(status);
    const wait = this.#pacer.wait(name, urgent, status);
    if (wait === undefined) return DONE;
    if (wait > 0) return { kind: 'retryAfter', milliseconds: wait };
    const result = await writer.writePoolStatus(name, status);
    if (result.kind === 'failed')
      return { kind: 'retry', cause: `could not write the status of the pool: ${result.cause}` };
    if (result.kind === 'conflict') return { kind: 'retry', cause: 'the pool changed meanwhile' };
    this.#pacer.written(name, urgent, status);
    return DONE;
  }

  #timeoutsOf(pool: AddressPool, members: readonly FleetMember[]): Condition | undefined {
    const directors = members.flatMap(({ director }) => (director.ok ? [director.value] : []));
    return timeoutsCondition(pool, this.#options.hosts.pools(), directors);
  }
}

function isUndecided({ lane }: FleetMember): boolean {
  const { ready, trouble, hello } = lane.report();
  return !ready && trouble === undefined && hello === undefined;
}

function directorOf(member: FleetMember): PoolDirectorStatus {
  const { lane, director } = member;
  const report = lane.report();
  const state = director.ok ? director.value.state : 'Active';
  const held = report.held === undefined ? '' : ` ${report.held.message}`;
  const message = report.ready
    ? state === 'Active'
      ? `In sync.${held}`
      : `spec.state is ${state}.`
    : (report.trouble?.message ?? 'Being filled.');
  return {
    name: lane.name,
    ready: countsForPublication(member),
    ...(report.appliedGeneration !== undefined && { appliedGeneration: report.appliedGeneration }),
    ...(report.tableHash !== undefined && { tableHash: report.tableHash }),
    virtualServers: report.counts?.virtualServers ?? 0,
    realServers: report.counts?.realServers ?? 0,
    ...(report.lastSyncTime !== undefined && { lastSyncTime: formatTime(report.lastSyncTime) }),
    message,
  };
}

/** Everything but what moves with each change of a director's table. */
function urgentPart({ directors, ...rest }: PoolStatus): unknown {
  return { ...rest, directors: directors.map(({ name, ready, message }) => ({ name, ready, message })) };
}
