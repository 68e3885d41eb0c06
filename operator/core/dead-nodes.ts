import type { ClusterNode } from '../model/cluster-node.ts';
import { OUT_OF_SERVICE_TAINT } from '../model/names.ts';

/** What is known of nodes that are dead. */
export interface NodeDeaths {
  /** Whether the node of this name is dead. */
  hasNode(name: string): boolean;
  /** Whether the address was a dead node's, and is no living one's. */
  hasAddress(address: string): boolean;
}

/** Of so few silent nodes each is believed to be dead, however few others there are (kube-controller-manager, ComputeZoneState). */
const FEW = 2;
/** When so large a share of the nodes is silent, none is believed to be dead (its --unhealthy-zone-threshold). */
const TOO_MANY = 0.55;

/**
 * The nodes that are dead, as far as the API can tell: nothing that is open there goes on, and a drain would only keep clients there.
 *
 * A node that is silent has not been heard of for 40 s or more (--node-monitor-grace-period), and the control plane has taken its pods out of all Services. That is
 * no proof: a kubelet can stop on a machine that goes on forwarding. So it puts no node out of any table (KEP-3458: NotReady nodes stay);
 * but when such a node leaves, nobody is there to end its connections in order. A node that says itself that it is not ready is alive. When
 * most nodes fall silent together it is the control plane that is cut off, and Kubernetes itself stops evicting: then silence says nothing.
 *
 * A node that is out of service is off: a person has said so.
 */
export function deadNodes(nodes: readonly ClusterNode[]): readonly ClusterNode[] {
  const silent = nodes.filter((node) => node.silent).length;
  const isBelieved = silent < nodes.length && (silent <= FEW || silent / nodes.length < TOO_MANY);
  return nodes.filter((node) => node.taintKeys.includes(OUT_OF_SERVICE_TAINT) || (node.silent && isBelieved));
}
