import type { Clock, Leadership, Log } from '../controllers/ports.ts';
import type { ApiClient } from './api-client.ts';

export interface LeaseOptions {
  readonly api: ApiClient;
  readonly namespace: string;
  readonly name: string;
  /** Different for every process: host name and a random part. */
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly onAcquired: (epoch: number) => void;
  /** We may not write any more. Called at most once per term; the lease then tries to be acquired again. */
  readonly onLost: (cause: string) => void;
}

export interface Lease extends Leadership {
  start(): void;
  /** Gives the lease up, when we hold it, so that the next one need not wait for its expiry. No onLost. */
  stop(): Promise<void>;
}

export function createLease(_options: LeaseOptions): Lease {
  throw new Error('not built yet');
}
