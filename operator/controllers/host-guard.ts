import { type HostAddresses, hostAddresses, withoutHosts } from '../core/host-addresses.ts';
import type { AddressPool, AddressRange } from '../model/address-pool.ts';
import { API_SERVER } from '../model/load-balanced-service.ts';
import type { Cluster } from './ports.ts';

/** Keeps the addresses of nodes, pods, directors, the API server, cluster IPs and the configuration's list out of every pool. */
export class HostGuard {
  readonly #cluster: Cluster;
  readonly #neverAssign: readonly AddressRange[];
  #hosts: readonly HostAddresses[] = [];
  #print = '';

  constructor(cluster: Cluster, neverAssign: readonly AddressRange[]) {
    this.#cluster = cluster;
    this.#neverAssign = neverAssign;
  }

  /** Looks at all of them again. @returns whether an address came or went. */
  refresh(): boolean {
    const directors = [...this.#cluster.directors()].flatMap((director) => (director.ok ? [director.value] : []));
    this.#hosts = hostAddresses({
      nodes: this.#cluster.nodes(),
      directors,
      apiServer: this.#cluster.endpoints(API_SERVER),
      serviceRanges: this.#cluster.serviceRanges(),
      neverAssign: this.#neverAssign,
    });
    const before = this.#print;
    this.#print = this.#hosts.map(({ range, owner }) => `${range.first}-${range.last} ${owner}`).join();
    return this.#print !== before;
  }

  /** Every pool that can be read, without what hosts have. */
  pools(): readonly AddressPool[] {
    return [...this.#cluster.pools()].flatMap((pool) => (pool.ok ? [withoutHosts(pool.value, this.#hosts).pool] : []));
  }

  /** What of a pool hosts have. */
  takenFrom(pool: AddressPool): readonly HostAddresses[] {
    return withoutHosts(pool, this.#hosts).taken;
  }
}
