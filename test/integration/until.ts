/** Longest wait for one condition; generous, because several suites share few processors. */
const WITHIN_MS = 30_000;

/**
 * Waits until the probe gives something other than undefined and false. Fails after 30 s with what was waited for, and the last
 * thing the probe threw.
 */
export async function until<T>(what: string, probe: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + WITHIN_MS;
  let cause: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited ${WITHIN_MS} ms in vain: ${what}`, { cause });
}
