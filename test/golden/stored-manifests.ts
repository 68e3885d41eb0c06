import { EndpointIndex } from '../../operator/kube/endpoint-index.ts';
import { asArray, asRecord, type KubeObject } from '../../operator/kube/kube-object.ts';
import { parseDirector } from '../../operator/kube/parse-director.ts';
import { parseEndpointSlice, type SliceEndpoints } from '../../operator/kube/parse-endpoints.ts';
import { parseLoadBalancerPool } from '../../operator/kube/parse-load-balancer-pool.ts';
import { parseNode } from '../../operator/kube/parse-node.ts';
import { parseService, parseServiceStatus, type ServiceSelection } from '../../operator/kube/parse-service.ts';
import { parseServiceCidr } from '../../operator/kube/parse-service-cidr.ts';
import { type ServiceKey, serviceKey } from '../../operator/model/load-balanced-service.ts';
import { LOAD_BALANCER_CLASS } from '../../operator/model/names.ts';
import type { World } from '../builders/a-world.ts';

/** A manifest without ceremony: labels and annotations beside spec and status. `null` removes a field, as in a merge patch. */
export type Manifest = Readonly<Record<string, unknown>>;

type Json = Readonly<Record<string, unknown>>;

const FIRST_NODE_PORT = 30_000;

/** What a case need not write; `loadBalancerClass: null` makes a Service without a class. */
const OUR_SERVICE = { spec: { loadBalancerClass: LOAD_BALANCER_CLASS } };

/**
 * What `kubectl apply` and `kubectl delete` do to the API server of a {@link World}: objects are merged over what is stored, completed
 * with the API server's defaults, and read by the operator's own parsers.
 */
export class StoredManifests {
  readonly #world: World;
  readonly #selection: ServiceSelection;
  readonly #raw = new Map<string, Json>();
  readonly #uids = new Map<string, string>();
  readonly #endpoints = new EndpointIndex();
  readonly #slices = new Map<string, SliceEndpoints>();
  readonly #nodePorts = new Map<string, number>();

  constructor(world: World, selection: ServiceSelection) {
    this.#world = world;
    this.#selection = selection;
  }

  /** @param object - `Kind name` or `Kind namespace/name` */
  apply(object: string, manifest: Manifest): void {
    const [kind = '', id = ''] = object.split(' ');
    const merged = mergePatch(this.#raw.get(object) ?? (kind === 'Service' ? OUR_SERVICE : {}), manifest);
    this.#raw.set(object, merged);
    if (!this.#uids.has(object)) this.#uids.set(object, `uid-${this.#uids.size + 1}`);
    const { api } = this.#world;
    if (kind === 'Namespace') api.putNamespace(id, asRecord(merged.labels) as Record<string, string>);
    else if (kind === 'LoadBalancerPool') api.putPool(parseLoadBalancerPool(this.#object(object, merged)));
    else if (kind === 'Director') api.putDirector(parseDirector(this.#object(object, merged)));
    else if (kind === 'Node')
      api.putNode(parseNode(this.#object(object, merged), api.nodes.get(id)?.hasBeenReady === true));
    else if (kind === 'ServiceCIDR') api.putServiceRanges(parseServiceCidr(this.#object(object, merged)));
    else if (kind === 'EndpointSlice') this.#replaceSlice(object, parseEndpointSlice(this.#object(object, merged)));
    else if (kind === 'Service') this.#applyService(object, merged);
    else throw new Error(`a golden case applies ${kind}, which nothing here stores`);
  }

  delete(object: string): void {
    const [kind = '', id = ''] = object.split(' ');
    if (!this.#raw.delete(object) && kind !== 'Service') throw new Error(`${object} is deleted, but never was applied`);
    this.#uids.delete(object);
    const { api } = this.#world;
    if (kind === 'LoadBalancerPool') {
      // By force: a pool that is in use would wait.
      api.poolFinalizers.delete(id);
      api.deletePool(id);
    } else if (kind === 'Director') api.deleteDirector(id);
    else if (kind === 'Node') api.deleteNode(id);
    else if (kind === 'ServiceCIDR') api.deleteServiceRanges(id);
    else if (kind === 'EndpointSlice') this.#replaceSlice(object, undefined);
    else if (kind === 'Service') api.deleteService(keyOf(id));
    else throw new Error(`a golden case deletes ${kind}, which nothing here stores`);
  }

  #applyService(object: string, merged: Json): void {
    const { api } = this.#world;
    const key = keyOf(object.split(' ')[1] ?? '');
    const stored = api.services.get(key);
    const spec = this.#completed(key, asRecord(merged.spec));
    const parsed = parseService(
      {
        ...this.#object(object, { ...merged, spec }),
        ...(merged.status === undefined && { status: undefined }),
        metadata: { ...this.#object(object, merged).metadata, finalizers: stored?.finalizers ?? [] },
      },
      this.#selection,
    );
    if (parsed === undefined) api.dropService(key);
    else {
      api.putService(parsed);
      // The API server clears the addresses of a Service whose type is no longer LoadBalancer.
      if (spec.type !== 'LoadBalancer') api.changeService(key, { ingress: [] });
    }
    if (merged.status === undefined) return;
    const { status: _, ...rest } = merged;
    this.#raw.set(object, rest);
    api.changeService(key, { ingress: parseServiceStatus(merged.status).ingress });
  }

  /** What the API server of a dual-stack cluster fills in; a single entry of clusterIPs makes it one of a single family. */
  #completed(key: ServiceKey, spec: Json): Json {
    const policy = spec.ipFamilyPolicy ?? 'SingleStack';
    const given = spec.ipFamilies === undefined ? ['IPv4'] : asArray(spec.ipFamilies);
    const both = [...new Set([...given, 'IPv4', 'IPv6'])];
    const type = spec.type ?? 'LoadBalancer';
    const allocates = type === 'NodePort' || (type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
    const ports = spec.ports === undefined ? [{ port: 80 }] : asArray(spec.ports);
    return {
      type,
      clusterIP: '198.18.0.10',
      ...spec,
      ipFamilyPolicy: policy,
      ipFamilies: policy === 'SingleStack' || asArray(spec.clusterIPs).length === 1 ? given : both,
      ports: ports.map((port) => ({
        protocol: 'TCP',
        ...(allocates && { nodePort: this.#nodePort(key, asRecord(port)) }),
        ...asRecord(port),
      })),
    };
  }

  /** A node port stays with its port for as long as the Service is known. */
  #nodePort(key: ServiceKey, { name = '', port, protocol = 'TCP' }: Json): number {
    const id = [key, name === '' ? port : name, protocol].join(' ');
    const nodePort = this.#nodePorts.get(id) ?? FIRST_NODE_PORT + this.#nodePorts.size + 1;
    this.#nodePorts.set(id, nodePort);
    return nodePort;
  }

  #object(object: string, { labels, annotations, ...fields }: Json): KubeObject {
    const id = object.split(' ')[1] ?? '';
    const [namespace, name = id] = id.includes('/') ? id.split('/') : [undefined, id];
    return {
      ...fields,
      metadata: {
        name,
        ...(namespace !== undefined && { namespace }),
        uid: this.#uids.get(object) ?? '',
        resourceVersion: '1',
        creationTimestamp: this.#createdAt(object),
        labels: asRecord(labels) as Record<string, string>,
        annotations: asRecord(annotations) as Record<string, string>,
      },
    };
  }

  readonly #creation = new Map<string, string>();

  /** Seconds, as the API server keeps it, of the first apply of this uid. */
  #createdAt(object: string): string {
    const id = `${object} ${this.#uids.get(object)}`;
    const at = this.#creation.get(id) ?? new Date(this.#world.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    this.#creation.set(id, at);
    return at;
  }

  #replaceSlice(object: string, now: SliceEndpoints | undefined): void {
    const changed = this.#endpoints.replace(this.#slices.get(object), now);
    if (now === undefined) this.#slices.delete(object);
    else this.#slices.set(object, now);
    for (const key of changed) this.#world.api.putServiceEndpoints(key, this.#endpoints.of(key));
  }
}

/** `namespace/name`. */
export function keyOf(id: string): ServiceKey {
  const [namespace = '', name = ''] = id.split('/');
  return serviceKey(namespace, name);
}

/** RFC 7386. */
function mergePatch(target: Json, patch: Json): Json {
  const merged: Record<string, unknown> = { ...target };
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete merged[field];
    else if (typeof value === 'object' && !Array.isArray(value))
      merged[field] = mergePatch(asRecord(merged[field]), asRecord(value));
    else merged[field] = value;
  }
  return merged;
}
