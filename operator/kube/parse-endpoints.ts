import type { IpFamily } from '../model/ip-address.ts';
import { type ServiceKey, serviceKey } from '../model/load-balanced-service.ts';
import { asArray, asRecord, asText, type KubeObject } from './kube-object.ts';

/** One EndpointSlice folded to what a load balancer weighs: how many endpoints on which node. */
export interface SliceEndpoints {
  readonly service: ServiceKey;
  readonly family: IpFamily;
  readonly readyByNode: ReadonlyMap<string, number>;
  /** Terminating, but still answering. */
  readonly servingTerminatingByNode: ReadonlyMap<string, number>;
}

const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/**
 * @returns undefined for a slice that belongs to no Service or holds names instead of addresses. Endpoints that are on no
 * node are left out: traffic is sent to nodes.
 */
export function parseEndpointSlice(object: KubeObject): SliceEndpoints | undefined {
  const { namespace, labels } = object.metadata;
  const name = labels?.[SERVICE_NAME_LABEL];
  const family = object.addressType;
  if (namespace === undefined || !name || (family !== 'IPv4' && family !== 'IPv6')) return undefined;
  const readyByNode = new Map<string, number>();
  const servingTerminatingByNode = new Map<string, number>();
  for (const entry of asArray(object.endpoints)) {
    const endpoint = asRecord(entry);
    const node = asText(endpoint.nodeName);
    if (node === undefined) continue;
    const state = stateOf(asRecord(endpoint.conditions));
    if (state === 'ready') add(readyByNode, node);
    if (state === 'serving terminating') add(servingTerminatingByNode, node);
  }
  return { service: serviceKey(namespace, name), family, readyByNode, servingTerminatingByNode };
}

/** discovery/v1 EndpointConditions: a missing `ready` means ready, a missing `serving` means as ready says. */
function stateOf(conditions: Readonly<Record<string, unknown>>): 'ready' | 'serving terminating' | 'neither' {
  const ready = conditions.ready ?? true;
  if (ready === true) return 'ready';
  const serving = conditions.serving ?? ready;
  return serving === true && conditions.terminating === true ? 'serving terminating' : 'neither';
}

function add(counts: Map<string, number>, node: string): void {
  counts.set(node, (counts.get(node) ?? 0) + 1);
}
