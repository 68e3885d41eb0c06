/** How a repeated failure is spaced: the first wait, and the longest one. Both in milliseconds, base ≤ cap. */
export interface BackoffLimits {
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * Exponential back-off with equal jitter: half of the wait is fixed, half is drawn, so that a crowd spreads out but nobody
 * comes back at once.
 *
 * @param attempt failures in a row, 1 for the first.
 * @param random uniform in [0, 1).
 * @returns milliseconds to wait: at least half of, and less than, min(capMs, baseMs · 2^(attempt-1)).
 */
export function backoff(attempt: number, random: number, limits: BackoffLimits): number {
  const doublings = Math.min(Math.max(attempt - 1, 0), 52);
  const ceiling = Math.min(limits.capMs, limits.baseMs * 2 ** doublings);
  return ceiling / 2 + (ceiling / 2) * random;
}
