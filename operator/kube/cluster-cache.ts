import type { Clock, Cluster, ClusterEvent, DirectorKeys, Log } from '../controllers/ports.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import type { ApiClient } from './api-client.ts';

export interface ClusterCacheOptions {
  readonly api: ApiClient;
  /** Our own namespace: where the Secrets with SSH keys are. */
  readonly namespace: string;
  /** Whether Services of type LoadBalancer without a class are ours too. */
  readonly claimUnclassed: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Called synchronously after the cache holds the new state; never before everything has been listed once. The first call is
   * `synced`: look at everything then, for nothing that was there before is told one by one.
   */
  readonly onEvent: (event: ClusterEvent) => void;
}

/** Everything the controllers see of the cluster, kept fresh by watches. */
export interface ClusterCache extends Cluster, DirectorKeys {
  start(): void;
  /** After it settles no request is open and no event comes. */
  stop(): Promise<void>;
  /** `status` of a pool or director as the API server stores it. */
  storedStatus(kind: 'LoadBalancerPool' | 'Director', name: string): unknown;
  /** Reads a Service again that no watch covers (its type has changed, our finalizer still stands). Nothing for any other. */
  reread(key: ServiceKey): void;
}

export function createClusterCache(_options: ClusterCacheOptions): ClusterCache {
  throw new Error('not built yet');
}
