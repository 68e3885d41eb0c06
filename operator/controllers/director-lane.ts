import { type BackoffLimits, backoff } from '../lib/backoff.ts';
import type { Director } from '../model/director.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import type { VirtualServer } from '../model/virtual-server.ts';
import type { LaneListener, LanePhase, LaneReport, LaneTrouble } from './lane-report.ts';
import {
  describeChanges,
  fullSync,
  type HeldRemovals,
  planRepair,
  type Step,
  type SyncContext,
  sendDirty,
  verify,
} from './lane-sync.ts';
import { type Confirmation, LaneTable } from './lane-table.ts';
import type {
  Clock,
  DirectorDialer,
  DirectorFailure,
  DirectorSession,
  DirectorTarget,
  HelperError,
  HelperHello,
  KeyLookup,
  Leadership,
  Log,
  TableCounts,
} from './ports.ts';
import { Signal } from './signal.ts';
import { type FencePair, WriteFence } from './write-fence.ts';

export interface LaneTiming {
  readonly redial: BackoffLimits;
  /** Between comparisons of an idle director's table with ours; shortened by up to a quarter at random. */
  readonly verifyMs: number;
  /** A request that takes longer makes the director count as not ready until it answers. */
  readonly patienceMs: number;
  /** Before a host that refused us as a whole is tried again. */
  readonly refusedMs: number;
}

export const LANE_TIMING: LaneTiming = {
  redial: { baseMs: 500, capMs: 30_000 },
  verifyMs: 60_000,
  patienceMs: 3_000,
  refusedMs: 30_000,
};

export interface LaneOptions {
  readonly director: string;
  readonly dialer: DirectorDialer;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly log: Log;
  readonly listener: LaneListener;
  readonly timing?: LaneTiming;
}

/** What a lane shall connect to, or why it cannot. */
export type LaneSpec =
  | { readonly ok: true; readonly director: Director; readonly privateKey: string }
  | { readonly ok: false; readonly trouble: LaneTrouble };

/** Derives a lane's target from a Director and its key. */
export function laneSpec(director: Director, key: KeyLookup): LaneSpec {
  if (key.ok) return { ok: true, director, privateKey: key.privateKey };
  return { ok: false, trouble: { reason: key.reason, message: key.message } };
}

/**
 * The one writer of one director: keeps a session open, holds what each Service shall have there, and makes the director's table equal to
 * it, with at most one request in flight; what changes meanwhile goes into the next one. Whatever happens to this director delays no other.
 */
export class DirectorLane {
  readonly name: string;
  readonly #options: LaneOptions;
  readonly #timing: LaneTiming;
  readonly #table = new LaneTable();
  readonly #fence: WriteFence;
  readonly #wake: Signal;
  #spec: LaneSpec = {
    ok: false,
    trouble: { reason: 'InvalidSpec', message: 'The Director object has not been read yet.' },
  };
  #loop: Promise<void> | undefined;
  #stopped = false;
  /** Counts changes of the target: a session to an older target is closed. */
  #targetVersion = 0;
  #session: DirectorSession | undefined;
  #ended: DirectorFailure | undefined;
  #phase: LanePhase = 'Idle';
  #trouble: LaneTrouble | undefined;
  #unanswered = false;
  #cancelPatience: (() => void) | undefined;
  #failedDials = 0;
  #syncNeeded = true;
  #notBefore = 0;
  #verifyAt = 0;
  #hello: HelperHello | undefined;
  #counts: TableCounts | undefined;
  #tableHash: string | undefined;
  /** Hash of the table when all of it was last known to be as desired; what others changed since then shows in the hash. */
  #provenHash: string | undefined;
  #totalWrites = 0;
  #appliedGeneration: number | undefined;
  #lastSyncTime: number | undefined;
  #held: HeldRemovals | undefined;
  #drift: string | undefined;
  #announced: string | undefined;
  #since: number;
  #readySince: number | undefined;
  #refusals = 0;
  /** The highest fencing pair that the director has told us of. */
  #highest: FencePair = { epoch: 0, generation: 0 };

  constructor(options: LaneOptions) {
    this.name = options.director;
    this.#options = options;
    this.#timing = options.timing ?? LANE_TIMING;
    this.#fence = new WriteFence(options.leadership);
    this.#wake = new Signal(options.clock);
    this.#since = options.clock.now();
  }

  /** Begins to connect. Assign what is known before: the first thing done on the director is to make its whole table equal. */
  start(): void {
    if (this.#loop !== undefined) return;
    this.#loop = this.#run();
    this.#cancelPatience = this.#options.clock.schedule(this.#timing.patienceMs, () => {
      if (this.#isUndecided) this.#enter(this.#phase, NOT_YET);
    });
  }

  /** Ends the session and resolves when nothing of this lane runs any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelPatience?.();
    this.#session?.close();
    this.#wake.raise();
    await this.#loop;
  }

  /** Takes a new target; a change that matters to the connection is dialled at once, without waiting for any back-off. */
  configure(spec: LaneSpec): void {
    const before = this.#spec;
    if (JSON.stringify(before) === JSON.stringify(spec)) return;
    this.#spec = spec;
    if (JSON.stringify(connectionOf(before)) !== JSON.stringify(connectionOf(spec))) {
      this.#targetVersion += 1;
      this.#failedDials = 0;
      this.#notBefore = 0;
      this.#session?.close();
    } else if (before.ok && spec.ok && before.director.interface !== spec.director.interface) {
      this.#syncNeeded = true;
    }
    this.#wake.raise();
    this.#announce();
  }

  /**
   * These virtual servers shall be all that the Service has here, and nothing shall remain at the addresses it gives up.
   *
   * @throws when another Service has one of the keys (I1).
   */
  assign(service: ServiceKey, virtualServers: readonly VirtualServer[], givingUp: readonly IpAddress[] = []): void {
    if (this.#table.assign(service, virtualServers, givingUp)) this.#wake.raise();
  }

  /** The Service shall have nothing here; `addresses` are those it may have had before this lane knew it. */
  withdraw(service: ServiceKey, addresses: Iterable<IpAddress>): void {
    if (this.#table.withdraw(service, addresses)) this.#wake.raise();
  }

  /** Nothing of the Service may change here, whatever the rest of the table does. */
  freeze(service: ServiceKey, addresses: Iterable<IpAddress>): void {
    this.#table.freeze(service, addresses);
  }

  /**
   * Whether a Service that is new may have these addresses here: nothing else is left at them. What is left is removed, and the listener told.
   * A director in trouble is not waited for; one that is being connected for the first time is.
   */
  offers(service: ServiceKey, addresses: readonly IpAddress[]): boolean {
    const vacant = this.#table.vacant(addresses);
    if (vacant === false) {
      this.#table.expectVacancy(service);
      this.#wake.raise();
    }
    return vacant ?? !this.#isUndecided;
  }

  /** Forgets a withdrawn Service whose absence has been acted on. */
  forget(service: ServiceKey): void {
    this.#table.forget(service);
  }

  /** Whether the Service has been assigned here. */
  has(service: ServiceKey): boolean {
    return this.#table.has(service);
  }

  /** Whether the Service has been assigned something at the address here. */
  serves(service: ServiceKey, address: IpAddress): boolean {
    return this.#table.serves(service, address);
  }

  /** Whether the Service was assigned here or is still to be withdrawn. */
  knows(service: ServiceKey): boolean {
    return this.#table.has(service) || this.#table.isLeaving(service);
  }

  /** What the director has confirmed of an assigned Service. */
  confirmation(service: ServiceKey): Confirmation {
    return this.#table.confirmation(service);
  }

  /** False when the director has said that it holds nothing of what the Service shall have here; undefined when it is not known. */
  holds(service: ServiceKey): boolean | undefined {
    return this.#table.holds(service);
  }

  /** True when the director itself has said that it holds nothing where the Service has been withdrawn or gives up addresses. */
  absent(service: ServiceKey): boolean {
    return this.#table.absent(service);
  }

  /** Why a withdrawn Service is still there, in words. */
  absenceProblem(service: ServiceKey): string | undefined {
    return this.#table.removalFailure(service) ?? this.report().trouble?.message;
  }

  /** Its table was complete and it answers. */
  get ready(): boolean {
    return this.#phase === 'Ready' && !this.#unanswered && this.#trouble === undefined;
  }

  report(): LaneReport {
    return {
      phase: this.#phase,
      since: this.#since,
      ready: this.ready,
      trouble: this.#currentTrouble,
      hello: this.#hello,
      counts: this.#counts,
      tableHash: this.#tableHash,
      totalWrites: this.#totalWrites,
      appliedGeneration: this.#appliedGeneration,
      lastSyncTime: this.#lastSyncTime,
      held: this.#held,
      drift: this.#drift,
      refused: this.#table.failures(),
      wanted: this.#table.wantedCounts(),
    };
  }

  get #currentTrouble(): LaneTrouble | undefined {
    return this.#trouble ?? (this.#unanswered ? NOT_ANSWERING : undefined);
  }

  /** Neither ready nor in known trouble. */
  get #isUndecided(): boolean {
    return !this.ready && this.#currentTrouble === undefined;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const session = await this.#connect();
        if (session !== undefined) await this.#serve(session);
      } catch (error) {
        this.#options.log.error('the lane of a director failed; it starts again', { director: this.name, error });
        this.#lost({
          reason: 'ProtocolError',
          message: `Director ${this.name}: the operator failed: ${String(error)}`,
        });
      }
      this.#session?.close();
      this.#session = undefined;
    }
  }

  /** One attempt: waits until it is due, and dials. A changed target or a stop ends the wait, and any dial still under way. */
  async #connect(): Promise<DirectorSession | undefined> {
    const spec = this.#spec;
    if (!spec.ok) {
      this.#enter('Idle', spec.trouble);
      await this.#wake.wait();
      return undefined;
    }
    const version = this.#targetVersion;
    const current = () => !this.#stopped && this.#targetVersion === version;
    while (current() && this.#options.clock.monotonic() < this.#notBefore) {
      await this.#wake.wait(this.#notBefore - this.#options.clock.monotonic());
    }
    if (!current()) return undefined;
    this.#enter('Dialing', this.#trouble);
    const dialing = this.#options.dialer.dial(targetOf(spec.director, spec.privateKey));
    let result: Awaited<typeof dialing> | undefined;
    void dialing.then((outcome) => {
      result = outcome;
      if (!current() && outcome.ok) outcome.session.close();
      this.#wake.raise();
    });
    while (result === undefined && current()) await this.#wake.wait();
    if (result === undefined || !current()) return undefined;
    if (result.ok) return result.session;
    this.#lost(result.failure);
    return undefined;
  }

  async #serve(session: DirectorSession): Promise<void> {
    const { clock, log } = this.#options;
    const version = this.#targetVersion;
    this.#session = session;
    this.#ended = undefined;
    void session.ended.then((failure) => {
      if (this.#session !== session) return;
      this.#ended = failure;
      this.#wake.raise();
    });
    if (this.#hello !== undefined && this.#hello.bootId !== session.hello.bootId) {
      log.info('the director has been rebooted', { director: this.name });
    }
    this.#hello = session.hello;
    this.#highest = { epoch: session.hello.epoch, generation: session.hello.generation };
    this.#syncNeeded = true;
    this.#notBefore = 0;
    const unfit = this.#unfitness(session.hello);
    if (unfit !== undefined) this.#notBefore = clock.monotonic() + this.#timing.refusedMs;
    this.#enter(unfit === undefined ? 'Syncing' : 'Unfit', unfit);
    while (!this.#stopped && this.#targetVersion === version && this.#ended === undefined) {
      const wait = this.#notBefore - clock.monotonic();
      if (wait > 0) await this.#wake.wait(wait);
      else if (unfit !== undefined) break;
      else if (!(await this.#work(session))) await this.#wake.wait(this.#untilNextDuty());
    }
    if (this.#stopped) return;
    if (this.#targetVersion !== version) this.#enter('Disconnected', undefined);
    else if (this.#ended !== undefined) this.#lost(this.#ended);
  }

  /** Does the most urgent thing there is. @returns false when there was nothing to do. */
  async #work(session: DirectorSession): Promise<boolean> {
    const now = this.#options.clock.monotonic();
    const context = this.#context(session);
    if (this.#syncNeeded) await this.#fullSync(context);
    else if (this.#table.hasDirty(now)) this.#conclude(await this.#patiently(sendDirty(context)));
    else if (now >= this.#verifyAt) await this.#verify(context);
    else return false;
    this.#announce();
    return true;
  }

  async #fullSync(context: SyncContext): Promise<void> {
    if (!(await this.#fence.overtake(this.#highest))) {
      this.#conclude({ kind: 'notLeading' });
      return;
    }
    const interfaceBefore = context.interface;
    const { step, held } = await this.#patiently(fullSync(context));
    if (step.kind === 'done') {
      this.#held = held;
      this.#provenHash = this.#tableHash;
      this.#drift = undefined;
      this.#refusals = 0;
      const spec = this.#spec;
      this.#syncNeeded = spec.ok && spec.director.interface !== interfaceBefore;
    }
    this.#conclude(step);
  }

  async #verify(context: SyncContext): Promise<void> {
    this.#scheduleVerification();
    // What is held may have been explained meanwhile.
    if (this.#held !== undefined) return this.#fullSync(context);
    const found = await this.#patiently(verify(context, this.#provenHash));
    if (found.kind === 'failed') return this.#conclude(found.step);
    if (found.kind === 'equal' && this.#drift === undefined) return this.#conclude({ kind: 'done' });
    const plan = await this.#patiently(planRepair(context));
    if ('kind' in plan) return this.#conclude(plan);
    if (plan.length === 0 && found.kind === 'unproven') {
      this.#provenHash = found.hash;
      this.#drift = undefined;
      return this.#conclude({ kind: 'done' });
    }
    const spec = this.#spec;
    if (spec.ok && spec.director.driftPolicy === 'Report' && plan.length > 0) {
      this.#drift = describeChanges(plan);
      return this.#conclude({ kind: 'done' });
    }
    await this.#fullSync(context);
    if (plan.length > 0 && !this.#syncNeeded) this.#options.listener.onRepaired(describeChanges(plan));
  }

  /** What becomes of the lane after an exchange. */
  #conclude(step: Step): void {
    const now = this.#options.clock.monotonic();
    switch (step.kind) {
      case 'done':
        this.#scheduleVerification();
        this.#enter('Ready', undefined);
        return;
      case 'broken':
        this.#ended ??= step.failure;
        return;
      case 'notLeading':
        this.#notBefore = now + this.#timing.redial.baseMs;
        this.#enter(this.#phase, {
          reason: 'NotLeading',
          message: `Director ${this.name} is not written to: this operator does not hold the Lease.`,
        });
        return;
      case 'refused':
        this.#refused(step.error);
    }
  }

  #refused(error: HelperError): void {
    this.#refusals += 1;
    this.#syncNeeded = true;
    const passing = error.class === 'retry' || error.class === 'fenced';
    const { clock, log } = this.#options;
    this.#notBefore =
      clock.monotonic() +
      (passing ? backoff(this.#refusals, clock.random(), this.#timing.redial) : this.#timing.refusedMs);
    if (error.class === 'fenced' && error.highest !== undefined) this.#highest = error.highest;
    log.warn('a director refused a request', { director: this.name, class: error.class, cause: error.message });
    if (passing && this.#refusals < REFUSALS_UNTIL_NOT_READY) return;
    this.#enter(this.#phase, {
      reason: 'Refused',
      message: `Director ${this.name} refused the request: ${error.message}`,
      class: error.class,
    });
  }

  /** The session is over, or none came about. */
  #lost(failure: DirectorFailure): void {
    const { clock } = this.#options;
    const now = clock.monotonic();
    if (this.#readySince !== undefined && now - this.#readySince > STABLE_MS) this.#failedDials = 0;
    this.#failedDials += 1;
    this.#notBefore = now + backoff(this.#failedDials, clock.random(), this.#timing.redial);
    this.#enter('Disconnected', { reason: failure.reason, message: failure.message });
  }

  #enter(phase: LanePhase, trouble: LaneTrouble | undefined): void {
    const { log, clock } = this.#options;
    const known = this.#trouble?.reason === trouble?.reason && this.#trouble?.message === trouble?.message;
    const wasReady = this.#readySince !== undefined;
    if (isUp(phase) !== isUp(this.#phase)) this.#since = clock.now();
    this.#phase = phase;
    this.#trouble = trouble;
    if (phase !== 'Ready') this.#readySince = undefined;
    else this.#readySince ??= clock.monotonic();
    if (trouble !== undefined && !known) {
      log.warn('a director is not ready', { director: this.name, reason: trouble.reason, cause: trouble.message });
    }
    if (phase === 'Ready' && !wasReady) log.info('a director is ready', { director: this.name });
    this.#announce();
  }

  #announce(): void {
    if (this.#stopped) return;
    const { listener } = this.#options;
    const readiness = this.ready ? 'Ready' : this.#currentTrouble?.reason;
    if (readiness !== this.#announced) {
      this.#announced = readiness;
      listener.onReadiness();
    }
    listener.onReport();
  }

  #unfitness(hello: HelperHello): LaneTrouble | undefined {
    const spec = this.#spec;
    if (spec.ok && hello.owner !== spec.director.tableOwner) {
      return {
        reason: 'OwnerMismatch',
        message:
          `Director ${this.name}: the helper serves owner ${hello.owner}, but spec.tableOwner is ${spec.director.tableOwner}. ` +
          'Correct spec.tableOwner, or the --owner in the forced command of authorized_keys.',
      };
    }
    const problems = [...hello.problems];
    if (problems.length === 0 && !hello.capabilities.ipvs)
      problems.push('Its kernel offers no IPVS: load the module ip_vs.');
    if (problems.length === 0 && !hello.capabilities.netAdmin) {
      problems.push('The helper lacks CAP_NET_ADMIN: give it file capabilities with setcap.');
    }
    if (problems.length === 0) return undefined;
    return { reason: 'HostUnfit', message: `Director ${this.name}: ${problems.join(' ')}` };
  }

  #context(session: DirectorSession): SyncContext {
    const { clock, listener } = this.#options;
    return {
      session,
      table: this.#table,
      fence: this.#fence,
      clock,
      interface: this.#spec.ok ? this.#spec.director.interface : 'lo',
      onApplied: (result, generation) => {
        this.#counts = result.counts;
        this.#tableHash = result.tableHash;
        this.#provenHash = undefined;
        this.#totalWrites = result.totalWrites;
        this.#appliedGeneration = generation;
        this.#lastSyncTime = clock.now();
        listener.onApplied(result);
      },
      onRead: (result) => {
        this.#counts = result.counts;
        this.#totalWrites = result.totalWrites;
      },
      onTouched: (services) => {
        if (!this.#stopped) listener.onServices(services);
      },
    };
  }

  /** While an answer takes longer than it should, the director does not count as ready, so that it delays nobody. */
  async #patiently<T>(exchange: Promise<T>): Promise<T> {
    const cancel = this.#options.clock.schedule(this.#timing.patienceMs, () => {
      this.#unanswered = true;
      this.#announce();
    });
    const outcome = await exchange.finally(cancel);
    this.#unanswered = false;
    return outcome;
  }

  #scheduleVerification(): void {
    const { clock } = this.#options;
    this.#verifyAt = clock.monotonic() + this.#timing.verifyMs * (1 - clock.random() / 4);
  }

  #untilNextDuty(): number {
    const due = Math.min(this.#verifyAt, this.#table.nextRetry() ?? Number.POSITIVE_INFINITY);
    return Math.max(1, due - this.#options.clock.monotonic());
  }
}

/** Whether there is a session in this phase. */
function isUp(phase: LanePhase): boolean {
  return phase === 'Syncing' || phase === 'Ready' || phase === 'Unfit';
}

const NOT_ANSWERING: LaneTrouble = {
  reason: 'NotAnswering',
  message:
    'A request has been waiting for its answer for longer than usual; the director does not count as ready meanwhile.',
};

const NOT_YET: LaneTrouble = {
  reason: 'NotAnswering',
  message: 'The director has not answered yet since the operator began to connect to it.',
};

/** Passing refusals in a row after which a director no longer counts as ready. */
const REFUSALS_UNTIL_NOT_READY = 3;
/** A director that was ready for so long starts its back-off afresh. */
const STABLE_MS = 10_000;

/** The parts of a spec whose change needs a new connection. */
function connectionOf(spec: LaneSpec): unknown {
  if (!spec.ok) return spec.trouble;
  return targetOf(spec.director, spec.privateKey);
}

function targetOf(director: Director, privateKey: string): DirectorTarget {
  const { name, address, port, user, hostKeys, tableOwner } = director;
  return { name, address, port, user, hostKeys, owner: tableOwner, privateKey };
}
