import type {
  Answer,
  ApplyRequest,
  ApplyResult,
  Clock,
  DirectorDialer,
  DirectorFailure,
  DirectorSession,
  DirectorTarget,
  HelperError,
  HelperHello,
  ReadKeysResult,
} from '../../operator/controllers/ports.ts';
import type { PreflightCheck } from '../../operator/model/preflight-check.ts';
import { SCHEDULERS } from '../../operator/model/virtual-server.ts';
import type { FakePolicy } from './fake-director-refusals.ts';
import { FakeDirectorTable } from './fake-director-table.ts';

/** What goes wrong with the next apply. */
export type ApplyFault =
  /** The connection breaks before the request arrives: nothing is written. */
  | 'cutBeforeApplying'
  /** The request is carried out and its answer is lost: the session ends. */
  | 'answerLost'
  /** The request is not carried out and nothing answers until the deadline: the session ends with Timeout. */
  | 'timeout'
  /** The helper refuses the whole request. */
  | { readonly refuse: HelperError };

export interface FakeDirectorOptions {
  readonly address: string;
  readonly port?: number;
  readonly owner?: string;
  readonly policy?: FakePolicy;
  /** Delays answers and ends frozen sessions; without it answers come at once and a frozen session stays frozen. */
  readonly clock?: Clock;
  readonly answerDelayMs?: number;
}

/** How long a real session takes to notice a frozen director: idle time before a ping, and the ping's deadline. */
const FREEZE_NOTICED_AFTER_MS = 10_000;

/** A director host in memory: its table, its helper, and the ways in which it fails. */
export class FakeDirector {
  readonly address: string;
  readonly port: number;
  readonly owner: string;
  readonly table: FakeDirectorTable;
  /** Every apply request that arrived, dry runs included, in order. */
  readonly applies: ApplyRequest[] = [];
  /** Reads that arrived. */
  reads = 0;
  /** What a look at the host finds. */
  checks: readonly PreflightCheck[] = [{ name: 'kernel', verdict: 'ok', message: 'Linux 6.1.0-fake', remedy: '' }];
  /** Dials that arrived, failed ones included. */
  dials = 0;
  /** Overrides of what the helper says first. */
  hello: Partial<HelperHello> = {};
  readonly #options: FakeDirectorOptions;
  readonly #sessions = new Set<FakeSession>();
  readonly #applyFaults: ApplyFault[] = [];
  #dialFailure: DirectorFailure | undefined;
  #thawed: { promise: Promise<void>; resolve: () => void } | undefined;
  #boots = 1;

  constructor(options: FakeDirectorOptions) {
    this.#options = options;
    this.address = options.address;
    this.port = options.port ?? 22;
    this.owner = options.owner ?? 'prod';
    this.table = new FakeDirectorTable(
      options.policy ?? {
        addresses: ['203.0.113.0/24', '2001:db8:1::/64'],
        realServers: ['192.0.2.0/24', '198.51.100.0/24', '2001:db8::/32'],
        interfaces: ['lo', 'eth0', 'dummy0'],
      },
      options.clock && (() => options.clock?.monotonic() ?? 0),
    );
  }

  /** Sessions that are open now. */
  get openSessions(): number {
    return this.#sessions.size;
  }

  /** From now on dials fail with this reason, and open sessions end with it. */
  fail(reason: DirectorFailure['reason'], message = `director at ${this.address}: ${reason} (injected)`): void {
    this.#dialFailure = { reason, message };
    for (const session of [...this.#sessions]) session.end(this.#dialFailure);
  }

  /** Dials work again. */
  recover(): void {
    this.#dialFailure = undefined;
  }

  /** Ends the open sessions once; the next dial works. */
  dropSessions(reason: DirectorFailure['reason'] = 'Closed'): void {
    const failure = { reason, message: `director at ${this.address}: connection dropped (injected)` };
    for (const session of [...this.#sessions]) session.end(failure);
  }

  /** The host stands still: nothing is answered. With a clock, open sessions end with Timeout after 10 s, as real ones do. */
  freeze(): void {
    if (this.#thawed !== undefined) return;
    this.#thawed = Promise.withResolvers<void>();
    const frozen = [...this.#sessions];
    this.#options.clock?.schedule(FREEZE_NOTICED_AFTER_MS, () => {
      if (this.#thawed !== undefined) for (const session of frozen) session.end(this.timedOut());
    });
  }

  thaw(): void {
    this.#thawed?.resolve();
    this.#thawed = undefined;
  }

  /** The next apply meets this fault; several queue up. */
  failNextApply(fault: ApplyFault): void {
    this.#applyFaults.push(fault);
  }

  /** Sessions end, and everything in memory is gone: table, ledger, fencing, counter; a new boot id. */
  reboot(): void {
    this.dropSessions();
    this.table.reboot();
    this.#boots += 1;
  }

  /** What the dialer calls. */
  async accept(target: DirectorTarget): Promise<Awaited<ReturnType<DirectorDialer['dial']>>> {
    this.dials += 1;
    if ((await Promise.race([this.answerTime(), this.#freezeNoticed()])) === 'frozen') {
      return { ok: false, failure: this.timedOut() };
    }
    if (this.#dialFailure !== undefined) return { ok: false, failure: this.#dialFailure };
    if (target.owner !== this.owner) {
      const message = `director ${target.name}: the helper serves owner "${this.owner}", not "${target.owner}"`;
      return { ok: false, failure: { reason: 'NotADirector', message } };
    }
    const session = new FakeSession(this, this.#currentHello(), () => this.#sessions.delete(session));
    this.#sessions.add(session);
    return { ok: true, session };
  }

  /** Waits as long as this director takes to answer. */
  async answerTime(): Promise<void> {
    await this.#thawed?.promise;
    const { clock, answerDelayMs } = this.#options;
    if (clock === undefined || answerDelayMs === undefined) return;
    await new Promise<void>((resolve) => clock.schedule(answerDelayMs, resolve));
  }

  /** Resolves when a dialer would give up on a host that stands still; never while it does not, or without a clock. */
  #freezeNoticed(): Promise<'frozen'> {
    const { clock } = this.#options;
    if (clock === undefined || this.#thawed === undefined) return new Promise(() => undefined);
    return new Promise((resolve) => clock.schedule(FREEZE_NOTICED_AFTER_MS, () => resolve('frozen')));
  }

  takeApplyFault(): ApplyFault | undefined {
    return this.#applyFaults.shift();
  }

  timedOut(): DirectorFailure {
    return { reason: 'Timeout', message: `director at ${this.address}: no answer in time (injected)` };
  }

  #currentHello(): HelperHello {
    return {
      protocol: { min: 1, max: 1 },
      version: '0.1.0',
      owner: this.owner,
      bootId: `boot-${this.#boots}`,
      machineId: `machine-${this.address}`,
      netns: '4026531840',
      kernel: '6.1.0-fake',
      epoch: this.table.epoch,
      generation: this.table.generation,
      capabilities: {
        ipvs: true,
        netAdmin: true,
        schedulers: SCHEDULERS,
        forwardingMethods: ['DirectRouting', 'Masquerading', 'Tunneling', 'Local'],
        families: ['IPv4', 'IPv6'],
        features: ['gone', 'remoteChecksum'],
      },
      problems: [],
      ...this.hello,
    };
  }
}

class FakeSession implements DirectorSession {
  readonly hello: HelperHello;
  readonly ended: Promise<DirectorFailure>;
  readonly #director: FakeDirector;
  readonly #settle: (failure: DirectorFailure) => void;
  readonly #forget: () => void;
  #failure: DirectorFailure | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(director: FakeDirector, hello: HelperHello, forget: () => void) {
    const { promise, resolve } = Promise.withResolvers<DirectorFailure>();
    this.#director = director;
    this.hello = hello;
    this.ended = promise;
    this.#settle = resolve;
    this.#forget = forget;
  }

  end(failure: DirectorFailure): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#forget();
    this.#settle(failure);
  }

  close(): void {
    this.end({ reason: 'Closed', message: `director at ${this.#director.address}: closed by the operator` });
  }

  apply(request: ApplyRequest): Promise<Answer<ApplyResult>> {
    return this.#serially(() => {
      this.#director.applies.push(request);
      const fault = this.#director.takeApplyFault();
      if (fault === 'timeout') return this.#broken(this.#director.timedOut());
      if (fault === 'cutBeforeApplying') return this.#broken(this.#cut());
      if (typeof fault === 'object') return { kind: 'refused', error: fault.refuse };
      const outcome = this.#director.table.apply(request);
      if (fault === 'answerLost') return this.#broken(this.#cut());
      return 'ok' in outcome ? { kind: 'ok', value: outcome.ok } : { kind: 'refused', error: outcome.refused };
    });
  }

  readKeys(): Promise<Answer<ReadKeysResult>> {
    return this.#serially(() => {
      this.#director.reads += 1;
      return { kind: 'ok', value: this.#director.table.readKeys() };
    });
  }

  preflight(): Promise<Answer<readonly PreflightCheck[]>> {
    return this.#serially(() => ({ kind: 'ok', value: this.#director.checks }));
  }

  ping(): Promise<Answer<void>> {
    return this.#serially(() => ({ kind: 'ok', value: undefined }));
  }

  /** One request at a time, as on the wire; every request of an ended session is answered with why it ended. */
  #serially<T>(request: () => Answer<T>): Promise<Answer<T>> {
    const answer = this.#tail.then(async (): Promise<Answer<T>> => {
      if (this.#failure !== undefined) return { kind: 'broken', failure: this.#failure };
      const ended = this.ended.then((failure): Answer<T> => ({ kind: 'broken', failure }));
      const answered = this.#director.answerTime().then((): Answer<T> => {
        if (this.#failure !== undefined) return { kind: 'broken', failure: this.#failure };
        return request();
      });
      return Promise.race([ended, answered]);
    });
    this.#tail = answer;
    return answer;
  }

  #broken<T>(failure: DirectorFailure): Answer<T> {
    this.end(failure);
    return { kind: 'broken', failure };
  }

  #cut(): DirectorFailure {
    return { reason: 'Unreachable', message: `director at ${this.#director.address}: connection reset (injected)` };
  }
}

/** A dialer that knows these directors by address and port; any other target is Unreachable. */
export function fakeDialer(directors: Iterable<FakeDirector>): DirectorDialer {
  const known = new Map([...directors].map((each) => [`${each.address} ${each.port}`, each]));
  return {
    dial: async (target) => {
      const director = known.get(`${target.address} ${target.port}`);
      if (director !== undefined) return director.accept(target);
      const message = `director ${target.name}: nothing listens on ${target.address} port ${target.port}`;
      return { ok: false, failure: { reason: 'Unreachable', message } };
    },
  };
}
