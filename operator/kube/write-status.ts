import type { Clock, ClusterWriter, Log } from '../controllers/ports.ts';
import type { ApiClient } from './api-client.ts';
import type { ClusterCache } from './cluster-cache.ts';

export interface ClusterWriterOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly log: Log;
  /** What is stored, as far as the watches have told. */
  readonly cache: Pick<ClusterCache, 'storedStatus' | 'reread'>;
}

export function createClusterWriter(_options: ClusterWriterOptions): ClusterWriter {
  throw new Error('not built yet');
}
