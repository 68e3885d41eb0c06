import type { ClusterNode } from '../../operator/model/cluster-node.ts';
import type { IpAddress } from '../../operator/model/ip-address.ts';

type Overrides = Partial<Omit<ClusterNode, 'internalIPs'>> & { readonly internalIPs?: readonly string[] };

/** Node `node-1` with InternalIP 192.0.2.21. */
export function aNode({ internalIPs = ['192.0.2.21'], ...overrides }: Overrides = {}): ClusterNode {
  return {
    name: 'node-1',
    uid: 'node-1-uid',
    labels: {},
    deleting: false,
    hasBeenReady: true,
    silent: false,
    taintKeys: [],
    internalIPs: internalIPs as readonly IpAddress[],
    externalIPs: [],
    podRanges: [],
    ...overrides,
  };
}
