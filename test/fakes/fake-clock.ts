import type { Clock } from '../../operator/controllers/ports.ts';

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly callback: () => void;
}

/** 2026-01-01T00:00:00Z: what a fake clock shows when it is made. */
export const FAKE_EPOCH = Date.UTC(2026, 0, 1);

/**
 * A clock that moves only when told to. Timers fire in order of their due time; after each, everything that became possible has
 * happened before the next fires. Randomness is a seeded sequence (mulberry32), so a run repeats exactly.
 */
export class FakeClock implements Clock {
  #elapsed = 0;
  #order = 0;
  #seed: number;
  readonly #timers = new Map<number, Timer>();

  constructor(seed = 1) {
    this.#seed = seed;
  }

  now(): number {
    return FAKE_EPOCH + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    if (!Number.isFinite(delayMs)) throw new RangeError(`a timer needs a finite delay, not ${delayMs}`);
    const order = this.#order++;
    this.#timers.set(order, { due: this.#elapsed + Math.max(0, delayMs), order, callback });
    return () => this.#timers.delete(order);
  }

  random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** Timers that have not fired and were not cancelled. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves time on, firing what becomes due on the way. */
  async advance(milliseconds: number): Promise<void> {
    const until = this.#elapsed + milliseconds;
    await this.settle();
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.due > until) break;
      this.#elapsed = Math.max(this.#elapsed, next.due);
      this.#timers.delete(next.order);
      next.callback();
      await this.settle();
    }
    this.#elapsed = until;
  }

  #next(): Timer | undefined {
    let best: Timer | undefined;
    for (const timer of this.#timers.values()) {
      if (best === undefined || timer.due < best.due || (timer.due === best.due && timer.order < best.order))
        best = timer;
    }
    return best;
  }
}
