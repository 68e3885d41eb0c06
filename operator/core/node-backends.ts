import type { ClusterNode } from '../model/cluster-node.ts';
import { addressToNumber, familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { ServicePort } from '../model/load-balanced-service.ts';
import type { Backend } from './backend.ts';
import type { DesiredInput } from './desired-virtual-servers.ts';
import type { EffectiveBalancing } from './effective-balancing.ts';
import { selectNodes } from './select-nodes.ts';

/** The nodes of one address family that serve a Service, and what people should know about them. */
export interface NodeBackends {
  readonly hosts: readonly Host[];
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

export interface Host {
  readonly address: IpAddress;
  /** The address as a number, computed once for sorting. */
  readonly order: bigint;
  readonly weight: number;
}

export interface WeightedNode {
  readonly node: ClusterNode;
  readonly weight: number;
}

/**
 * The nodes that serve a Service. With externalTrafficPolicy Local a node whose endpoints are all terminating gets weight 0 while another
 * has ready ones: its connections live on, new ones go where they will last. Weights by ready pods fall back to equal ones when no pod is
 * ready, because a virtual server with nothing but zero weights drops every packet.
 */
export function weightedNodes(input: DesiredInput, { weights }: EffectiveBalancing): readonly WeightedNode[] {
  const { service, endpoints, pool } = input;
  const nodes = selectNodes(input.nodes, pool, service, endpoints);
  const ready = (node: ClusterNode) => endpoints.readyByNode.get(node.name) ?? 0;
  const anyReady = nodes.some((node) => ready(node) > 0);
  return nodes.map((node) => {
    if (!anyReady) return { node, weight: 1 };
    if (weights === 'ReadyPods') return { node, weight: ready(node) };
    return { node, weight: service.externalTrafficPolicy === 'Local' && ready(node) === 0 ? 0 : 1 };
  });
}

/** The first InternalIP of the family of each node; a node without one cannot serve this address. */
export function nodesOfFamily(weighted: readonly WeightedNode[], family: IpFamily): NodeBackends {
  const byAddress = new Map<IpAddress, string>();
  const hosts: Host[] = [];
  const notes: string[] = [];
  for (const { node, weight } of weighted) {
    const address = node.internalIPs.find((ip) => familyOf(ip) === family);
    if (address === undefined) continue;
    const twin = byAddress.get(address);
    if (twin !== undefined) {
      notes.push(
        `Nodes ${twin} and ${node.name} both report InternalIP ${address}; only ${twin} is used. Correct the address of one.`,
      );
      continue;
    }
    byAddress.set(address, node.name);
    hosts.push({ address, order: addressToNumber(address), weight });
  }
  const lacking = hosts.length === 0 && weighted.length > 0;
  const problems = lacking
    ? [
        `None of the ${weighted.length} eligible nodes has an ${family} InternalIP, so its ${family} address reaches no node. Give the nodes ${family} addresses or remove ${family} from spec.ipFamilies.`,
      ]
    : [];
  hosts.sort((a, b) => (a.order < b.order ? -1 : 1));
  return { hosts, problems, notes };
}

/**
 * The hosts at the port of a Service: its own with DirectRouting and Tunneling, where kube-proxy matches VIP:port, its node port with
 * Masquerading. All have the same port, so the order of the addresses is that of compareRealServers.
 */
export function nodesAtPort(
  { hosts }: NodeBackends,
  { port, nodePort }: ServicePort,
  { forwardingMethod }: EffectiveBalancing,
): readonly Backend[] {
  const at = forwardingMethod === 'Masquerading' ? nodePort : port;
  return hosts.map(({ address, weight }) => ({ address, port: at, weight }));
}
