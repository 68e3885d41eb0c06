import type { BalancingOptions } from './balancing-options.ts';
import type { IpAddress, IpFamily } from './ip-address.ts';
import type { LabelSelector } from './labels.ts';
import type { ServiceKey } from './load-balanced-service.ts';

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
  /** Different addresses that the Services of one namespace may have of the pool; 0 is no limit. */
  readonly quotaPerNamespace: number;
  /** Whether Services of different namespaces may share an address. */
  readonly sharingAcrossNamespaces: boolean;
}

/** An address that is kept for one Service, which may not exist yet. */
export interface Reservation {
  readonly address: IpAddress;
  readonly service: ServiceKey;
}

/** A released address that nobody but the Service of that name gets for a while. */
export interface HeldAddress extends Reservation {
  /** Milliseconds since the epoch. */
  readonly until: number;
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
  readonly reservations: readonly Reservation[];
  /** How long a released address is held for the same namespace and name, 0 … 2,592,000 seconds. */
  readonly releaseDelaySeconds: number;
  readonly directorSelector: LabelSelector;
  readonly nodeSelector?: LabelSelector;
  readonly balancing: BalancingOptions;
  /** Overrides the derived `ipMode` of published addresses. */
  readonly ipMode?: 'VIP' | 'Proxy';
}
