import type { CidrRange } from './cidr-range.ts';
import type { IpAddress } from './ip-address.ts';
import type { LabelSet } from './labels.ts';
import type { ServiceKey } from './load-balanced-service.ts';

/** A Node as far as a load balancer cares. */
export interface ClusterNode {
  readonly name: string;
  readonly uid: string;
  readonly labels: LabelSet;
  readonly deleting: boolean;
  /** Its condition Ready has been True since it joined. Stays true whatever Ready says later: a node joins late, but is not thrown out. */
  readonly hasBeenReady: boolean;
  /** Its condition Ready is Unknown: nothing has been heard of its kubelet for so long that the control plane has given up waiting. */
  readonly silent: boolean;
  /** Keys of its taints. */
  readonly taintKeys: readonly string[];
  /** status.addresses of type InternalIP, in the order given. */
  readonly internalIPs: readonly IpAddress[];
  /** status.addresses of type ExternalIP: never a real server, and never a VIP. */
  readonly externalIPs: readonly IpAddress[];
  /** spec.podCIDRs: the addresses of its pods. */
  readonly podRanges: readonly CidrRange[];
  /** Its kube-proxy may not know all Services yet: it serves only those that have no other node. In here: the ones it serves already. */
  readonly settling?: ReadonlySet<ServiceKey>;
}
