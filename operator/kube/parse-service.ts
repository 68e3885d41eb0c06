import type { Condition } from '../model/condition.ts';
import { parseIpAddress } from '../model/ip-address.ts';
import {
  type Ingress,
  type LoadBalancedService,
  type ServicePort,
  serviceKey,
} from '../model/load-balanced-service.ts';
import { ANNOTATION, API_GROUP, FINALIZER, LOAD_BALANCER_CLASS } from '../model/names.ts';
import type { Protocol } from '../model/virtual-server.ts';
import { type AliasGroup, withAliases } from './alias-annotations.ts';
import { parseAllocationRecord } from './allocation-annotations.ts';
import { checkAnnotationWords } from './check-annotation-words.ts';
import { asArray, asRecord, asText, type KubeObject } from './kube-object.ts';
import { parseAddressRequest, parseOverrides } from './parse-service-annotations.ts';
import { parseSourceRanges } from './parse-source-ranges.ts';
import { firstSentences } from './quoted.ts';

/** Which Services are ours. */
export interface ServiceSelection {
  /** Whether Services of type LoadBalancer without a class are ours too. */
  readonly claimUnclassed: boolean;
  /** Other implementations whose annotations are understood; none when absent. */
  readonly aliases?: readonly AliasGroup[];
}

type Json = Readonly<Record<string, unknown>>;

/**
 * A Service as far as a load balancer cares, with every problem of its fields and annotations collected.
 *
 * @returns undefined when the Service is not ours and never was: another type or class, and our finalizer is not on it.
 */
export function parseService(object: KubeObject, selection: ServiceSelection): LoadBalancedService | undefined {
  const { metadata } = object;
  const spec = asRecord(object.spec);
  const finalizers = metadata.finalizers ?? [];
  const ours = isOurs(spec, selection);
  if (!ours && !finalizers.includes(FINALIZER)) return undefined;
  const namespace = metadata.namespace ?? '';
  const deleting = metadata.deletionTimestamp !== undefined;
  const ipFamilies = asArray(spec.ipFamilies).map((family) => (family === 'IPv6' ? 'IPv6' : 'IPv4'));
  const problems: string[] = [];
  const annotations = withAliases(metadata.annotations ?? {}, selection.aliases ?? [], problems);
  if (spec.clusterIP === 'None') {
    problems.push('spec.clusterIP is None: a headless Service has no traffic to balance; remove spec.clusterIP.');
  }
  const request = parseAddressRequest(annotations, asText(spec.loadBalancerIP), ipFamilies, problems);
  checkAnnotationWords(annotations, problems);
  const overrides = parseOverrides(annotations, problems);
  const sourceRanges = parseSourceRanges(spec.loadBalancerSourceRanges, annotations, problems);
  const affinity = clientIpAffinity(spec);
  const pool = annotations[ANNOTATION.allocatedFromPool];
  const record = parseAllocationRecord(annotations, metadata.uid);
  return {
    key: serviceKey(namespace, metadata.name),
    namespace,
    name: metadata.name,
    uid: metadata.uid,
    generation: metadata.generation ?? 0,
    resourceVersion: metadata.resourceVersion,
    createdAt: Date.parse(metadata.creationTimestamp ?? '') || 0,
    labels: metadata.labels ?? {},
    wanted: ours && !deleting,
    deleting,
    finalizers,
    ports: asArray(spec.ports).map((port) => parsePort(asRecord(port))),
    ipFamilies: ipFamilies.length > 0 ? ipFamilies : ['IPv4'],
    ipFamilyPolicy: parsePolicy(spec.ipFamilyPolicy),
    externalTrafficPolicy: spec.externalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
    ...(affinity !== undefined && { clientIpAffinitySeconds: affinity }),
    allocatesNodePorts: spec.allocateLoadBalancerNodePorts !== false,
    sourceRanges,
    request,
    overrides,
    problems: ours ? firstSentences(problems) : [],
    ...parseServiceStatus(object.status),
    ...(pool !== undefined && { allocatedFromPool: pool }),
    ...(record !== undefined && { record }),
  };
}

/** What of `status` is ours to write: the published addresses, and the conditions of our group. */
export function parseServiceStatus(status: unknown): Pick<LoadBalancedService, 'ingress' | 'conditions'> {
  const { loadBalancer, conditions } = asRecord(status);
  return {
    ingress: asArray(asRecord(loadBalancer).ingress).flatMap((entry) => parseIngress(asRecord(entry))),
    conditions: asArray(conditions).flatMap((entry) => parseCondition(asRecord(entry))),
  };
}

function isOurs(spec: Json, { claimUnclassed }: ServiceSelection): boolean {
  if (spec.type !== 'LoadBalancer') return false;
  return spec.loadBalancerClass === undefined ? claimUnclassed : spec.loadBalancerClass === LOAD_BALANCER_CLASS;
}

function parsePort(port: Json): ServicePort {
  return {
    name: asText(port.name) ?? '',
    protocol: parseProtocol(port.protocol),
    port: Number(port.port),
    nodePort: Number(port.nodePort ?? 0),
  };
}

/** The API server admits TCP (its default), UDP and SCTP only. */
function parseProtocol(protocol: unknown): Protocol {
  return protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP';
}

function parsePolicy(policy: unknown): LoadBalancedService['ipFamilyPolicy'] {
  return policy === 'PreferDualStack' || policy === 'RequireDualStack' ? policy : 'SingleStack';
}

/** core/v1 DefaultClientIPServiceAffinitySeconds. */
const DEFAULT_AFFINITY_SECONDS = 10_800;

function clientIpAffinity(spec: Json): number | undefined {
  if (spec.sessionAffinity !== 'ClientIP') return undefined;
  const { timeoutSeconds } = asRecord(asRecord(spec.sessionAffinityConfig).clientIP);
  return typeof timeoutSeconds === 'number' ? timeoutSeconds : DEFAULT_AFFINITY_SECONDS;
}

/** An entry with a host name instead of an address is another implementation's. */
function parseIngress(entry: Json): Ingress[] {
  const ip = parseIpAddress(asText(entry.ip) ?? '');
  if (ip === undefined) return [];
  const ports = asArray(entry.ports).map((port) => {
    const { port: number, protocol, error } = asRecord(port);
    const reason = asText(error);
    return { port: Number(number), protocol: parseProtocol(protocol), ...(reason !== undefined && { error: reason }) };
  });
  // The API server fills in VIP where a writer left it out; older ones store nothing.
  const ipMode = entry.ipMode === 'Proxy' ? 'Proxy' : 'VIP';
  return [{ ip, ipMode, ...(ports.length > 0 && { ports }) }];
}

function parseCondition(entry: Json): Condition[] {
  const type = asText(entry.type);
  if (!type?.startsWith(`${API_GROUP}/`)) return [];
  const { status, observedGeneration } = entry;
  return [
    {
      type,
      status: status === 'True' || status === 'False' ? status : 'Unknown',
      reason: asText(entry.reason) ?? '',
      message: asText(entry.message) ?? '',
      ...(typeof observedGeneration === 'number' && { observedGeneration }),
    },
  ];
}
