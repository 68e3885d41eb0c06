import { LabDir } from '../lab/lab-dir.ts';
import { waitFor } from '../lab/wait-for.ts';

/** How a wait is bounded. */
export interface Patience {
  /**
   * Default 60 s: generous, because the directors are emulated and the machine may be busy; no test asserts a time. Three times as long
   * with nodes that are emulated too, whose kube-proxy may take more than a minute to follow.
   */
  readonly timeoutMs?: number;
  /** Pause between two looks, default 200 ms. */
  readonly everyMs?: number;
}

/**
 * Looks again until the look neither throws (a failed assertion) nor returns undefined or false, and gives back what it returned. When the
 * time is up it throws, saying what was waited for and what the last look saw instead.
 */
export function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  { timeoutMs = patience(), everyMs = 200 }: Patience = {},
): Promise<T> {
  return waitFor(
    what,
    async (see) => {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      see(String(seen));
      return undefined;
    },
    { timeoutMs, everyMs },
  );
}

/** Milliseconds that a wait may take unless it says otherwise. */
export function patience(): number {
  return LabDir.current().state().vmNodes > 0 ? 180_000 : 60_000;
}

/** Lets time pass: only to pace load or looks, never as a way to wait for something to have happened. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
