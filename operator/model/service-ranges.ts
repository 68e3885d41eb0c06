import type { CidrRange } from './cidr-range.ts';

/** A ServiceCIDR (networking.k8s.io/v1): ranges from which the cluster takes its cluster IPs. */
export interface ServiceRanges {
  readonly name: string;
  readonly cidrs: readonly CidrRange[];
}
