import type { Clock } from '../controllers/ports.ts';

/** Sentences about one object and reason that may follow each other at once; after them one a minute. */
const BURST = 5;
const REFILL_MS = 60_000;

interface Bucket {
  tokens: number;
  /** Monotonic milliseconds up to which it has been refilled. */
  refilledAt: number;
  /** The newest sentence that is held back; it replaces an older one. */
  held?: () => void;
}

/**
 * Keeps an object whose trouble is told in ever new words from filling the list of events: of what comes too fast only the newest is said,
 * when its minute has come. (The same words again only raise a count, which is not this one's business.)
 */
export class TroublePacer {
  readonly #clock: Clock;
  readonly #onFolded: () => void;
  readonly #buckets = new Map<string, Bucket>();

  /** @param onFolded told of every sentence that a newer one has replaced. */
  constructor(clock: Clock, onFolded: () => void) {
    this.#clock = clock;
    this.#onFolded = onFolded;
  }

  /** Says it now, or later unless something newer comes. */
  say(trouble: string, sentence: () => void): void {
    const bucket = this.#buckets.get(trouble) ?? { tokens: BURST, refilledAt: this.#clock.monotonic() };
    this.#buckets.set(trouble, bucket);
    this.#refill(bucket);
    if (bucket.held !== undefined) this.#onFolded();
    if (bucket.tokens < 1) {
      bucket.held = sentence;
      return;
    }
    bucket.tokens -= 1;
    delete bucket.held;
    sentence();
  }

  /** Says what is due, and forgets what has been quiet for long. @param all also what is not due: nothing comes after. */
  sayDue(all = false): void {
    for (const [trouble, bucket] of this.#buckets) {
      this.#refill(bucket);
      const { held } = bucket;
      if (held !== undefined && (all || bucket.tokens >= 1)) {
        bucket.tokens = Math.max(0, bucket.tokens - 1);
        delete bucket.held;
        held();
      } else if (held === undefined && bucket.tokens >= BURST) this.#buckets.delete(trouble);
    }
  }

  get isEmpty(): boolean {
    return this.#buckets.size === 0;
  }

  #refill(bucket: Bucket): void {
    const periods = Math.floor((this.#clock.monotonic() - bucket.refilledAt) / REFILL_MS);
    bucket.refilledAt += periods * REFILL_MS;
    bucket.tokens = Math.min(BURST, bucket.tokens + periods);
  }
}
