import type { AddressPool } from '../model/address-pool.ts';
import { familyOfRange } from '../model/cidr-range.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import { familyOf, type IpAddress } from '../model/ip-address.ts';
import type { LoadBalancedService, ServiceEndpoints, ServicePort } from '../model/load-balanced-service.ts';
import {
  compareVirtualServerKeys,
  type Persistence,
  type RealServer,
  type VirtualServer,
} from '../model/virtual-server.ts';
import type { Backend } from './backend.ts';
import { type EffectiveBalancing, effectiveBalancing } from './effective-balancing.ts';
import { nodesAtPort, nodesOfFamily, weightedNodes } from './node-backends.ts';

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
 * One virtual server per address and Service port; its real servers are nodes, at the Service's own port with DirectRouting and Tunneling
 * (kube-proxy matches VIP:port) and at the node port with Masquerading.
 *
 * A Service without any ready endpoint keeps its nodes under externalTrafficPolicy Cluster: their kube-proxy rejects the
 * connection, which is what a client should see, and the table does not flap while the last pod restarts. Under Local the
 * virtual server stays with no real server, and the director rejects.
 *
 * Source ranges are kept by the directors with every forwarding method. kube-proxy would do it for DirectRouting and Tunneling, but not at
 * node ports and pods; one rule for all is easier to trust, and what the director drops takes no room in its connection table.
 */
export function desiredVirtualServers(input: DesiredInput): DesiredVirtualServers {
  const { service, pool, addresses } = input;
  const balancing = effectiveBalancing(pool, service);
  const problems = [...balancing.problems];
  const notes = [...balancing.notes];
  const ports = service.ports.filter((port) => {
    const reachable = balancing.forwardingMethod !== 'Masquerading' || port.nodePort > 0;
    if (!reachable) problems.push(missingNodePort(service, port));
    return reachable;
  });
  const weighted = weightedNodes(input, balancing);
  const virtualServers: VirtualServer[] = [];
  for (const address of addresses) {
    const nodes = nodesOfFamily(weighted, familyOf(address));
    problems.push(...nodes.problems);
    notes.push(...nodes.notes, ...closedToFamily(address, service));
    for (const port of ports) {
      const backends = nodesAtPort(nodes, port, balancing);
      virtualServers.push(virtualServer(address, port, backends, service, balancing));
    }
  }
  virtualServers.sort(compareVirtualServerKeys);
  return { virtualServers, problems: [...new Set(problems)], notes: [...new Set(notes)] };
}

function virtualServer(
  address: IpAddress,
  { port, protocol }: ServicePort,
  backends: readonly Backend[],
  service: LoadBalancedService,
  balancing: EffectiveBalancing,
): VirtualServer {
  const { forwardingMethod, mssClamp, scheduler, schedulerFlags, drainSeconds } = balancing;
  const { sourceRanges } = service;
  const persistence = persistenceOf(address, service, balancing);
  const clamped = forwardingMethod === 'Tunneling' && protocol === 'TCP' ? mssClamp : undefined;
  return {
    address,
    port,
    protocol,
    scheduler,
    schedulerFlags,
    ...(persistence && { persistence }),
    onePacket: protocol === 'UDP' && balancing.udpOnePacket,
    drainSeconds,
    ...(forwardingMethod === 'Masquerading' && balancing.snat && { masquerade: true }),
    ...(sourceRanges.length > 0 && { sourceRanges }),
    ...(clamped !== undefined && { mssClamp: clamped }),
    realServers: backends.map((backend) => realServer(backend, balancing)),
  };
}

function realServer({ address, port, weight }: Backend, balancing: EffectiveBalancing): RealServer {
  const { forwardingMethod, connectionThresholds, tunnel } = balancing;
  return {
    address,
    port,
    weight,
    forwardingMethod,
    upperThreshold: connectionThresholds.upper,
    lowerThreshold: connectionThresholds.lower,
    ...(forwardingMethod === 'Tunneling' && { tunnel }),
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

/** Source ranges of one family let in nobody at an address of the other. */
function closedToFamily(address: IpAddress, { sourceRanges }: LoadBalancedService): readonly string[] {
  const family = familyOf(address);
  if (sourceRanges.length === 0 || sourceRanges.some((range) => familyOfRange(range) === family)) return [];
  return [
    `spec.loadBalancerSourceRanges has no ${family} range, so address ${address} lets in nobody: add one, such as ${family === 'IPv4' ? '0.0.0.0/0' : '::/0'} for everyone.`,
  ];
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
