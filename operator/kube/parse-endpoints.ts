import { type IpFamily, parseIpAddress } from '../model/ip-address.ts';
import { type ServiceKey, serviceKey } from '../model/load-balanced-service.ts';
import type { EndpointGroup, EndpointPort, PodEndpoint, SilentEndpoint } from '../model/pod-endpoints.ts';
import { asArray, asRecord, asText, type KubeObject } from './kube-object.ts';

/** One EndpointSlice folded to what a load balancer needs: how many endpoints on which node, and where each one listens. */
export interface SliceEndpoints {
  readonly service: ServiceKey;
  readonly family: IpFamily;
  readonly readyByNode: ReadonlyMap<string, number>;
  /** Terminating, but still answering. */
  readonly servingTerminatingByNode: ReadonlyMap<string, number>;
  readonly group: EndpointGroup;
}

const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/**
 * @returns undefined for a slice that belongs to no Service or holds names instead of addresses. Endpoints that are on no node count on
 * none, but are in the group; an address that is none is left out.
 */
export function parseEndpointSlice(object: KubeObject): SliceEndpoints | undefined {
  const { namespace, labels } = object.metadata;
  const name = labels?.[SERVICE_NAME_LABEL];
  const family = object.addressType;
  if (namespace === undefined || !name || (family !== 'IPv4' && family !== 'IPv6')) return undefined;
  const readyByNode = new Map<string, number>();
  const servingTerminatingByNode = new Map<string, number>();
  const endpoints: PodEndpoint[] = [];
  const silent: SilentEndpoint[] = [];
  for (const entry of asArray(object.endpoints)) {
    const endpoint = asRecord(entry);
    const conditions = asRecord(endpoint.conditions);
    const state = stateOf(conditions);
    // Consumers use the first address; the API allows more and gives them no meaning (discovery/v1 Endpoint.addresses).
    const address = parseIpAddress(asText(asArray(endpoint.addresses)[0]) ?? '');
    const node = asText(endpoint.nodeName);
    const place = address && { address, ...(node !== undefined && { node }) };
    if (state === 'neither') {
      if (place) silent.push({ ...place, terminating: conditions.terminating === true });
      continue;
    }
    if (place) endpoints.push({ ...place, state });
    if (node !== undefined) add(state === 'ready' ? readyByNode : servingTerminatingByNode, node);
  }
  const group = { ports: asArray(object.ports).flatMap((port) => parsePort(asRecord(port))), endpoints, silent };
  return { service: serviceKey(namespace, name), family, readyByNode, servingTerminatingByNode, group };
}

/** discovery/v1 EndpointConditions: a missing `ready` means ready, a missing `serving` means as ready says. */
function stateOf(conditions: Readonly<Record<string, unknown>>): PodEndpoint['state'] | 'neither' {
  const ready = conditions.ready ?? true;
  if (ready === true) return 'ready';
  const serving = conditions.serving ?? ready;
  return serving === true && conditions.terminating === true ? 'serving terminating' : 'neither';
}

/** A port without a number means every port: nothing a Service port could be mapped to. */
function parsePort(entry: Readonly<Record<string, unknown>>): EndpointPort[] {
  const { name, protocol, port } = entry;
  if (typeof port !== 'number') return [];
  return [{ name: asText(name) ?? '', protocol: protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP', port }];
}

function add(counts: Map<string, number>, node: string): void {
  counts.set(node, (counts.get(node) ?? 0) + 1);
}
