import type { Log } from '../controllers/ports.ts';
import type { Metrics } from './metrics.ts';

export interface HealthServerOptions {
  /** Address to listen on, e.g. `0.0.0.0`. */
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Undefined when well; else the sentence that /healthz answers with status 503. */
  readonly unhealthy: () => string | undefined;
  readonly unready: () => string | undefined;
  readonly metrics: Metrics;
  readonly log: Log;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** /healthz, /readyz, /metrics. Rejects when the address cannot be listened on. */
export function startHealthServer(_options: HealthServerOptions): Promise<HealthServer> {
  throw new Error('not built yet');
}
