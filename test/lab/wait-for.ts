import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  readonly timeoutMs: number;
  /** Pause between two looks. Default 100 ms. */
  readonly everyMs?: number;
}

/**
 * Looks until `condition` answers something else than undefined, and returns that.
 * The condition tells through `see` what it finds instead; the error after `timeoutMs` names what was waited for and
 * the last thing seen. An error thrown by the condition counts as something seen, not as the end of the wait.
 */
export async function waitFor<T>(
  what: string,
  condition: (see: (seen: unknown) => void) => Promise<T | undefined> | T | undefined,
  options: WaitOptions,
): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  let lastSeen = 'nothing yet';
  const see = (seen: unknown) => {
    lastSeen = seen instanceof Error ? seen.message : typeof seen === 'string' ? seen : JSON.stringify(seen);
  };
  for (;;) {
    try {
      const found = await condition(see);
      if (found !== undefined) return found;
    } catch (error) {
      see(error instanceof Error ? error : String(error));
    }
    if (performance.now() > deadline)
      throw new Error(`waited ${options.timeoutMs} ms in vain for ${what}; last seen: ${lastSeen}`);
    await sleep(options.everyMs ?? 100);
  }
}
