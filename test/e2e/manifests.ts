/** A Kubernetes object as kubectl reads and writes it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly [field: string]: unknown;
}

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** Ports of the echo server in every pod of the tests: HTTP (`/hostname`, `/clientip`) and UDP (`hostname`, `echo …`). */
export const HTTP_PORT = 8080;
export const UDP_PORT = 8081;

export interface DeploymentOptions {
  readonly namespace: string;
  readonly name: string;
  /** Default 2: with the spread constraint one on each of two nodes. */
  readonly replicas?: number;
  /** Only these nodes. */
  readonly nodes?: readonly string[];
}

/** Echo servers, spread evenly over the nodes. */
export function deployment({ namespace, name, replicas = 2, nodes }: DeploymentOptions): Manifest {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 10,
          containers: [
            {
              name: 'echo',
              image: 'agnhost',
              args: ['netexec', `--http-port=${HTTP_PORT}`, `--udp-port=${UDP_PORT}`],
              readinessProbe: { httpGet: { path: '/healthz', port: HTTP_PORT }, periodSeconds: 1 },
            },
          ],
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: labels },
            },
          ],
          ...(nodes === undefined ? {} : { affinity: onlyOn(nodes) }),
        },
      },
    },
  };
}

function onlyOn(nodes: readonly string[]): object {
  const expression = { key: 'kubernetes.io/hostname', operator: 'In', values: nodes };
  return {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [expression] }] },
    },
  };
}

export interface ServiceOptions {
  readonly namespace: string;
  readonly name: string;
  /** The Deployment whose pods serve; default: the Service's own name. */
  readonly app?: string;
  /** From this pool; default: the operator chooses among the pools that assign by themselves. */
  readonly pool?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Default one port, TCP 80. */
  readonly ports?: readonly object[];
  /** Anything else of the Service's spec. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

export const TCP_80 = { name: 'http', protocol: 'TCP', port: 80, targetPort: HTTP_PORT };
export const UDP_80 = { name: 'udp', protocol: 'UDP', port: 80, targetPort: UDP_PORT };

/** A Service of type LoadBalancer and our class. */
export function service({ namespace, name, app = name, pool, annotations, ports, spec }: ServiceOptions): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name,
      namespace,
      annotations: { ...(pool === undefined ? {} : { 'ipvs-operator.io/address-pool': pool }), ...annotations },
    },
    spec: {
      type: 'LoadBalancer',
      loadBalancerClass: 'ipvs-operator.io/ipvs',
      selector: { app },
      ports: ports ?? [TCP_80],
      ...spec,
    },
  };
}

/** A pool on all directors of the lab, used only by Services that name it. */
export function pool(name: string, spec: Readonly<Record<string, unknown>>): Manifest {
  return {
    apiVersion: 'ipvs-operator.io/v1alpha1',
    kind: 'LoadBalancerPool',
    metadata: { name },
    spec: { autoAssign: false, directors: { selector: { matchLabels: { site: 'a' } } }, ...spec },
  };
}

/** A Director; the spec is complete but for what the caller changes. */
export function director({
  name,
  labels,
  spec,
}: {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: Readonly<Record<string, unknown>>;
}): Manifest {
  return {
    apiVersion: 'ipvs-operator.io/v1alpha1',
    kind: 'Director',
    metadata: { name, labels },
    spec: { credentials: { secretName: 'director-ssh' }, interface: 'lo', tableOwner: 'prod', ...spec },
  };
}

export interface SecretOptions {
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

export function secret({ namespace, name, type, data }: SecretOptions): Manifest {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type, stringData: data };
}
