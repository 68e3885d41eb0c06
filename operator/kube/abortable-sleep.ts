import type { Clock } from '../controllers/ports.ts';

/** Resolves after the milliseconds, or at once when the signal is or becomes aborted. Never rejects. */
export function abortableSleep(clock: Clock, milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = (): void => {
      cancel();
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const cancel = clock.schedule(milliseconds, wake);
    signal.addEventListener('abort', wake);
  });
}
