import type { Clock } from './ports.ts';

export interface Pace {
  /** Shortest time between two writes of one status. */
  readonly urgentMs: number;
  /** Shortest time before a write in which only figures have changed that change all the time. */
  readonly figuresMs: number;
}

/** Decides when the status of an object is worth a write: at once, later, or not at all. */
export class StatusPacer {
  readonly #clock: Clock;
  readonly #pace: Pace;
  readonly #written = new Map<string, { readonly urgent: string; readonly all: string; readonly at: number }>();

  constructor(clock: Clock, pace: Pace) {
    this.#clock = clock;
    this.#pace = pace;
  }

  /** Milliseconds before which no write would be let through anyway: computing a status can wait as long. */
  pause(name: string): number {
    const last = this.#written.get(name);
    return last === undefined ? 0 : Math.max(0, last.at + this.#pace.urgentMs - this.#clock.monotonic());
  }

  /**
   * @param urgent what people must read soon, in any comparable form.
   * @param all the whole status.
   * @returns milliseconds to wait: 0 to write now; undefined when nothing has changed since the last write.
   */
  wait(name: string, urgent: unknown, all: unknown): number | undefined {
    const last = this.#written.get(name);
    if (last === undefined) return 0;
    if (JSON.stringify(all) === last.all) return undefined;
    const pause = JSON.stringify(urgent) === last.urgent ? this.#pace.figuresMs : this.#pace.urgentMs;
    return Math.max(0, last.at + pause - this.#clock.monotonic());
  }

  /** To be called when the status has been written. */
  written(name: string, urgent: unknown, all: unknown): void {
    this.#written.set(name, { urgent: JSON.stringify(urgent), all: JSON.stringify(all), at: this.#clock.monotonic() });
  }

  forget(name: string): void {
    this.#written.delete(name);
  }
}
