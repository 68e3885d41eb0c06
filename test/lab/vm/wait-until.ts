import { setTimeout as sleep } from 'node:timers/promises';

/** A condition that somebody waits for, and how long at most. */
export interface Wait<T> {
  /** Completes the sentence "waited N s for …". */
  readonly what: string;
  readonly limitMs: number;
  /** The awaited value, or undefined while it is not there. An exception ends the wait at once. */
  readonly probe: () => Promise<T | undefined> | T | undefined;
  readonly pauseMs?: number;
  /** Is asked for more to say when the limit has passed. */
  readonly context?: () => string;
}

/** Asks again and again until there is a value; fails with a sentence when the limit has passed. */
export async function waitUntil<T>(wait: Wait<T>): Promise<T> {
  const deadline = performance.now() + wait.limitMs;
  for (;;) {
    const value = await wait.probe();
    if (value !== undefined) return value;
    if (performance.now() > deadline) {
      const context = wait.context?.() ?? '';
      throw new Error(`waited ${wait.limitMs / 1000} s for ${wait.what}${context === '' ? '' : `; ${context}`}`);
    }
    await sleep(wait.pauseMs ?? 50);
  }
}
