import type { AddressPool } from '../model/address-pool.ts';
import { familyOfRange } from '../model/cidr-range.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import { familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { LoadBalancedService, ServiceEndpoints, ServicePort } from '../model/load-balanced-service.ts';
import type { PortProblem } from '../model/port-problem.ts';
import {
  compareVirtualServerKeys,
  type Persistence,
  type Protocol,
  type RealServer,
  type VirtualServer,
} from '../model/virtual-server.ts';
import type { Backend } from './backend.ts';
import { type EffectiveBalancing, effectiveBalancing } from './effective-balancing.ts';
import { portProblem } from './impossible-ports.ts';
import { type NodeBackends, nodesAtPort, nodesOfFamily, weightedNodes } from './node-backends.ts';
import { podsAtPort } from './pod-backends.ts';

/** What the virtual servers of one Service follow from. */
export interface DesiredInput {
  readonly service: LoadBalancedService;
  readonly endpoints: ServiceEndpoints;
  /** All nodes of the cluster. */
  readonly nodes: Iterable<ClusterNode>;
  readonly pool: AddressPool;
  readonly addresses: readonly IpAddress[];
  /** Addresses that no pod has, with whose they are; asked for with backends Pods only. */
  readonly reserved: () => ReadonlyMap<IpAddress, string>;
}

/** The virtual servers a Service shall have on every director of its pool. */
export interface DesiredVirtualServers {
  /** Sorted by address, port, protocol. */
  readonly virtualServers: readonly VirtualServer[];
  /** Why nothing of the Service can be programmed, one sentence each with the remedy. */
  readonly problems: readonly string[];
  /** Ports that cannot be; the others go on. */
  readonly portProblems: readonly PortProblem[];
  /** What a person should know although it works. */
  readonly notes: readonly string[];
}

/**
 * One virtual server per address and Service port; its real servers are nodes, at the Service's own port with DirectRouting and Tunneling
 * (kube-proxy matches VIP:port) and at the node port with Masquerading; or the pods themselves.
 *
 * A Service without any ready endpoint keeps its nodes under externalTrafficPolicy Cluster: their kube-proxy rejects the
 * connection, which is what a client should see, and the table does not flap while the last pod restarts. Under Local the
 * virtual server stays with no real server, and the director rejects.
 *
 * Source ranges are kept by the directors with every forwarding method. kube-proxy would do it for DirectRouting and Tunneling, but not at
 * node ports and pods; one rule for all is easier to trust, and what the director drops takes no room in its connection table.
 */
export function desiredVirtualServers(input: DesiredInput): DesiredVirtualServers {
  const { service, pool, addresses, endpoints } = input;
  const balancing = effectiveBalancing(pool, service);
  const portProblems = service.ports.flatMap((port) => portProblem(service, port, balancing, endpoints) ?? []);
  const possible = service.ports.filter(({ port, protocol }) => !portProblems.some(isAbout(port, protocol)));
  const problems = new Set(balancing.problems);
  if (possible.length === 0) for (const { message } of portProblems) problems.add(message);
  const notes = new Set(balancing.notes);
  const backendsOf = balancing.backends === 'Pods' ? podsOf(input) : nodesOf(input, balancing);
  const virtualServers: VirtualServer[] = [];
  for (const address of addresses) {
    for (const note of closedToFamily(address, service)) notes.add(note);
    for (const port of possible) {
      const found = backendsOf(familyOf(address), port);
      for (const problem of found.problems ?? []) problems.add(problem);
      for (const note of found.notes) notes.add(note);
      virtualServers.push(virtualServer(address, port, found.backends, service, balancing));
    }
  }
  virtualServers.sort(compareVirtualServerKeys);
  return { virtualServers, problems: [...problems], portProblems, notes: [...notes] };
}

/** Where packets of one family at one port go. */
type BackendsOf = (
  family: IpFamily,
  port: ServicePort,
) => {
  readonly backends: readonly Backend[];
  readonly problems?: readonly string[];
  readonly notes: readonly string[];
};

function nodesOf(input: DesiredInput, balancing: EffectiveBalancing): BackendsOf {
  const weighted = weightedNodes(input, balancing);
  const byFamily = new Map<IpFamily, NodeBackends>();
  return (family, port) => {
    const nodes = byFamily.get(family) ?? nodesOfFamily(weighted, family);
    byFamily.set(family, nodes);
    return { ...nodes, backends: nodesAtPort(nodes, port, balancing) };
  };
}

function podsOf({ endpoints, reserved }: DesiredInput): BackendsOf {
  const machinery = reserved();
  return (family, port) => podsAtPort(endpoints, port, family, machinery);
}

function isAbout(port: number, protocol: Protocol): (problem: PortProblem) => boolean {
  return (problem) => problem.port === port && problem.protocol === protocol;
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
