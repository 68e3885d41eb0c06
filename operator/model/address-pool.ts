import type { IpFamily } from './ip-address.ts';
import type { LabelSelector } from './labels.ts';
import type { ForwardingMethod, Scheduler, SchedulerFlag } from './virtual-server.ts';

/** Addresses first … last of one family, both included; first ≤ last. */
export interface AddressRange {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly last: bigint;
}

/** How real servers of a virtual server are weighted: all 1, or by the number of ready pods on the node. */
export type Weights = 'Equal' | 'ReadyPods';

/** A day: what has not ended by then is not waiting to end. The helper has the same limit. */
export const LONGEST_DRAIN_SECONDS = 86_400;

/** How the pool's virtual servers work on the directors; a Service may override parts by annotation. */
export interface BalancingOptions {
  readonly forwardingMethod: ForwardingMethod;
  readonly scheduler: Scheduler;
  readonly schedulerFlags: readonly SchedulerFlag[];
  readonly connectionThresholds: { readonly upper: number; readonly lower: number };
  readonly udpOnePacket: boolean;
  /** Prefix length for persistence, IPv4 only; IPv6 persistence is always per address (/128). */
  readonly persistencePrefixLength: number;
  readonly weights: Weights;
  /** Longest time at weight 0 before a real server that leaves is removed, 0 … 86,400 seconds. */
  readonly drainSeconds: number;
}

/** Who may take addresses from a pool. An empty list does not restrict. */
export interface ServiceAllocation {
  /** Lower is preferred, as in MetalLB; 0 (unset) comes last. */
  readonly priority: number;
  readonly namespaces: readonly string[];
  readonly namespaceSelectors: readonly LabelSelector[];
  readonly serviceSelectors: readonly LabelSelector[];
}

/** A parsed LoadBalancerPool. */
export interface AddressPool {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** Milliseconds since the epoch; of two pools that overlap the later one yields. */
  readonly createdAt: number;
  readonly deleting: boolean;
  /** Sorted, merged, without the excluded addresses: exactly what may be handed out. */
  readonly ranges: readonly AddressRange[];
  readonly autoAssign: boolean;
  readonly paused: boolean;
  readonly serviceAllocation: ServiceAllocation;
  readonly directorSelector: LabelSelector;
  readonly nodeSelector?: LabelSelector;
  readonly balancing: BalancingOptions;
  /** Overrides the derived `ipMode` of published addresses. */
  readonly ipMode?: 'VIP' | 'Proxy';
}
