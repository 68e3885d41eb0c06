import { backoff } from '../lib/backoff.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import type { VirtualServer } from '../model/virtual-server.ts';
import { dialWhile } from './lane-dial.ts';
import { LANE_TIMING, type LaneOptions, type LaneTiming } from './lane-options.ts';
import type { LaneReport, LaneTrouble } from './lane-report.ts';
import { LaneState } from './lane-state.ts';
import {
  describeChanges,
  fullSync,
  isTooLargeToPlan,
  planRepair,
  type Step,
  type SyncContext,
  sendDirty,
  verify,
} from './lane-sync.ts';
import { type Confirmation, LaneTable } from './lane-table.ts';
import { type LaneSpec, needsNewConnection, targetOf, unfitness } from './lane-target.ts';
import { Pause } from './pause.ts';
import type { DirectorFailure, DirectorSession, HelperError } from './ports.ts';
import { Signal } from './signal.ts';
import { type FencePair, WriteFence } from './write-fence.ts';

const LINGER_MS = 2;
/** Passing refusals in a row after which a director no longer counts as ready. */
const REFUSALS_UNTIL_NOT_READY = 3;
/** A director that was ready for so long starts its back-off afresh. */
const STABLE_MS = 10_000;

/**
 * The one writer of one director: keeps a session open, holds what each Service shall have there, and makes the director's table equal to
 * it, with at most one request in flight; what changes meanwhile goes into the next one. Whatever happens to this director delays no other.
 */
export class DirectorLane {
  readonly name: string;
  readonly #options: LaneOptions;
  readonly #timing: LaneTiming;
  readonly #table = new LaneTable();
  readonly #state: LaneState;
  readonly #fence: WriteFence;
  readonly #wake: Signal;
  readonly #linger: Pause;
  #spec: LaneSpec = { ok: false, trouble: { reason: 'InvalidSpec', message: 'The Director has not been read yet.' } };
  #loop: Promise<void> | undefined;
  #stopped = false;
  #cancelPatience: (() => void) | undefined;
  /** Counts changes of the target: a session to an older target is closed. */
  #targetVersion = 0;
  #session: DirectorSession | undefined;
  #ended: DirectorFailure | undefined;
  #failedDials = 0;
  #refusals = 0;
  #syncNeeded = true;
  /** Before this nothing is sent or dialled (monotonic milliseconds). */
  #notBefore = 0;
  #verifyAt = 0;
  /** Hash of the table when all of it was last known to be as desired; what others changed since then shows in the hash. */
  #provenHash: string | undefined;
  /** The highest fencing pair that the director has told us of. */
  #highest: FencePair = { epoch: 0, generation: 0 };

  constructor(options: LaneOptions) {
    this.name = options.director;
    this.#options = options;
    this.#timing = options.timing ?? LANE_TIMING;
    this.#state = new LaneState(options);
    this.#fence = new WriteFence(options.leadership);
    this.#wake = new Signal(options.clock);
    this.#linger = new Pause(options.clock);
  }

  /** Begins to connect. Assign what is known before: the first thing done on the director is to make its whole table equal. */
  start(): void {
    if (this.#loop !== undefined) return;
    this.#loop = this.#run();
    this.#cancelPatience = this.#options.clock.schedule(this.#timing.patienceMs, () => this.#state.notYetHeardOf());
  }

  /** Ends the session and resolves when nothing of this lane runs any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#state.silence();
    this.#cancelPatience?.();
    this.#linger.end();
    this.#session?.close();
    this.#wake.raise();
    await this.#loop;
  }

  /** Takes a new target; a change that matters to the connection is dialled at once, without waiting for any back-off. */
  configure(spec: LaneSpec): void {
    const before = this.#spec;
    if (JSON.stringify(before) === JSON.stringify(spec)) return;
    this.#spec = spec;
    if (needsNewConnection(before, spec)) {
      this.#targetVersion += 1;
      this.#failedDials = 0;
      this.#notBefore = 0;
      this.#session?.close();
    } else if (before.ok && spec.ok && before.director.interface !== spec.director.interface) {
      this.#syncNeeded = true;
    }
    this.#wake.raise();
    this.#state.announce();
  }

  /**
   * These virtual servers shall be all that the Service has here, and nothing shall remain at the addresses it gives up.
   *
   * @throws when another Service has one of the keys (I1).
   */
  assign(service: ServiceKey, virtualServers: readonly VirtualServer[], givingUp: readonly IpAddress[] = []): void {
    if (this.#table.intents.assign(service, virtualServers, givingUp)) this.#wake.raise();
  }

  /** The Service shall have nothing here; `addresses` are those it may have had before this lane knew it. */
  withdraw(service: ServiceKey, addresses: Iterable<IpAddress>): void {
    if (this.#table.intents.withdraw(service, addresses)) this.#wake.raise();
  }

  /** Nothing of the Service may change here, whatever the rest of the table does. */
  freeze(service: ServiceKey, addresses: Iterable<IpAddress>): void {
    this.#table.intents.freeze(service, addresses);
  }

  /**
   * Whether a Service may have addresses here that it has not had before: nothing else is left at them. What is left is removed, and the
   * listener told. A director in trouble is not waited for; one that is being connected for the first time is.
   */
  offers(service: ServiceKey, addresses: readonly IpAddress[]): boolean {
    const offered = this.#table.offers(service, addresses);
    if (offered === false) this.#wake.raise();
    return offered ?? !this.#state.undecided;
  }

  /** Forgets a withdrawn Service whose absence has been acted on. */
  forget(service: ServiceKey): void {
    this.#table.intents.forget(service);
  }

  /** Whether the Service has been assigned here. */
  has(service: ServiceKey): boolean {
    return this.#table.intents.has(service);
  }

  /** Whether the Service has been assigned something at the address here. */
  serves(service: ServiceKey, address: IpAddress): boolean {
    return this.#table.intents.serves(service, address);
  }

  /** Whether the Service was assigned here or is still to be withdrawn. */
  knows(service: ServiceKey): boolean {
    return this.#table.intents.has(service) || this.#table.intents.leaving().has(service);
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
    return this.#table.removalFailure(service) ?? this.#state.trouble?.message;
  }

  /** Its table was complete and it answers. */
  get ready(): boolean {
    return this.#state.ready;
  }

  /** Why it is not ready, as far as known. */
  get trouble(): LaneTrouble | undefined {
    return this.#state.trouble;
  }

  report(): LaneReport {
    return { ...this.#state.report(), refused: this.#table.failures() };
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const session = await this.#connect();
        if (session !== undefined) await this.#serve(session);
      } catch (error) {
        this.#options.log.error('the lane of a director failed; it starts again', { director: this.name, error });
        const message = `Director ${this.name}: the operator failed: ${String(error)}`;
        this.#lost({ reason: 'ProtocolError', message });
      }
      this.#session?.close();
      this.#session = undefined;
    }
  }

  /** One attempt: waits until it is due, and dials. A changed target or a stop ends the wait, and any dial still under way. */
  async #connect(): Promise<DirectorSession | undefined> {
    const spec = this.#spec;
    if (!spec.ok) {
      this.#state.enter('Idle', spec.trouble);
      await this.#wake.wait();
      return undefined;
    }
    const version = this.#targetVersion;
    const current = () => !this.#stopped && this.#targetVersion === version;
    while (current() && this.#wait() > 0) await this.#wake.wait(this.#wait());
    if (!current()) return undefined;
    this.#state.enter('Dialing', this.#state.trouble);
    const result = await dialWhile(current, this.#wake, this.#options, targetOf(spec.director, spec.privateKey));
    if (result?.ok) return result.session;
    if (result !== undefined) this.#lost(result.failure);
    return undefined;
  }

  async #serve(session: DirectorSession): Promise<void> {
    const version = this.#targetVersion;
    const unfit = this.#begin(session);
    while (!this.#stopped && this.#targetVersion === version && this.#ended === undefined) {
      if (this.#wait() > 0) await this.#wake.wait(this.#wait());
      else if (unfit) break;
      else if (!(await this.#work(session))) await this.#wake.wait(this.#untilNextDuty());
    }
    if (this.#stopped) return;
    if (this.#targetVersion !== version) this.#state.enter('Disconnected', undefined);
    else if (this.#ended !== undefined) this.#lost(this.#ended);
  }

  /** @returns true when the host cannot be a director for us now; the session stays up for a while so that people can read why. */
  #begin(session: DirectorSession): boolean {
    const { hello } = session;
    this.#session = session;
    this.#ended = undefined;
    void session.ended.then((failure) => {
      if (this.#session !== session) return;
      this.#ended = failure;
      this.#wake.raise();
    });
    this.#state.greeted(hello);
    this.#highest = { epoch: hello.epoch, generation: hello.generation };
    this.#syncNeeded = true;
    const trouble = this.#spec.ok ? unfitness(this.#spec.director, hello) : undefined;
    this.#notBefore = trouble === undefined ? 0 : this.#options.clock.monotonic() + this.#timing.refusedMs;
    this.#state.enter(trouble === undefined ? 'Syncing' : 'Unfit', trouble);
    return trouble !== undefined;
  }

  /** Does the most urgent thing there is. @returns false when there was nothing to do. */
  async #work(session: DirectorSession): Promise<boolean> {
    const now = this.#options.clock.monotonic();
    const context = this.#context(session);
    if (this.#syncNeeded) await this.#fullSync(context);
    else if (this.#table.hasDirty(now)) await this.#sendDirty(context);
    else if (now >= this.#verifyAt) await this.#verify(context);
    else return false;
    this.#state.announce();
    return true;
  }

  /** One change of the cluster often concerns many Services: those that are computed in the same breath share a request. */
  async #sendDirty(context: SyncContext): Promise<void> {
    await this.#linger.take(LINGER_MS);
    if (this.#stopped || this.#ended !== undefined) return;
    this.#conclude(await this.#patiently(sendDirty(context)));
  }

  async #fullSync(context: SyncContext): Promise<void> {
    if (!(await this.#fence.overtake(this.#highest))) {
      this.#conclude({ kind: 'notLeading' });
      return;
    }
    const { step, held } = await this.#patiently(fullSync(context));
    if (step.kind === 'done') {
      this.#state.held = held;
      this.#state.drift = undefined;
      this.#prove(this.#state.tableHash);
      this.#refusals = 0;
      this.#syncNeeded = this.#spec.ok && this.#spec.director.interface !== context.interface;
    }
    this.#conclude(step);
  }

  async #verify(context: SyncContext): Promise<void> {
    this.#scheduleVerification();
    // What is held may have been explained meanwhile.
    if (this.#state.held !== undefined) return this.#fullSync(context);
    const found = await this.#patiently(verify(context, this.#provenHash));
    if (found.kind === 'failed') return this.#conclude(found.step);
    if (found.kind === 'equal' && this.#state.drift === undefined) return this.#conclude({ kind: 'done' });
    if (isTooLargeToPlan(context)) return this.#fullSync(context);
    const plan = await this.#patiently(planRepair(context));
    if ('kind' in plan) return this.#conclude(plan);
    if (plan.length === 0 && found.kind === 'unproven') {
      this.#prove(found.hash);
      this.#state.drift = undefined;
      return this.#conclude({ kind: 'done' });
    }
    if (plan.length > 0 && this.#spec.ok && this.#spec.director.driftPolicy === 'Report') {
      this.#state.drift = describeChanges(plan);
      return this.#conclude({ kind: 'done' });
    }
    await this.#fullSync(context);
    if (plan.length > 0 && !this.#syncNeeded) this.#options.listener.onRepaired(describeChanges(plan));
  }

  /** A hash says nothing about what was not looked at because it must not be touched. */
  #prove(hash: string | undefined): void {
    this.#provenHash = this.#table.intents.partlyFrozen ? undefined : hash;
  }

  /** What becomes of the lane after an exchange. */
  #conclude(step: Step): void {
    switch (step.kind) {
      case 'done':
        this.#scheduleVerification();
        this.#state.enter('Ready', undefined);
        return;
      case 'broken':
        this.#ended ??= step.failure;
        return;
      case 'notLeading':
        this.#notBefore = this.#options.clock.monotonic() + this.#timing.redial.baseMs;
        this.#state.notLeading();
        return;
      case 'refused':
        this.#refused(step.error);
    }
  }

  #refused(error: HelperError): void {
    const { clock, log } = this.#options;
    this.#refusals += 1;
    this.#syncNeeded = true;
    const passing = error.class === 'retry' || error.class === 'fenced';
    const pause = passing ? backoff(this.#refusals, clock.random(), this.#timing.redial) : this.#timing.refusedMs;
    this.#notBefore = clock.monotonic() + pause;
    if (error.class === 'fenced' && error.highest !== undefined) this.#highest = error.highest;
    log.warn('a director refused a request', { director: this.name, class: error.class, cause: error.message });
    if (passing && this.#refusals < REFUSALS_UNTIL_NOT_READY) return;
    this.#state.refused(error);
  }

  /** The session is over, or none came about. */
  #lost(failure: DirectorFailure): void {
    const { clock } = this.#options;
    if (this.#state.readyFor > STABLE_MS) this.#failedDials = 0;
    this.#failedDials += 1;
    this.#notBefore = clock.monotonic() + backoff(this.#failedDials, clock.random(), this.#timing.redial);
    this.#state.lost(failure);
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
        this.#provenHash = undefined;
        this.#state.applied(result, generation);
        listener.onApplied(result);
      },
      onRead: (result) => this.#state.read(result),
      onTouched: (services) => {
        if (!this.#stopped) listener.onServices(services);
      },
    };
  }

  #patiently<T>(exchange: Promise<T>): Promise<T> {
    return this.#state.patiently(this.#timing.patienceMs, exchange);
  }

  /** Milliseconds until something may be sent or dialled again. */
  #wait(): number {
    return Math.max(0, this.#notBefore - this.#options.clock.monotonic());
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
