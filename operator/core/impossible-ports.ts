import type { LoadBalancedService, ServiceEndpoints, ServicePort } from '../model/load-balanced-service.ts';
import { API_GROUP } from '../model/names.ts';
import type { PortProblem } from '../model/port-problem.ts';
import type { EffectiveBalancing } from './effective-balancing.ts';
import { targetPort } from './pod-backends.ts';

/** Why a port of a Service cannot be balanced as asked, found before anything is programmed; undefined when it can. */
export function portProblem(
  service: LoadBalancedService,
  port: ServicePort,
  balancing: EffectiveBalancing,
  endpoints: Pick<ServiceEndpoints, 'groups'>,
): PortProblem | undefined {
  const say = (error: string, message: string): PortProblem => ({
    port: port.port,
    protocol: port.protocol,
    error: `${API_GROUP}/${error}`,
    message: `Port ${port.port}/${port.protocol} ${message}`,
  });
  const { forwardingMethod, backends, udpOnePacket } = balancing;
  if (backends === 'Nodes' && forwardingMethod === 'Masquerading' && port.nodePort <= 0) {
    const cause = service.allocatesNodePorts ? 'yet' : 'because spec.allocateLoadBalancerNodePorts is false';
    return say(
      'NoNodePort',
      `has no node port ${cause}, and forwarding method Masquerading sends to node ports. ` +
        'Set allocateLoadBalancerNodePorts to true, or use a pool or annotation with forwarding method DirectRouting or backends Pods.',
    );
  }
  if (port.protocol === 'UDP' && udpOnePacket && service.clientIpAffinitySeconds !== undefined) {
    return say(
      'PersistentOnePacket',
      'cannot have both sessionAffinity ClientIP and one-packet scheduling: each datagram would go its own way. ' +
        'Set sessionAffinity to None, or use a pool or annotation without one-packet scheduling.',
    );
  }
  const target = backends === 'Pods' && forwardingMethod === 'Tunneling' ? otherTarget(port, endpoints) : undefined;
  if (target !== undefined) {
    return say(
      'TargetPortDiffers',
      `is port ${target} of the pods, and a tunnel translates no ports. Make targetPort equal to port, or use Masquerading or backends Nodes.`,
    );
  }
  return undefined;
}

function otherTarget(port: ServicePort, { groups }: Pick<ServiceEndpoints, 'groups'>): number | undefined {
  return groups
    .filter(({ endpoints }) => endpoints.length > 0)
    .map((group) => targetPort(group, port))
    .find((target) => target !== undefined && target !== port.port);
}
