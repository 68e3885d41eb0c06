import type { Clock } from './ports.ts';

/** Wakes one waiter. Raised while nobody waits, it is remembered: the next wait returns at once. */
export class Signal {
  readonly #clock: Clock;
  #raised = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  raise(): void {
    this.#raised = true;
    this.#wake?.();
  }

  /** Resolves when raised, or when the milliseconds have passed; without them only when raised. */
  async wait(milliseconds?: number): Promise<void> {
    if (!this.#raised) {
      await new Promise<void>((resolve) => {
        const cancel = milliseconds === undefined ? undefined : this.#clock.schedule(milliseconds, resolve);
        this.#wake = () => {
          cancel?.();
          resolve();
        };
      });
      this.#wake = undefined;
    }
    this.#raised = false;
  }
}
