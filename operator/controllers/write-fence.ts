import type { Leadership } from './ports.ts';

/** A place in the order of all writes to one director: higher epoch first, then higher generation (docs/wire-protocol.md, Fencing). */
export interface FencePair {
  readonly epoch: number;
  readonly generation: number;
}

/** Hands out the fencing pair of each write to one director. */
export class WriteFence {
  readonly #leadership: Leadership;
  #generation = 0;

  constructor(leadership: Leadership) {
    this.#leadership = leadership;
  }

  /** The pair of the next write, or undefined while we do not lead. */
  next(): FencePair | undefined {
    const epoch = this.#leadership.epoch();
    if (epoch === undefined) return undefined;
    this.#generation += 1;
    return { epoch, generation: this.#generation };
  }

  /**
   * Goes past the highest pair that the director has accepted. A higher epoch than ours means that the Lease was made anew and counts
   * from zero; when we still hold it, it is raised.
   *
   * @returns false when we may not write: the Lease is not ours.
   */
  async overtake(highest: FencePair): Promise<boolean> {
    const epoch = this.#leadership.epoch();
    if (epoch === undefined) return false;
    if (highest.epoch > epoch) return this.#leadership.raiseEpoch(highest.epoch);
    if (highest.epoch === epoch) this.#generation = Math.max(this.#generation, highest.generation);
    return true;
  }
}
