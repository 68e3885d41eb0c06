import type { BalancingOptions } from './balancing-options.ts';
import type { IpFamily } from './ip-address.ts';
import type { LabelSelector } from './labels.ts';

/** Addresses first … last of one family, both included; first ≤ last. */
export interface AddressRange {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly last: bigint;
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
