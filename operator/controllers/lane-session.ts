import { backoff } from '../lib/backoff.ts';
import type { Director } from '../model/director.ts';
import type { HostSettings } from '../model/host-settings.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import { DeletionLimit } from './lane-deletions.ts';
import type { LaneOptions, LaneTiming } from './lane-options.ts';
import type { LaneState } from './lane-state.ts';
import { describeChanges, fullSync, planRepair, type Step, type SyncContext, sendDirty, verify } from './lane-sync.ts';
import type { LaneTable } from './lane-table.ts';
import { unfitness } from './lane-target.ts';
import { Pause } from './pause.ts';
import type { DirectorFailure, DirectorSession, HelperError } from './ports.ts';
import type { FencePair, WriteFence } from './write-fence.ts';

const LINGER_MS = 2;
/** The helper looks at its host again when a session has settled, and then rarely. */
const PREFLIGHT_AFTER_MS = 5_000;
const PREFLIGHT_EVERY_MS = 6 * 3_600_000;
/** Pauses between comparisons of the whole table, in durations of one: what they cost stays a small share however large it is. */
const VERIFICATION_PAUSE = 20;
/** Passing refusals in a row after which a director no longer counts as ready. */
const REFUSALS_UNTIL_NOT_READY = 3;

export interface LaneSessionParts {
  readonly session: DirectorSession;
  readonly director: Director;
  readonly host: HostSettings | undefined;
  readonly options: LaneOptions;
  readonly timing: LaneTiming;
  readonly table: LaneTable;
  readonly state: LaneState;
  readonly fence: WriteFence;
  /** The session has ended by itself. */
  readonly onEnded: () => void;
  /** The confirmation or the absence of these Services may have changed. */
  readonly onTouched: (services: ReadonlySet<ServiceKey>) => void;
}

/** What is done over one session with a director's helper: fill its table, keep it equal, compare it from time to time. */
export class LaneSession {
  /** The host cannot be a director for us now; the session stays up for a while so that people can read why. */
  readonly unfit: boolean;
  readonly #parts: LaneSessionParts;
  readonly #linger: Pause;
  readonly #deletions = new DeletionLimit();
  #director: Director;
  #host: HostSettings | undefined;
  #ended: DirectorFailure | undefined;
  #closed = false;
  #refusals = 0;
  #syncNeeded = true;
  /** Before this nothing is sent (monotonic milliseconds). */
  #notBefore = 0;
  #verifyAt = 0;
  #preflightAt: number;
  /** Hash of the table when all of it was last known to be as desired; what others changed since then shows in the hash. */
  #provenHash: string | undefined;
  /** The highest fencing pair that the director has told us of. */
  #highest: FencePair;

  constructor(parts: LaneSessionParts) {
    this.#parts = parts;
    const { session, director, host, options, state, timing, onEnded } = parts;
    const { hello } = session;
    this.#director = director;
    this.#host = host;
    this.#linger = new Pause(options.clock);
    this.#highest = { epoch: hello.epoch, generation: hello.generation };
    this.#preflightAt = options.clock.monotonic() + PREFLIGHT_AFTER_MS;
    void session.ended.then((failure) => {
      this.#ended = failure;
      onEnded();
    });
    state.greeted(hello);
    const trouble = unfitness(director, hello);
    this.unfit = trouble !== undefined;
    if (this.unfit) this.#notBefore = options.clock.monotonic() + timing.refusedMs;
    state.enter(this.unfit ? 'Unfit' : 'Syncing', trouble);
  }

  /** Why the session is over; undefined while it is not. */
  get ended(): DirectorFailure | undefined {
    return this.#ended;
  }

  close(): void {
    this.#closed = true;
    this.#linger.end();
    this.#parts.session.close();
  }

  /** The Director object, or what its pools need of the host, has changed in something that needs no new session. */
  adjust(director: Director, host: HostSettings | undefined): void {
    const otherHost = JSON.stringify(host) !== JSON.stringify(this.#host);
    if (director.interface !== this.#director.interface || otherHost) this.#syncNeeded = true;
    this.#director = director;
    if (otherHost) this.#host = host;
  }

  /** Milliseconds until something may be sent again. */
  pause(): number {
    return Math.max(0, this.#notBefore - this.#parts.options.clock.monotonic());
  }

  /** Milliseconds until there is something to do although nothing has happened. */
  untilNextDuty(): number {
    const due = Math.min(this.#verifyAt, this.#preflightAt, this.#parts.table.nextRetry() ?? Number.POSITIVE_INFINITY);
    return Math.max(1, due - this.#parts.options.clock.monotonic());
  }

  /** Does the most urgent thing there is. @returns false when there was nothing to do. */
  async work(): Promise<boolean> {
    const { options, table, state } = this.#parts;
    const now = options.clock.monotonic();
    const context = this.#context();
    if (this.#syncNeeded) await this.#fullSync(context);
    else if (table.hasDirty(now) && !this.#isOverdue(now)) await this.#sendDirty(context);
    else if (now >= this.#verifyAt) await this.#verify(context);
    else if (now >= this.#preflightAt) await this.#preflight();
    else return false;
    state.announce();
    return true;
  }

  /** One change of the cluster often concerns many Services: those that are computed in the same breath share a request. */
  async #sendDirty(context: SyncContext): Promise<void> {
    await this.#linger.take(LINGER_MS);
    if (this.#closed || this.#ended !== undefined) return;
    this.#conclude(await this.#patiently(sendDirty(context)));
  }

  async #fullSync(context: SyncContext): Promise<void> {
    const { fence, state } = this.#parts;
    if (!(await fence.overtake(this.#highest))) {
      this.#conclude({ kind: 'notLeading' });
      return;
    }
    const { step, held } = await this.#patiently(fullSync(context));
    if (step.kind === 'done') {
      this.#scheduleVerification();
      state.held = held;
      state.drift = undefined;
      this.#prove(state.tableHash);
      this.#refusals = 0;
      // Known before it counts as ready, so that the first status that people see is whole, and a restart changes none.
      if (state.preflight === undefined) await this.#preflight();
      this.#syncNeeded = this.#director.interface !== context.interface || this.#host !== context.host;
    }
    this.#conclude(step);
  }

  async #verify(context: SyncContext): Promise<void> {
    const { clock } = this.#parts.options;
    const began = clock.monotonic();
    await this.#compare(context);
    this.#scheduleVerification(VERIFICATION_PAUSE * (clock.monotonic() - began));
  }

  async #compare(context: SyncContext): Promise<void> {
    const { state, options } = this.#parts;
    // What is held may have been explained meanwhile.
    if (state.held !== undefined) return this.#fullSync(context);
    const found = await this.#patiently(verify(context, this.#provenHash));
    if (found.kind === 'failed') return this.#conclude(found.step);
    if (found.kind === 'equal' && state.drift === undefined) return this.#conclude({ kind: 'done' });
    const repair = await this.#patiently(planRepair(context));
    if ('kind' in repair) return this.#conclude(repair);
    const plan = found.kind === 'drifted' ? [...repair, ...found.unknown] : repair;
    if (plan.length === 0 && found.kind === 'unproven') {
      this.#prove(found.hash);
      state.drift = undefined;
      return this.#conclude({ kind: 'done' });
    }
    if (plan.length > 0 && this.#director.driftPolicy === 'Report') {
      state.drift = describeChanges(plan);
      return this.#conclude({ kind: 'done' });
    }
    await this.#fullSync(context);
    const done = state.held === undefined ? plan : repair;
    if (done.length > 0 && !this.#syncNeeded) options.listener.onRepaired(describeChanges(done));
  }

  /** A helper that knows no preflight refuses, and that is all. */
  async #preflight(): Promise<void> {
    const { session, options, state } = this.#parts;
    const answer = await this.#patiently(session.preflight());
    this.#preflightAt = options.clock.monotonic() + PREFLIGHT_EVERY_MS;
    if (answer.kind === 'ok') state.preflight = answer.value;
    else if (answer.kind === 'broken') this.#ended ??= answer.failure;
  }

  /** A hash says nothing about what was not looked at because it must not be touched. */
  #prove(hash: string | undefined): void {
    this.#provenHash = this.#parts.table.intents.partlyFrozen ? undefined : hash;
  }

  /** What becomes of the lane after an exchange. */
  #conclude(step: Step): void {
    const { options, timing, state } = this.#parts;
    switch (step.kind) {
      case 'done':
        state.enter('Ready', undefined);
        return;
      case 'broken':
        this.#ended ??= step.failure;
        return;
      case 'notLeading':
        this.#notBefore = options.clock.monotonic() + timing.redial.baseMs;
        state.notLeading();
        return;
      case 'refused':
        this.#refused(step.error);
    }
  }

  #refused(error: HelperError): void {
    const { options, timing, state } = this.#parts;
    const { clock, log, director } = options;
    this.#refusals += 1;
    this.#syncNeeded = true;
    const passing = error.class === 'retry' || error.class === 'fenced';
    const pause = passing ? backoff(this.#refusals, clock.random(), timing.redial) : timing.refusedMs;
    this.#notBefore = clock.monotonic() + pause;
    if (error.class === 'fenced' && error.highest !== undefined) this.#highest = error.highest;
    log.warn('a director refused a request', { director, class: error.class, cause: error.message });
    if (passing && this.#refusals < REFUSALS_UNTIL_NOT_READY) return;
    state.refused(error);
  }

  #context(): SyncContext {
    const { session, options, table, fence, state } = this.#parts;
    const { clock, listener } = options;
    return {
      session,
      isClosed: () => this.#closed,
      table,
      fence,
      clock,
      deletions: this.#deletions,
      interface: this.#director.interface,
      host: this.#host,
      onHost: (refusals) => {
        state.hostRefusals = refusals;
      },
      onApplied: (result, generation) => {
        this.#provenHash = undefined;
        state.applied(result, generation);
        listener.onApplied(result);
      },
      onRead: (result) => state.read(result),
      onTouched: this.#parts.onTouched,
    };
  }

  #patiently<T>(exchange: Promise<T>): Promise<T> {
    return this.#parts.state.patiently(this.#parts.timing.patienceMs, exchange);
  }

  /** Changes that never cease must not keep us from looking at all. */
  #isOverdue(now: number): boolean {
    return now >= this.#verifyAt + this.#parts.timing.verifyMs;
  }

  /** Changes of ours do not put it off: what else happens to the table has nothing to do with them. */
  #scheduleVerification(atLeastMs = 0): void {
    const { options, timing } = this.#parts;
    const pause = Math.max(atLeastMs, timing.verifyMs * (1 - options.clock.random() / 4));
    this.#verifyAt = options.clock.monotonic() + pause;
  }
}
