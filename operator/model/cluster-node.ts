import type { IpAddress } from './ip-address.ts';
import type { LabelSet } from './labels.ts';

/** A Node as far as a load balancer cares. */
export interface ClusterNode {
  readonly name: string;
  readonly labels: LabelSet;
  readonly deleting: boolean;
  /** Keys of its taints. */
  readonly taintKeys: readonly string[];
  /** status.addresses of type InternalIP, in the order given. */
  readonly internalIPs: readonly IpAddress[];
}
