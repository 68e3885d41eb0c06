import { backoff } from '../lib/backoff.ts';
import type { Director } from '../model/director.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import type { VirtualServer } from '../model/virtual-server.ts';
import { dialWhile } from './lane-dial.ts';
import { LANE_TIMING, type LaneOptions, type LaneTiming } from './lane-options.ts';
import type { LaneReport, LaneTrouble } from './lane-report.ts';
import { LaneSession } from './lane-session.ts';
import { LaneState } from './lane-state.ts';
import { type Confirmation, LaneTable } from './lane-table.ts';
import { type LaneSpec, needsNewConnection, tableMeant, targetOf } from './lane-target.ts';
import type { DirectorFailure, DirectorSession } from './ports.ts';
import { Signal } from './signal.ts';
import { WriteFence } from './write-fence.ts';

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
  #spec: LaneSpec = { ok: false, trouble: { reason: 'InvalidSpec', message: 'The Director has not been read yet.' } };
  #loop: Promise<void> | undefined;
  #stopped = false;
  #cancelPatience: (() => void) | undefined;
  /** Counts changes of the target: a session to an older target is closed. */
  #targetVersion = 0;
  #session: LaneSession | undefined;
  /** Whose table {@link LaneTable} tells of. */
  #meant: string | undefined;
  #failedDials = 0;
  /** Before this nothing is dialled (monotonic milliseconds). */
  #notBefore = 0;

  constructor(options: LaneOptions) {
    this.name = options.director;
    this.#options = options;
    this.#timing = options.timing ?? LANE_TIMING;
    this.#state = new LaneState(options);
    this.#fence = new WriteFence(options.leadership);
    this.#wake = new Signal(options.clock);
  }

  /** Begins to connect. Assign what is known before: the first thing done on the director is to make its whole table equal. */
  start(): void {
    if (this.#loop !== undefined || this.#stopped) return;
    this.#loop = this.#run();
    this.#cancelPatience = this.#options.clock.schedule(this.#timing.patienceMs, () => this.#state.notYetHeardOf());
  }

  /** Ends the session and resolves when nothing of this lane runs any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#state.silence();
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
    if (needsNewConnection(before, spec)) {
      this.#targetVersion += 1;
      this.#failedDials = 0;
      this.#notBefore = 0;
      this.#session?.close();
    } else if (spec.ok) {
      this.#session?.adjust(spec.director, spec.host);
    }
    if (spec.ok) this.#mean(tableMeant(spec.director));
    this.#wake.raise();
    this.#state.announce();
  }

  /** Another host, or another owner's table there: it may hold anything until it has been read. */
  #mean(table: string): void {
    if (this.#meant !== undefined && this.#meant !== table) this.#table.forgetDirector();
    this.#meant = table;
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
  freeze(service: ServiceKey, addresses: Iterable<IpAddress>, ports?: readonly string[]): void {
    this.#table.intents.freeze(service, addresses, ports);
  }

  /**
   * Whether a Service may have addresses here that it has not had before: nothing else is left at them. What is left is removed, and the
   * listener told. A director in trouble cannot be asked and is not waited for: it removes what is left when it takes the Service up. One
   * that is being connected for the first time is waited for.
   */
  offers(service: ServiceKey, addresses: readonly IpAddress[]): boolean {
    const offered = this.#table.offers(service, addresses);
    if (offered === false) this.#wake.raise();
    return offered === true || this.#state.trouble !== undefined;
  }

  /** What keeps it from offering these addresses, in words; undefined when it holds nothing there as far as known. */
  leftAt(addresses: readonly IpAddress[]): string | undefined {
    return this.#table.leftAt(addresses);
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
    return this.#table.intents.has(service) || this.#table.intents.leaving.has(service);
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
    const spec = this.#spec;
    if (!spec.ok) return session.close();
    const held = this.#begin(session, spec.director);
    while (!this.#stopped && this.#targetVersion === version && held.ended === undefined) {
      if (held.pause() > 0) await this.#wake.wait(held.pause());
      else if (held.unfit) break;
      else if (!(await held.work())) await this.#wake.wait(held.untilNextDuty());
    }
    if (this.#stopped) return;
    if (this.#targetVersion !== version) this.#state.enter('Disconnected', undefined);
    else if (held.ended !== undefined) this.#lost(held.ended);
  }

  #begin(session: DirectorSession, director: Director): LaneSession {
    const { listener } = this.#options;
    this.#session = new LaneSession({
      session,
      director,
      host: this.#spec.ok ? this.#spec.host : undefined,
      options: this.#options,
      timing: this.#timing,
      table: this.#table,
      state: this.#state,
      fence: this.#fence,
      onEnded: () => this.#wake.raise(),
      onTouched: (services) => {
        if (!this.#stopped) listener.onServices(services);
      },
    });
    return this.#session;
  }

  /** The session is over, or none came about. */
  #lost(failure: DirectorFailure): void {
    const { clock } = this.#options;
    if (this.#state.readyFor > STABLE_MS) this.#failedDials = 0;
    this.#failedDials += 1;
    this.#notBefore = clock.monotonic() + backoff(this.#failedDials, clock.random(), this.#timing.redial);
    this.#state.lost(failure);
  }

  /** Milliseconds until it may be dialled again. */
  #wait(): number {
    return Math.max(0, this.#notBefore - this.#options.clock.monotonic());
  }
}
