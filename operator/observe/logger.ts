import type { Log } from '../controllers/ports.ts';

export interface Logger {
  readonly log: Log;
  /** Settles when everything logged so far has left the process. Nothing may be logged afterwards. */
  end(): Promise<void>;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** JSON lines on standard output. */
export function createLogger(_options: { readonly level: LogLevel }): Logger {
  throw new Error('not built yet');
}
