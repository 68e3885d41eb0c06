import type { Clock, Leadership, Log } from '../controllers/ports.ts';
import { abortableSleep } from './abortable-sleep.ts';
import type { ApiAnswer, ApiClient } from './api-client.ts';
import { asRecord, asText, isKubeObject, type KubeObject } from './kube-object.ts';
import { formatMicroTime } from './micro-time.ts';

export interface LeaseOptions {
  readonly api: ApiClient;
  readonly namespace: string;
  readonly name: string;
  /** Different for every process: host name and a random part. */
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Log;
  /** We may write now. */
  readonly onAcquired: (epoch: number) => void;
  /** We may not write any more. Called at most once per term; the lease then tries to be acquired again. */
  readonly onLost: (cause: string) => void;
}

export interface Lease extends Leadership {
  start(): void;
  /** Gives the lease up, when we hold it, so that the next one need not wait for its expiry. No onLost. */
  stop(): Promise<void>;
}

/** client-go's defaults: others wait this long without a renewal, we stop ourselves well before, and try this often. */
const LEASE_SECONDS = 15;
const RENEW_DEADLINE_MS = 10_000;
const RETRY_MS = 2_000;
const CALL_TIMEOUT_MS = 5_000;

interface Term {
  readonly epoch: number;
  /** Monotonic time at which the last successful renewal was begun: from then on the others count. */
  readonly renewedAt: number;
}

/** What another holder's record was when it last changed, by our own monotonic clock: clocks of machines are not compared. */
interface Observed {
  readonly record: string;
  readonly at: number;
}

export function createLease(options: LeaseOptions): Lease {
  return new LeaseElection(options);
}

/**
 * Leader election as client-go does it, on a coordination.k8s.io/v1 Lease. The epoch is `leaseTransitions`, one more with every
 * term of any process, so that a director can refuse a writer whose term is over.
 */
class LeaseElection implements Lease {
  readonly #options: LeaseOptions;
  readonly #path: string;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  /** Writes of the lease, one after the other: the loop and raiseEpoch must not race. */
  #turn: Promise<unknown> = Promise.resolve();
  #term: Term | undefined;
  #cancelDeadline: (() => void) | undefined;
  #observed: Observed | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#inTurn(() => this.#release());
  }

  epoch(): number | undefined {
    // The timer may be late when the process was stopped or busy; the clock is not.
    if (this.#term === undefined || this.#overdue(this.#term)) return undefined;
    return this.#term.epoch;
  }

  async raiseEpoch(above: number): Promise<boolean> {
    return this.#inTurn(async () => {
      const epoch = this.epoch();
      if (epoch === undefined) return false;
      if (epoch > above) return true;
      const read = await this.#get();
      if (!read.ok || !isKubeObject(read.body) || !this.#isOurs(read.body)) return false;
      return this.#hold(read.body, above + 1);
    });
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#stopping.signal.aborted) {
      await this.#inTurn(() => this.#tryOnce()).catch((error: unknown) =>
        log.error('An attempt at the lease threw', { error }),
      );
      await abortableSleep(clock, RETRY_MS, this.#stopping.signal);
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** One attempt to acquire or to renew. */
  async #tryOnce(): Promise<void> {
    const { log, name } = this.#options;
    if (this.#stopping.signal.aborted) return;
    const read = await this.#get();
    if (!read.ok && read.status === 404) return this.#create();
    if (!read.ok || !isKubeObject(read.body)) {
      log.warn('The lease could not be read', { lease: name, cause: read.ok ? 'not an object' : read.message });
      return;
    }
    const lease = read.body;
    if (this.#term !== undefined) {
      if (this.#isOurs(lease)) await this.#hold(lease, transitions(lease));
      else this.#lose(`the lease ${name} is held by ${holder(lease)}`);
      return;
    }
    if (this.#mayTake(lease)) await this.#hold(lease, transitions(lease) + 1);
  }

  /** Whether nobody holds it, or its holder has not renewed it for as long as it promised to. */
  #mayTake(lease: KubeObject): boolean {
    const { clock, identity } = this.#options;
    const record = JSON.stringify(lease.spec);
    const now = clock.monotonic();
    if (this.#observed?.record !== record) this.#observed = { record, at: now };
    const current = holder(lease);
    if (current === '' || current === identity) return true;
    const seconds = Number(asRecord(lease.spec).leaseDurationSeconds ?? LEASE_SECONDS);
    return now - this.#observed.at >= seconds * 1_000;
  }

  async #create(): Promise<void> {
    const { api, namespace, name } = this.#options;
    if (this.#term !== undefined) this.#lose(`the lease ${name} was deleted`);
    const begun = this.#options.clock.monotonic();
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace },
      spec: this.#spec(1, undefined),
    };
    const answer = await api.create(this.#path, lease, { timeoutMs: CALL_TIMEOUT_MS });
    this.#written(answer, { epoch: 1, renewedAt: begun }, undefined);
  }

  /** Writes the lease as ours, guarded by the resourceVersion that was read. */
  async #hold(lease: KubeObject, epoch: number): Promise<boolean> {
    const { api, clock, name } = this.#options;
    const term = this.#term;
    const begun = clock.monotonic();
    const continued = term === undefined ? undefined : asRecord(lease.spec).acquireTime;
    const body = { ...lease, spec: { ...asRecord(lease.spec), ...this.#spec(epoch, continued) } };
    const answer = await api.update(`${this.#path}/${name}`, body, { timeoutMs: CALL_TIMEOUT_MS });
    return this.#written(answer, { epoch, renewedAt: begun }, term);
  }

  /** @param continued the term that this write was to prolong; undefined when it was to begin one. */
  #written(answer: ApiAnswer, term: Term, continued: Term | undefined): boolean {
    const { clock, log, name, onAcquired } = this.#options;
    if (!answer.ok) {
      log.warn('The lease could not be written', { lease: name, cause: answer.message });
      return false;
    }
    // An answer that comes after its deadline is no right to write: the term it was for is over, or never began.
    if (this.#term !== continued || this.#overdue(term) || this.#stopping.signal.aborted) return false;
    this.#term = term;
    this.#cancelDeadline?.();
    const left = RENEW_DEADLINE_MS - (clock.monotonic() - term.renewedAt);
    this.#cancelDeadline = clock.schedule(left, () => this.#lose(`the lease ${name} could not be renewed in time`));
    if (continued === undefined) {
      log.info('The lease is ours', { lease: name, epoch: term.epoch });
      onAcquired(term.epoch);
    }
    return true;
  }

  #lose(cause: string): void {
    const { log, name, onLost } = this.#options;
    if (this.#term === undefined) return;
    this.#term = undefined;
    this.#observed = undefined;
    this.#cancelDeadline?.();
    log.error('The lease is lost', { lease: name, cause });
    onLost(cause);
  }

  async #release(): Promise<void> {
    const { api, name, log } = this.#options;
    this.#term = undefined;
    this.#cancelDeadline?.();
    const read = await this.#get();
    if (!read.ok || !isKubeObject(read.body) || !this.#isOurs(read.body)) return;
    const spec = { ...asRecord(read.body.spec), holderIdentity: '', leaseDurationSeconds: 1 };
    const answer = await api.update(`${this.#path}/${name}`, { ...read.body, spec }, { timeoutMs: CALL_TIMEOUT_MS });
    if (!answer.ok) log.warn('The lease could not be given up; it will expire', { lease: name, cause: answer.message });
  }

  #get(): Promise<ApiAnswer> {
    return this.#options.api.get(`${this.#path}/${this.#options.name}`, { timeoutMs: CALL_TIMEOUT_MS });
  }

  #spec(epoch: number, acquireTime: unknown): Readonly<Record<string, unknown>> {
    const { clock, identity } = this.#options;
    const now = formatMicroTime(clock.now());
    return {
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: acquireTime ?? now,
      renewTime: now,
      leaseTransitions: epoch,
    };
  }

  #isOurs(lease: KubeObject): boolean {
    return holder(lease) === this.#options.identity;
  }

  #overdue(term: Term): boolean {
    return this.#options.clock.monotonic() - term.renewedAt >= RENEW_DEADLINE_MS;
  }
}

function holder(lease: KubeObject): string {
  return asText(asRecord(lease.spec).holderIdentity) ?? '';
}

function transitions(lease: KubeObject): number {
  return Number(asRecord(lease.spec).leaseTransitions ?? 0);
}
