import type { AllocationRecord } from './allocation-record.ts';
import type { Backends, Weights } from './balancing-options.ts';
import type { CidrRange } from './cidr-range.ts';
import type { Condition } from './condition.ts';
import type { IpAddress, IpFamily } from './ip-address.ts';
import type { LabelSet } from './labels.ts';
import type { EndpointGroup } from './pod-endpoints.ts';
import type { ForwardingMethod, Protocol, Scheduler, SchedulerFlag } from './virtual-server.ts';

/** `namespace/name`: what queues, lanes and messages call a Service. */
export type ServiceKey = string & { readonly __brand: 'ServiceKey' };

/** See {@link ServiceKey}. */
export function serviceKey(namespace: string, name: string): ServiceKey {
  return `${namespace}/${name}` as ServiceKey;
}

/** The Service behind which the API servers are; the control plane keeps its EndpointSlices. */
export const API_SERVER = serviceKey('default', 'kubernetes');

/** One port of a Service. */
export interface ServicePort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** 0 when none is allocated. */
  readonly nodePort: number;
}

/** One entry of `status.loadBalancer.ingress`. */
export interface Ingress {
  readonly ip: IpAddress;
  readonly ipMode: 'VIP' | 'Proxy';
  readonly ports?: readonly { readonly port: number; readonly protocol: Protocol; readonly error?: string }[];
}

/** What a Service asks for through annotations of our group and `spec.loadBalancerIP`. */
export interface AddressRequest {
  /** At most one address per family. */
  readonly addresses: readonly IpAddress[];
  readonly pool?: string;
  /** Services with the same key may share an address. */
  readonly sharingKey?: string;
  /** A value that was not seen before asks once for other addresses. */
  readonly reallocate?: string;
}

/** A Service as far as a load balancer cares, parsed once at the door. */
export interface LoadBalancedService {
  readonly key: ServiceKey;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly resourceVersion: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly labels: LabelSet;
  /** type LoadBalancer, class ours, not being deleted: it shall have an address and virtual servers. */
  readonly wanted: boolean;
  readonly deleting: boolean;
  readonly finalizers: readonly string[];
  readonly ports: readonly ServicePort[];
  /** In the order the user gave; the first is primary. */
  readonly ipFamilies: readonly IpFamily[];
  readonly ipFamilyPolicy: 'SingleStack' | 'PreferDualStack' | 'RequireDualStack';
  readonly externalTrafficPolicy: 'Cluster' | 'Local';
  /** Set when sessionAffinity is ClientIP. */
  readonly clientIpAffinitySeconds?: number;
  readonly allocatesNodePorts: boolean;
  /** Clients that may use it (loadBalancerSourceRanges or its older annotation), sorted; empty: everyone. */
  readonly sourceRanges: readonly CidrRange[];
  readonly request: AddressRequest;
  readonly overrides: {
    readonly scheduler?: Scheduler;
    readonly schedulerFlags?: readonly SchedulerFlag[];
    readonly forwardingMethod?: ForwardingMethod;
    readonly backends?: Backends;
    readonly weights?: Weights;
    /** Connections per real server; see RealServer. */
    readonly upperThreshold?: number;
    readonly lowerThreshold?: number;
    readonly udpOnePacket?: boolean;
    readonly drainSeconds?: number;
  };
  /** Sentences about fields that cannot be honoured; each names the field and the remedy. Non-empty: nothing new is programmed. */
  readonly problems: readonly string[];
  /** status.loadBalancer.ingress as the API server stores it now. */
  readonly ingress: readonly Ingress[];
  /** Our own conditions only (types in our group). */
  readonly conditions: readonly Condition[];
  /** The annotation ip-allocated-from-pool, as stored; versions before the record wrote nothing else. */
  readonly allocatedFromPool?: string;
  /** What we gave it, as stored; absent also when what is stored cannot be ours. */
  readonly record?: AllocationRecord;
}

/** Endpoints of one Service that answer, folded from its EndpointSlices. */
export interface ServiceEndpoints {
  /** node name → ready endpoints there (or, when a node has none ready, its serving terminating ones under `terminating`). */
  readonly readyByNode: ReadonlyMap<string, number>;
  readonly servingTerminatingByNode: ReadonlyMap<string, number>;
  /** Where each endpoint listens, one group per slice. */
  readonly groups: readonly EndpointGroup[];
}
