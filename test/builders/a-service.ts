import type { IpAddress } from '../../operator/model/ip-address.ts';
import {
  type Ingress,
  type LoadBalancedService,
  type ServiceEndpoints,
  type ServicePort,
  serviceKey,
} from '../../operator/model/load-balanced-service.ts';
import { CORE_FINALIZER, FINALIZER } from '../../operator/model/names.ts';

type Overrides = Partial<Omit<LoadBalancedService, 'key' | 'request' | 'ingress'>> & {
  readonly request?: {
    readonly addresses?: readonly string[];
    readonly pool?: string;
    readonly sharingKey?: string;
    readonly reallocate?: string;
  };
  /** Addresses in the status, with ipMode VIP. */
  readonly ingress?: readonly string[];
};

/** Service `default/web`: TCP 80, node port 30080, single-stack IPv4, wanted, untouched by us so far. */
export function aService({ request, ingress = [], ...overrides }: Overrides = {}): LoadBalancedService {
  const namespace = overrides.namespace ?? 'default';
  const name = overrides.name ?? 'web';
  return {
    key: serviceKey(namespace, name),
    namespace,
    name,
    uid: `uid-of-${namespace}-${name}`,
    generation: 0,
    resourceVersion: '1',
    createdAt: 2_000,
    labels: {},
    wanted: true,
    deleting: false,
    finalizers: [],
    ports: [aServicePort()],
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
    externalTrafficPolicy: 'Cluster',
    allocatesNodePorts: true,
    sourceRanges: [],
    request: {
      ...request,
      addresses: (request?.addresses ?? []) as readonly IpAddress[],
    },
    overrides: {},
    problems: [],
    ingress: ingress.map((ip): Ingress => ({ ip: ip as IpAddress, ipMode: 'VIP' })),
    conditions: [],
    ...overrides,
  };
}

/** A Service that has our finalizers, an address and its record, as after a restart of the operator. */
export function aPublishedService(overrides: Overrides = {}): LoadBalancedService {
  const { allocatedFromPool = 'web', ingress = ['203.0.113.10'] } = overrides;
  return aService({
    finalizers: [CORE_FINALIZER, FINALIZER],
    allocatedFromPool,
    ingress,
    ...(ingress.length > 0 && { record: { pool: allocatedFromPool, addresses: ingress as readonly IpAddress[] } }),
    ...overrides,
  });
}

/** TCP 80, node port 30080. */
export function aServicePort(overrides: Partial<ServicePort> = {}): ServicePort {
  return { name: 'http', protocol: 'TCP', port: 80, nodePort: 30_080, ...overrides };
}

/** Ready endpoints by node, and serving terminating ones. */
export function endpoints(
  ready: Readonly<Record<string, number>> = {},
  servingTerminating: Readonly<Record<string, number>> = {},
): ServiceEndpoints {
  return {
    readyByNode: new Map(Object.entries(ready)),
    servingTerminatingByNode: new Map(Object.entries(servingTerminating)),
    groups: [],
  };
}
