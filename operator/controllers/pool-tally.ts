import type { ServiceKey } from '../model/load-balanced-service.ts';

interface Share {
  readonly services: Set<ServiceKey>;
  virtualServers: number;
}

const NOBODY: ReadonlySet<ServiceKey> = new Set();

/**
 * Which Services have addresses of which pool, and how many virtual servers they have there. Kept up as each Service changes, so that no
 * question about a pool looks at Services one by one.
 */
export class PoolTally {
  readonly #services = new Map<ServiceKey, { readonly pool: string; readonly virtualServers: number }>();
  readonly #pools = new Map<string, Share>();

  /** What a Service has now; without a pool it has nothing. */
  set(service: ServiceKey, pool: string | undefined, virtualServers: number): void {
    const before = this.#services.get(service);
    if (before?.pool === pool && before?.virtualServers === virtualServers) return;
    if (before !== undefined) this.#take(service, before.pool, before.virtualServers);
    if (pool === undefined) this.#services.delete(service);
    else this.#give(service, pool, virtualServers);
  }

  /** Services that have addresses of the pool, in no particular order. */
  servicesOf(pool: string): ReadonlySet<ServiceKey> {
    return this.#pools.get(pool)?.services ?? NOBODY;
  }

  /** Virtual servers that they shall have on each director. */
  virtualServersOf(pool: string): number {
    return this.#pools.get(pool)?.virtualServers ?? 0;
  }

  #give(service: ServiceKey, pool: string, virtualServers: number): void {
    const share = this.#pools.get(pool) ?? { services: new Set(), virtualServers: 0 };
    share.services.add(service);
    share.virtualServers += virtualServers;
    this.#pools.set(pool, share);
    this.#services.set(service, { pool, virtualServers });
  }

  #take(service: ServiceKey, pool: string, virtualServers: number): void {
    const share = this.#pools.get(pool);
    if (share === undefined) return;
    share.services.delete(service);
    share.virtualServers -= virtualServers;
    if (share.services.size === 0) this.#pools.delete(pool);
  }
}
