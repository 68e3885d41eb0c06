import type { PreflightCheck } from '../model/preflight-check.ts';
import type { LaneListener, LanePhase, LaneReport, LaneTrouble } from './lane-report.ts';
import type { HeldRemovals } from './lane-sync.ts';
import type {
  ApplyResult,
  Clock,
  DirectorFailure,
  HelperError,
  HelperHello,
  Log,
  ReadKeysResult,
  TableCounts,
} from './ports.ts';

export interface LaneStateOptions {
  readonly director: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly listener: Pick<LaneListener, 'onReadiness' | 'onReport'>;
}

/** Where a lane stands and what its director has told, for reports; whoever listens is told of changes. */
export class LaneState {
  readonly #options: LaneStateOptions;
  #phase: LanePhase = 'Idle';
  #trouble: LaneTrouble | undefined;
  #unanswered = false;
  #since: number;
  #readySince: number | undefined;
  #announced: string | undefined;
  #silenced = false;
  #counts: TableCounts | undefined;
  #totalWrites = 0;
  #tableHash: string | undefined;
  #appliedGeneration: number | undefined;
  #lastSyncTime: number | undefined;
  #hello: HelperHello | undefined;
  /** What of the host's settings it does not have, one sentence each; undefined before any were asked for. */
  hostRefusals: readonly string[] | undefined;
  preflight: readonly PreflightCheck[] | undefined;
  held: HeldRemovals | undefined;
  drift: string | undefined;

  constructor(options: LaneStateOptions) {
    this.#options = options;
    this.#since = options.clock.now();
  }

  get phase(): LanePhase {
    return this.#phase;
  }

  /** Its table was complete and it answers. */
  get ready(): boolean {
    return this.#phase === 'Ready' && this.trouble === undefined;
  }

  /** Why it is not ready, as far as known. */
  get trouble(): LaneTrouble | undefined {
    return this.#trouble ?? (this.#unanswered ? NOT_ANSWERING : undefined);
  }

  /** Neither ready nor in known trouble: it is being connected. */
  get undecided(): boolean {
    return !this.ready && this.trouble === undefined;
  }

  get tableHash(): string | undefined {
    return this.#tableHash;
  }

  /** For how long it has been ready now, in milliseconds. */
  get readyFor(): number {
    return this.#readySince === undefined ? 0 : this.#options.clock.monotonic() - this.#readySince;
  }

  report(): Omit<LaneReport, 'refused'> {
    return {
      phase: this.#phase,
      since: this.#since,
      ready: this.ready,
      trouble: this.trouble,
      hello: this.#hello,
      counts: this.#counts,
      tableHash: this.#tableHash,
      totalWrites: this.#totalWrites,
      appliedGeneration: this.#appliedGeneration,
      lastSyncTime: this.#lastSyncTime,
      hostRefusals: this.hostRefusals,
      preflight: this.preflight,
      held: this.held,
      drift: this.drift,
    };
  }

  enter(phase: LanePhase, trouble: LaneTrouble | undefined): void {
    const { log, clock, director } = this.#options;
    const known = this.#trouble?.reason === trouble?.reason && this.#trouble?.message === trouble?.message;
    const wasReady = this.#readySince !== undefined;
    if (isUp(phase) !== isUp(this.#phase)) this.#since = clock.now();
    this.#phase = phase;
    this.#trouble = trouble;
    if (phase !== 'Ready') this.#readySince = undefined;
    else this.#readySince ??= clock.monotonic();
    if (trouble !== undefined && !known) {
      log.warn('a director is not ready', { director, reason: trouble.reason, cause: trouble.message });
    }
    if (phase === 'Ready' && !wasReady) log.info('a director is ready', { director });
    this.announce();
  }

  /** The session is over, or none came about. */
  lost({ reason, message }: DirectorFailure): void {
    this.enter('Disconnected', { reason, message });
  }

  /** The helper has said who it is. */
  greeted(hello: HelperHello): void {
    const { log, director } = this.#options;
    if (this.#hello !== undefined && this.#hello.bootId !== hello.bootId)
      log.info('a director has been rebooted', { director });
    this.#hello = hello;
  }

  /** The director refused a request as a whole. */
  refused({ message, class: errorClass }: HelperError): void {
    const { director } = this.#options;
    this.enter(this.#phase, {
      reason: 'Refused',
      message: `Director ${director} refused the request: ${message}`,
      class: errorClass,
    });
  }

  /** We may not write. */
  notLeading(): void {
    const message = `Director ${this.#options.director} is not written to: this operator does not hold the Lease.`;
    this.enter(this.#phase, { reason: 'NotLeading', message });
  }

  /** Nothing has been heard since the lane began to connect. */
  notYetHeardOf(): void {
    if (this.undecided) this.enter(this.#phase, NOT_YET);
  }

  applied(result: ApplyResult, generation: number): void {
    this.#counts = result.counts;
    this.#totalWrites = result.totalWrites;
    this.#tableHash = result.tableHash;
    this.#appliedGeneration = generation;
    this.#lastSyncTime = this.#options.clock.now();
  }

  read(result: ReadKeysResult): void {
    this.#counts = result.counts;
    this.#totalWrites = result.totalWrites;
    this.#tableHash = result.tableHash;
  }

  /** While an answer takes longer than the patience, the director does not count as ready, so that it delays nobody. */
  async patiently<T>(patienceMs: number, exchange: Promise<T>): Promise<T> {
    const cancel = this.#options.clock.schedule(patienceMs, () => {
      this.#unanswered = true;
      this.announce();
    });
    const outcome = await exchange.finally(cancel);
    this.#unanswered = false;
    return outcome;
  }

  announce(): void {
    if (this.#silenced) return;
    const { listener } = this.#options;
    const readiness = this.ready ? 'Ready' : this.trouble?.reason;
    if (readiness !== this.#announced) {
      this.#announced = readiness;
      listener.onReadiness();
    }
    listener.onReport();
  }

  /** Nobody is told anything any more. */
  silence(): void {
    this.#silenced = true;
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
