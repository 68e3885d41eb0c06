import type { KubeObject, ObjectMeta } from '../../operator/kube/kube-object.ts';
import { LOAD_BALANCER_CLASS } from '../../operator/model/names.ts';

export interface RawServiceOverrides {
  readonly metadata?: Partial<ObjectMeta>;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: unknown;
}

/** A Service as the API server sends it: type LoadBalancer, our class, one TCP port, untouched by us. */
export function aRawService({ metadata, spec, status = { loadBalancer: {} } }: RawServiceOverrides = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'web',
      namespace: 'shop',
      uid: '7d7e3c38-0000-4000-8000-000000000001',
      resourceVersion: '42',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: {
      type: 'LoadBalancer',
      loadBalancerClass: LOAD_BALANCER_CLASS,
      clusterIP: '198.18.0.10',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      externalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      allocateLoadBalancerNodePorts: true,
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30080 }],
      ...spec,
    },
    status,
  };
}
