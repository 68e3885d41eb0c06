import { rendezvous } from '../lib/rendezvous.ts';
import type { AddressPool } from '../model/address-pool.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import { matchesSelector } from '../model/labels.ts';
import type { LoadBalancedService, ServiceEndpoints, ServiceKey } from '../model/load-balanced-service.ts';
import { AUTOSCALER_DELETION_TAINT, EXCLUDE_NODE_LABEL, OUT_OF_SERVICE_TAINT } from '../model/names.ts';

/**
 * The nodes that are real servers of a Service, sorted by name: those of the service controller's node set (KEP-3458), in
 * the pool's nodeSelector, and with externalTrafficPolicy Local only those with a ready local endpoint or, where none is
 * ready, a serving terminating one (kube-proxy forwards to it, KEP-1669). NotReady and cordoned nodes stay: their kube-proxy
 * may well be working, and leaving would break connections that live; one that a person has declared out of service goes. A new node joins when it has been Ready once: before,
 * its kube-proxy knows no Service yet, and clients sent there are refused. While it settles it serves those that have nobody else. With nodeSubset
 * each Service has its own choice of these.
 */
export function selectNodes(
  nodes: Iterable<ClusterNode>,
  pool: AddressPool,
  service: LoadBalancedService,
  endpoints: ServiceEndpoints,
): readonly ClusterNode[] {
  const isLocal = service.externalTrafficPolicy === 'Local';
  const eligible = eligibleNodes(nodes, pool).filter(({ name }) => !isLocal || hasLocalEndpoint(name, endpoints));
  const serving = servingNodes(eligible, service.key);
  const { nodeSubset = Number.POSITIVE_INFINITY } = pool.balancing;
  return [...rendezvous(service.key, serving, nodeSubset, ({ name }) => name)].sort((a, b) =>
    a.name < b.name ? -1 : a.name > b.name ? 1 : 0,
  );
}

/** The nodes that may be real servers of some Service of the pool, in no particular order. */
export function eligibleNodes(nodes: Iterable<ClusterNode>, pool: AddressPool): ClusterNode[] {
  return [...nodes].filter(
    (node) =>
      takesExternalTraffic(node) &&
      (pool.nodeSelector === undefined || matchesSelector(node.labels, pool.nodeSelector)),
  );
}

/** Of eligible nodes those that need not settle, or serve the Service already; all of them when there are none: then nobody can stand in. */
export function servingNodes(eligible: readonly ClusterNode[], service?: ServiceKey): readonly ClusterNode[] {
  const settled = eligible.filter(
    ({ settling }) => settling === undefined || (service !== undefined && settling.has(service)),
  );
  return settled.length > 0 ? settled : eligible;
}

/** Whether traffic for a Service with externalTrafficPolicy Local may be sent to the node. */
export function hasLocalEndpoint(node: string, { readyByNode, servingTerminatingByNode }: ServiceEndpoints): boolean {
  return (readyByNode.get(node) ?? 0) > 0 || (servingTerminatingByNode.get(node) ?? 0) > 0;
}

function takesExternalTraffic(node: ClusterNode): boolean {
  return (
    node.hasBeenReady && !node.deleting && !isExcluded(node) && !node.taintKeys.some((key) => LEAVING_TAINTS.has(key))
  );
}

const LEAVING_TAINTS: ReadonlySet<string> = new Set([AUTOSCALER_DELETION_TAINT, OUT_OF_SERVICE_TAINT]);

/** What Go's strconv.ParseBool reads as false; anything else, nonsense included, excludes (service controller of Kubernetes 1.36). */
const FALSE_TEXTS = new Set(['0', 'f', 'F', 'false', 'False', 'FALSE']);

function isExcluded(node: ClusterNode): boolean {
  const value = node.labels[EXCLUDE_NODE_LABEL];
  return value !== undefined && !FALSE_TEXTS.has(value);
}
