import { type DampedWeights, dampWeights, type SentWeights } from '../core/damped-weights.ts';
import type { NodeDeaths } from '../core/dead-nodes.ts';
import { type Departures, hasDeath, tellGone } from '../core/departures.ts';
import { type SentNodes, type SettledNodes, settleNodes } from '../core/settled-nodes.ts';
import type { AddressPool } from '../model/address-pool.ts';
import type { Backends } from '../model/balancing-options.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import type { VirtualServer } from '../model/virtual-server.ts';
import type { Clock, Cluster } from './ports.ts';

export interface SentBackendsParts {
  readonly cluster: Pick<Cluster, 'endpoints'>;
  /** Nodes that are dead. */
  readonly deaths: NodeDeaths;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** How long a node with a new endpoint waits for its kube-proxy. */
  readonly newEndpointMs: number;
}

/** What to ask of the directors now; `dueMs`: in how long to look again, because weights or nodes wait. */
export interface NextBackends {
  readonly virtualServers: readonly VirtualServer[];
  readonly dueMs?: number;
}

/** What depends not only on how things are, but also on what was asked of the directors before: who waits, and who has left for good. */
export class SentBackends {
  readonly #parts: SentBackendsParts;
  /** What was asked for last, and when, of Services whose weights count pods. */
  readonly #weights = new Map<ServiceKey, SentWeights>();
  /** The same, of Services whose nodes wait for their kube-proxy. */
  readonly #settling = new Map<ServiceKey, SentNodes>();
  /** The same, with who has left and may still drain. */
  readonly #departed = new Map<ServiceKey, Departures>();

  constructor(parts: SentBackendsParts) {
    this.#parts = parts;
  }

  /** What to ask for instead of what follows from the cluster alone. */
  next(service: LoadBalancedService, pool: AddressPool, wanted: readonly VirtualServer[]): NextBackends {
    const backends = service.overrides.backends ?? pool.balancing.backends;
    const settled = this.#settled(service, backends, wanted);
    const damped = this.#damped(service.key, settled.virtualServers);
    const dueMs = Math.min(settled.dueMs ?? Number.POSITIVE_INFINITY, damped.dueMs ?? Number.POSITIVE_INFINITY);
    const departures = this.#departures(service.key, backends, damped.virtualServers);
    return { virtualServers: departures.virtualServers, ...(Number.isFinite(dueMs) && { dueMs }) };
  }

  /** Services whose directors still drain somebody who is dead now, and do not know it. */
  bereaved(): ServiceKey[] {
    const { deaths } = this.#parts;
    return [...this.#departed].filter(([, departures]) => hasDeath(departures, deaths)).map(([key]) => key);
  }

  forget(key: ServiceKey): void {
    this.#weights.delete(key);
    this.#settling.delete(key);
    this.#departed.delete(key);
  }

  /** Only a node whose kube-proxy serves local endpoints alone has to wait for it. */
  #settled(
    { key, externalTrafficPolicy }: LoadBalancedService,
    backends: Backends,
    wanted: readonly VirtualServer[],
  ): SettledNodes {
    if (externalTrafficPolicy !== 'Local' || backends !== 'Nodes') {
      this.#settling.delete(key);
      return { virtualServers: wanted, waiting: new Map() };
    }
    const { clock, newEndpointMs: settleMs } = this.#parts;
    const settled = settleNodes(this.#settling.get(key), wanted, { now: clock.monotonic(), settleMs });
    this.#settling.set(key, settled);
    return settled;
  }

  #damped(key: ServiceKey, wanted: readonly VirtualServer[]): DampedWeights {
    // Only weights that count pods are worth remembering.
    if (!wanted.some(({ realServers }) => realServers.some(({ weight }) => weight > 1))) {
      this.#weights.delete(key);
      return { virtualServers: wanted, at: 0 };
    }
    const damped = dampWeights(this.#weights.get(key), wanted, this.#parts.clock.monotonic());
    this.#weights.set(key, damped);
    return damped;
  }

  #departures(key: ServiceKey, backends: Backends, wanted: readonly VirtualServer[]): Departures {
    const { cluster, clock, deaths } = this.#parts;
    const departures = tellGone(this.#departed.get(key), wanted, {
      nodes: deaths,
      now: clock.monotonic(),
      ...(backends === 'Pods' && { groups: cluster.endpoints(key).groups }),
    });
    this.#departed.set(key, departures);
    return departures;
  }
}
