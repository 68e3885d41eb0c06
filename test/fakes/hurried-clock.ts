import type { Clock } from '../../operator/controllers/ports.ts';

/**
 * A clock that runs `factor` times faster than the machine's: for tests in which real sockets meet waits of seconds and minutes.
 * Randomness is the middle of the range.
 */
export class HurriedClock implements Clock {
  readonly #factor: number;
  readonly #startWall = Date.now();
  readonly #startMonotonic = performance.now();

  constructor(factor: number) {
    this.#factor = factor;
  }

  now(): number {
    return this.#startWall + (Date.now() - this.#startWall) * this.#factor;
  }

  monotonic(): number {
    return (performance.now() - this.#startMonotonic) * this.#factor;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = setTimeout(callback, delayMs / this.#factor);
    return () => clearTimeout(timer);
  }

  random(): number {
    return 0.5;
  }
}
