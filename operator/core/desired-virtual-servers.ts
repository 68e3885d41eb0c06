import type { AddressPool } from '../model/address-pool.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import { addressToNumber, familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { LoadBalancedService, ServiceEndpoints, ServicePort } from '../model/load-balanced-service.ts';
import {
  compareVirtualServerKeys,
  type Persistence,
  type RealServer,
  type VirtualServer,
} from '../model/virtual-server.ts';
import { type EffectiveBalancing, effectiveBalancing } from './effective-balancing.ts';
import { selectNodes } from './select-nodes.ts';

/** What the virtual servers of one Service follow from. */
export interface DesiredInput {
  readonly service: LoadBalancedService;
  readonly endpoints: ServiceEndpoints;
  /** All nodes of the cluster. */
  readonly nodes: Iterable<ClusterNode>;
  readonly pool: AddressPool;
  readonly addresses: readonly IpAddress[];
}

/** The virtual servers a Service shall have on every director of its pool. */
export interface DesiredVirtualServers {
  /** Sorted by address, port, protocol. */
  readonly virtualServers: readonly VirtualServer[];
  /** What cannot be programmed, one sentence each with the remedy. */
  readonly problems: readonly string[];
  /** What a person should know although it works. */
  readonly notes: readonly string[];
}

/**
 * One virtual server per address and Service port; its real servers are nodes, at the Service's own port with DirectRouting
 * (kube-proxy matches VIP:port) and at the node port with Masquerading.
 *
 * A Service without any ready endpoint keeps its nodes under externalTrafficPolicy Cluster: their kube-proxy rejects the
 * connection, which is what a client should see, and the table does not flap while the last pod restarts. Under Local the
 * virtual server stays with no real server, and the director rejects.
 */
export function desiredVirtualServers(input: DesiredInput): DesiredVirtualServers {
  const { service, pool, addresses } = input;
  const balancing = effectiveBalancing(pool, service);
  const problems = [...balancing.problems];
  const notes = [...balancing.notes];
  const ports = service.ports.filter((port) => {
    const reachable = balancing.forwardingMethod === 'DirectRouting' || port.nodePort > 0;
    if (!reachable) problems.push(missingNodePort(service, port));
    return reachable;
  });
  const weighted = weightedNodes(input, balancing);
  const virtualServers: VirtualServer[] = [];
  for (const address of addresses) {
    const hosts = hostsOfFamily(weighted, familyOf(address), problems, notes);
    for (const port of ports) virtualServers.push(virtualServer(address, port, hosts, service, balancing));
  }
  virtualServers.sort(compareVirtualServerKeys);
  return { virtualServers, problems: [...new Set(problems)], notes: [...new Set(notes)] };
}

interface WeightedNode {
  readonly node: ClusterNode;
  readonly weight: number;
}

interface Host {
  readonly address: IpAddress;
  /** The address as a number, computed once for sorting. */
  readonly order: bigint;
  readonly weight: number;
}

/**
 * With externalTrafficPolicy Local a node whose endpoints are all terminating gets weight 0 while another has ready ones: its
 * connections live on, new ones go where they will last. Weights by ready pods fall back to equal ones when no pod is ready,
 * because a virtual server with nothing but zero weights drops every packet.
 */
function weightedNodes(input: DesiredInput, { weights }: EffectiveBalancing): readonly WeightedNode[] {
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
function hostsOfFamily(
  weighted: readonly WeightedNode[],
  family: IpFamily,
  problems: string[],
  notes: string[],
): readonly Host[] {
  const byAddress = new Map<IpAddress, string>();
  const hosts: Host[] = [];
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
  if (hosts.length === 0 && weighted.length > 0) {
    problems.push(
      `None of the ${weighted.length} eligible nodes has an ${family} InternalIP, so its ${family} address reaches no node. Give the nodes ${family} addresses or remove ${family} from spec.ipFamilies.`,
    );
  }
  // All real servers of a virtual server have the same port, so this is the order of compareRealServers.
  return hosts.sort((a, b) => (a.order < b.order ? -1 : 1));
}

function virtualServer(
  address: IpAddress,
  { port, protocol, nodePort }: ServicePort,
  hosts: readonly Host[],
  service: LoadBalancedService,
  balancing: EffectiveBalancing,
): VirtualServer {
  const { forwardingMethod, connectionThresholds, scheduler, schedulerFlags, drainSeconds } = balancing;
  const realServers = hosts.map(
    (host): RealServer => ({
      address: host.address,
      port: forwardingMethod === 'DirectRouting' ? port : nodePort,
      weight: host.weight,
      forwardingMethod,
      upperThreshold: connectionThresholds.upper,
      lowerThreshold: connectionThresholds.lower,
    }),
  );
  const persistence = persistenceOf(address, service, balancing);
  return {
    address,
    port,
    protocol,
    scheduler,
    schedulerFlags,
    ...(persistence && { persistence }),
    onePacket: protocol === 'UDP' && balancing.udpOnePacket,
    drainSeconds,
    realServers,
  };
}

function persistenceOf(
  address: IpAddress,
  { clientIpAffinitySeconds }: LoadBalancedService,
  { persistencePrefixLength }: EffectiveBalancing,
): Persistence | undefined {
  if (clientIpAffinitySeconds === undefined) return undefined;
  const prefixLength = familyOf(address) === 'IPv4' ? persistencePrefixLength : 128;
  return { timeoutSeconds: clientIpAffinitySeconds, prefixLength };
}

function missingNodePort(service: LoadBalancedService, { port, protocol }: ServicePort): string {
  const cause = service.allocatesNodePorts
    ? 'has no node port yet'
    : 'has no node port because spec.allocateLoadBalancerNodePorts is false';
  return (
    `Port ${port}/${protocol} ${cause}, and forwarding method Masquerading sends to node ports. ` +
    'Set allocateLoadBalancerNodePorts to true, or use a pool or annotation with forwarding method DirectRouting.'
  );
}
