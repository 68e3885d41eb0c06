import type { Clock } from '../controllers/ports.ts';

/** Different troubles of one object and reason that may follow each other at once; after them one a minute. */
const BURST = 5;
const REFILL_MS = 60_000;

interface Bucket<Trouble> {
  tokens: number;
  /** Monotonic milliseconds up to which it has been refilled. */
  refilledAt: number;
  /** The newest that is held back; it replaces an older one. */
  held?: Trouble;
}

export interface TroublePacerOptions<Trouble> {
  readonly clock: Clock;
  readonly say: (trouble: Trouble) => void;
  /** Told of every trouble that is never said, because a newer one has replaced it. */
  readonly onFolded: (trouble: Trouble) => void;
}

/**
 * Keeps an object whose trouble is told in ever new words from filling the list of events: of what comes too fast only the newest is said,
 * when its minute has come. (The same trouble again only raises a count, which is not this one's business.)
 */
export class TroublePacer<Trouble> {
  readonly #options: TroublePacerOptions<Trouble>;
  readonly #buckets = new Map<string, Bucket<Trouble>>();

  constructor(options: TroublePacerOptions<Trouble>) {
    this.#options = options;
  }

  /** Says it now, or later unless something newer comes under the same key. */
  take(key: string, trouble: Trouble): void {
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, refilledAt: this.#options.clock.monotonic() };
    this.#buckets.set(key, bucket);
    this.#refill(bucket);
    if (bucket.held !== undefined) this.#options.onFolded(bucket.held);
    bucket.held = trouble;
    if (bucket.tokens >= 1) this.#say(bucket);
  }

  /** Says what is due, and forgets what has been quiet for long. @param all also what is not due: nothing comes after. */
  sayDue(all = false): void {
    for (const [key, bucket] of this.#buckets) {
      this.#refill(bucket);
      if (bucket.held === undefined && bucket.tokens >= BURST) this.#buckets.delete(key);
      else if (all || bucket.tokens >= 1) this.#say(bucket);
    }
  }

  get isEmpty(): boolean {
    return this.#buckets.size === 0;
  }

  #say(bucket: Bucket<Trouble>): void {
    const { held } = bucket;
    if (held === undefined) return;
    bucket.tokens = Math.max(0, bucket.tokens - 1);
    delete bucket.held;
    this.#options.say(held);
  }

  #refill(bucket: Bucket<Trouble>): void {
    const periods = Math.floor((this.#options.clock.monotonic() - bucket.refilledAt) / REFILL_MS);
    bucket.refilledAt += periods * REFILL_MS;
    bucket.tokens = Math.min(BURST, bucket.tokens + periods);
  }
}
