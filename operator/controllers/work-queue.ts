import { type BackoffLimits, backoff } from '../lib/backoff.ts';
import { FairTurns } from './fair-turns.ts';
import type { Outcome } from './outcome.ts';
import type { Clock, Log } from './ports.ts';

export interface WorkQueueOptions<Key extends string> {
  /** Names the queue in logs and metrics. */
  readonly name: string;
  /** Reads everything fresh and makes it so. A thrown error is a bug or a broken pipe: logged with its cause, then retried. */
  readonly reconcile: (key: Key) => Promise<Outcome>;
  /** Keys of one group share one turn, so that a flood of them makes no other group wait. Default: all keys are one group. */
  readonly groupOf?: (key: Key) => string;
  /** How many keys are worked on at once; one key is never worked on twice at once. */
  readonly workers: number;
  /** How long a failing key waits. */
  readonly backoff: BackoffLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Told after every change: keys that wait to be worked on (not those that sleep until a retry). */
  readonly onDepth?: (depth: number) => void;
}

/** Reconciles in a row before the event loop gets a turn. */
const BURST = 64;

/** Of so many runs in a row one is a patient key's, when any waits. */
const PATIENT_SHARE = 8;

/**
 * Keys that want to be reconciled, in order of arrival, groups in turn. Waiting keys are held once however often they are added; a key added while it is
 * worked on runs again afterwards. Nothing runs before {@link start} and nothing after {@link stop}.
 */
export class WorkQueue<Key extends string> {
  readonly #options: WorkQueueOptions<Key>;
  readonly #waiting: FairTurns<Key>;
  /** Keys that give way to those that wait. */
  readonly #patient: FairTurns<Key>;
  /** Runs begun since one was a patient key's. */
  #hasty = 0;
  readonly #running = new Map<Key, Promise<void>>();
  readonly #dirtyAgain = new Set<Key>();
  readonly #failures = new Map<Key, number>();
  readonly #sleeping = new Map<Key, { readonly due: number; readonly cancel: () => void }>();
  /** Runs begun since the event loop last had a turn. */
  #burst = 0;
  #resting = false;
  #state: 'new' | 'started' | 'stopped' = 'new';

  constructor(options: WorkQueueOptions<Key>) {
    this.#options = options;
    this.#waiting = new FairTurns(options.groupOf);
    this.#patient = new FairTurns(options.groupOf);
  }

  /** Keys waiting to be worked on. */
  get depth(): number {
    return this.#waiting.size + this.#patient.size;
  }

  /** True when nothing waits and nothing runs; keys may still sleep until a retry. */
  get idle(): boolean {
    return this.depth === 0 && this.#running.size === 0;
  }

  /** Reconcile this key as soon as a worker is free. */
  add(key: Key): void {
    if (this.#state === 'stopped') return;
    if (this.#running.has(key)) {
      this.#dirtyAgain.add(key);
      return;
    }
    this.#patient.delete(key);
    if (!this.#waiting.add(key)) return;
    this.#reportDepth();
    this.#dispatchSoon();
  }

  /** Reconcile this key when nothing more urgent waits, or soon: for what concerns thousands of keys at once. */
  addPatiently(key: Key): void {
    if (this.#state === 'stopped' || this.#waiting.has(key)) return;
    if (this.#running.has(key)) {
      this.#dirtyAgain.add(key);
      return;
    }
    if (!this.#patient.add(key)) return;
    this.#reportDepth();
    this.#dispatchSoon();
  }

  /** Reconcile this key after the delay, or earlier when another reason comes up. Of two delays the shorter holds. */
  addAfter(key: Key, milliseconds: number): void {
    if (this.#state === 'stopped') return;
    if (milliseconds <= 0) {
      this.add(key);
      return;
    }
    const due = this.#options.clock.monotonic() + milliseconds;
    const sleeper = this.#sleeping.get(key);
    if (sleeper !== undefined) {
      if (sleeper.due <= due) return;
      sleeper.cancel();
    }
    const cancel = this.#options.clock.schedule(milliseconds, () => {
      this.#sleeping.delete(key);
      this.add(key);
    });
    this.#sleeping.set(key, { due, cancel });
  }

  /** Begins to work on what has been added. */
  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'started';
    this.#dispatchSoon();
  }

  /** Starts nothing more and resolves when the keys being worked on are finished. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    for (const { cancel } of this.#sleeping.values()) cancel();
    this.#sleeping.clear();
    this.#waiting.clear();
    this.#patient.clear();
    this.#dirtyAgain.clear();
    await Promise.all(this.#running.values());
  }

  /** Never inside the caller's stack: handlers of events add keys, and must not find themselves inside a reconcile. */
  #dispatchSoon(): void {
    if (this.#state === 'started') queueMicrotask(() => this.#dispatch());
  }

  #dispatch(): void {
    while (this.depth > 0) {
      if (this.#state !== 'started' || this.#running.size >= this.#options.workers) return;
      if (this.#burst >= BURST) {
        // Reconciles that find nothing to do never wait: without a pause thousands of them would keep watches and sessions waiting.
        if (!this.#resting) this.#rest();
        return;
      }
      const key = this.#take();
      if (key === undefined) return;
      this.#reportDepth();
      this.#burst += 1;
      // The run sees everything that the sleeper would have been woken for.
      this.#sleeping.get(key)?.cancel();
      this.#sleeping.delete(key);
      this.#running.set(key, this.#run(key));
    }
  }

  #take(): Key | undefined {
    const patient = this.#waiting.size === 0 || this.#hasty >= PATIENT_SHARE;
    const key = (patient ? this.#patient.take() : undefined) ?? this.#waiting.take();
    this.#hasty = patient ? 0 : this.#hasty + 1;
    return key;
  }

  #rest(): void {
    this.#resting = true;
    this.#options.clock.schedule(0, () => {
      this.#resting = false;
      this.#burst = 0;
      this.#dispatch();
    });
  }

  async #run(key: Key): Promise<void> {
    const outcome = await this.#reconcile(key);
    this.#running.delete(key);
    if (this.#state !== 'started') return;
    this.#act(key, outcome);
    if (this.#dirtyAgain.delete(key)) this.add(key);
    this.#dispatchSoon();
  }

  async #reconcile(key: Key): Promise<Outcome> {
    try {
      return await this.#options.reconcile(key);
    } catch (error) {
      this.#options.log.error('reconcile threw; the key will be tried again', {
        queue: this.#options.name,
        key,
        error,
      });
      return { kind: 'retry', cause: error instanceof Error ? error.message : String(error) };
    }
  }

  /** The only place where an outcome becomes an action. */
  #act(key: Key, outcome: Outcome): void {
    switch (outcome.kind) {
      case 'done':
        this.#failures.delete(key);
        return;
      case 'retryAfter':
        this.#failures.delete(key);
        this.addAfter(key, outcome.milliseconds);
        return;
      case 'giveUp':
        this.#failures.delete(key);
        this.#options.log.debug('waiting for the object to change', {
          queue: this.#options.name,
          key,
          cause: outcome.cause,
        });
        return;
      case 'retry': {
        const failures = (this.#failures.get(key) ?? 0) + 1;
        this.#failures.set(key, failures);
        const milliseconds = backoff(failures, this.#options.clock.random(), this.#options.backoff);
        this.#options.log.debug('will try again', {
          queue: this.#options.name,
          key,
          cause: outcome.cause,
          milliseconds,
        });
        this.addAfter(key, milliseconds);
      }
    }
  }

  #reportDepth(): void {
    this.#options.onDepth?.(this.depth);
  }
}
