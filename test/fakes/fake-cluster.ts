import type { Cluster, ClusterEvent, DirectorKeys, KeyLookup, Parsed } from '../../operator/controllers/ports.ts';
import { parseHeld } from '../../operator/kube/parse-pool-allocation.ts';
import type { AddressPool, HeldAddress } from '../../operator/model/address-pool.ts';
import type { ClusterNode } from '../../operator/model/cluster-node.ts';
import type { Director } from '../../operator/model/director.ts';
import type { LabelSet } from '../../operator/model/labels.ts';
import type { LoadBalancedService, ServiceEndpoints, ServiceKey } from '../../operator/model/load-balanced-service.ts';
import type { ServiceRanges } from '../../operator/model/service-ranges.ts';
import type { PoolStatus } from '../../operator/model/status.ts';
import { endpoints } from '../builders/a-service.ts';

/** Fields of a Service that a write changes; undefined removes one. */
export type ServiceChange = { readonly [Field in keyof LoadBalancedService]?: LoadBalancedService[Field] | undefined };

/** Everything there is in a cluster, as an API server stores it, in parsed form. */
export class FakeApi {
  readonly services = new Map<ServiceKey, LoadBalancedService>();
  readonly endpoints = new Map<ServiceKey, ServiceEndpoints>();
  readonly nodes = new Map<string, ClusterNode>();
  readonly serviceRanges = new Map<string, ServiceRanges>();
  readonly pools = new Map<string, Parsed<AddressPool>>();
  readonly directors = new Map<string, Parsed<Director>>();
  readonly namespaces = new Map<string, LabelSet>();
  readonly secrets = new Map<string, string>();
  readonly poolStatuses = new Map<string, PoolStatus>();
  readonly poolFinalizers = new Set<string>();
  readonly poolsDeleting = new Set<string>();
  readonly #watchers = new Set<(event: ClusterEvent) => void>();
  #version = 100;

  /** Stores a Service as its user wrote it: new, or with another spec. Status, finalizers and annotation stay as they are. */
  putService(service: LoadBalancedService): void {
    const old = this.services.get(service.key);
    const kept =
      old === undefined || old.uid !== service.uid
        ? {}
        : { finalizers: old.finalizers, ingress: old.ingress, conditions: old.conditions, ...recordOf(old) };
    this.#store({ ...service, ...kept });
  }

  /** What `kubectl delete` does: without finalizers the object is gone, else it is marked. */
  deleteService(key: ServiceKey): void {
    const old = this.services.get(key);
    if (old === undefined) return;
    if (old.finalizers.length === 0) this.#drop(key);
    else this.#store({ ...old, deleting: true, wanted: false });
  }

  /** The type is no longer LoadBalancer: the API server clears status.loadBalancer. */
  makeClusterIP(key: ServiceKey): void {
    const old = this.services.get(key);
    if (old !== undefined) this.#store({ ...old, wanted: false, ingress: [] });
  }

  /** The Service is none of ours any more: another type or class, without our finalizer. */
  dropService(key: ServiceKey): void {
    if (this.services.has(key)) this.#drop(key);
  }

  /** What a write of ours makes of a Service; undefined when it does not exist. */
  changeService(key: ServiceKey, change: ServiceChange): void {
    const old = this.services.get(key);
    if (old === undefined) return;
    const next = withoutUndefined({ ...old, ...change });
    if (next.finalizers.length === 0 && next.deleting) this.#drop(key);
    else this.#store(next);
  }

  putEndpoints(key: ServiceKey, readyByNode: Readonly<Record<string, number>>): void {
    this.endpoints.set(key, endpoints(readyByNode));
    this.#tell({ kind: 'endpoints', key });
  }

  /** Endpoints with all that a slice says of them. */
  putPods(key: ServiceKey, pods: ServiceEndpoints): void {
    this.endpoints.set(key, pods);
    this.#tell({ kind: 'endpoints', key });
  }

  /** The endpoints of a Service as the index of slices folds them. */
  putServiceEndpoints(key: ServiceKey, endpoints: ServiceEndpoints): void {
    this.endpoints.set(key, endpoints);
    this.#tell({ kind: 'endpoints', key });
  }

  putNamespace(name: string, labels: LabelSet): void {
    this.namespaces.set(name, labels);
    this.#tell({ kind: 'namespace', name });
  }

  putNode(node: ClusterNode): void {
    this.nodes.set(node.name, node);
    this.#tell({ kind: 'nodes' });
  }

  deleteNode(name: string): void {
    this.nodes.delete(name);
    this.#tell({ kind: 'nodes' });
  }

  putServiceRanges(ranges: ServiceRanges): void {
    this.serviceRanges.set(ranges.name, ranges);
    this.#tell({ kind: 'serviceRanges' });
  }

  deleteServiceRanges(name: string): void {
    this.serviceRanges.delete(name);
    this.#tell({ kind: 'serviceRanges' });
  }

  putPool(pool: Parsed<AddressPool>): void {
    const name = nameOf(pool);
    this.pools.set(name, pool);
    this.#tell({ kind: 'pool', name });
  }

  /** What `kubectl delete` does: a pool that is in use is marked only. */
  deletePool(name: string): void {
    const pool = this.pools.get(name);
    if (pool !== undefined && this.poolFinalizers.has(name)) {
      this.poolsDeleting.add(name);
      if (pool.ok) this.pools.set(name, { ok: true, value: { ...pool.value, deleting: true } });
    } else this.#dropPool(name);
    this.#tell({ kind: 'pool', name });
  }

  /** Our finalizer comes or goes; a deleted pool without one is gone. */
  markPool(name: string, marked: boolean): void {
    if (marked) this.poolFinalizers.add(name);
    else this.poolFinalizers.delete(name);
    if (marked || !this.poolsDeleting.has(name)) return;
    this.#dropPool(name);
    this.#tell({ kind: 'pool', name });
  }

  putDirector(director: Parsed<Director>): void {
    const name = nameOf(director);
    this.directors.set(name, director);
    this.#tell({ kind: 'director', name });
  }

  deleteDirector(name: string): void {
    this.directors.delete(name);
    this.#tell({ kind: 'director', name });
  }

  putSecret(name: string, privateKey: string): void {
    this.secrets.set(name, privateKey);
    this.#tell({ kind: 'secret', name });
  }

  deleteSecret(name: string): void {
    this.secrets.delete(name);
    this.#tell({ kind: 'secret', name });
  }

  /** @returns the function that ends the watch. */
  watch(watcher: (event: ClusterEvent) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #store(service: LoadBalancedService): void {
    this.#version += 1;
    this.services.set(service.key, { ...service, resourceVersion: String(this.#version) });
    this.#tell({ kind: 'service', key: service.key });
  }

  #dropPool(name: string): void {
    this.pools.delete(name);
    this.poolFinalizers.delete(name);
    this.poolsDeleting.delete(name);
    this.poolStatuses.delete(name);
  }

  #drop(key: ServiceKey): void {
    this.services.delete(key);
    this.#tell({ kind: 'service', key });
  }

  #tell(event: ClusterEvent): void {
    for (const watcher of this.#watchers) watcher(event);
  }
}

/**
 * What one operator process sees of a {@link FakeApi}: everything at {@link sync}, later changes when they are delivered, in order. A view that
 * lags is a normal view.
 */
export class FakeCluster implements Cluster, DirectorKeys {
  readonly #api: FakeApi;
  readonly #onEvent: (event: ClusterEvent) => void;
  /** How deliveries are put off; the default is the next microtask. */
  readonly #later: (deliver: () => void) => void;
  readonly #services = new Map<ServiceKey, LoadBalancedService>();
  readonly #endpoints = new Map<ServiceKey, ServiceEndpoints>();
  readonly #nodes = new Map<string, ClusterNode>();
  readonly #serviceRanges = new Map<string, ServiceRanges>();
  readonly #pools = new Map<string, Parsed<AddressPool>>();
  readonly #directors = new Map<string, Parsed<Director>>();
  readonly #namespaces = new Map<string, LabelSet>();
  readonly #secrets = new Map<string, string>();
  /** How often a Service has been looked at; a walk over all counts each. */
  serviceReads = 0;
  #unwatch: () => void = () => undefined;
  #synced = false;

  constructor(
    api: FakeApi,
    onEvent: (event: ClusterEvent) => void,
    later: (deliver: () => void) => void = queueMicrotask,
  ) {
    this.#api = api;
    this.#onEvent = onEvent;
    this.#later = later;
  }

  /** Lists everything and begins to watch. */
  sync(): void {
    const { services, endpoints, nodes, serviceRanges, pools, directors, namespaces, secrets } = this.#api;
    copy(services, this.#services);
    copy(endpoints, this.#endpoints);
    copy(nodes, this.#nodes);
    copy(serviceRanges, this.#serviceRanges);
    copy(pools, this.#pools);
    copy(directors, this.#directors);
    copy(namespaces, this.#namespaces);
    copy(secrets, this.#secrets);
    this.#unwatch = this.#api.watch((event) => {
      const take = this.#snapshot(event);
      this.#later(() => {
        if (!this.#synced) return;
        take();
        this.#onEvent(event);
      });
    });
    this.#synced = true;
    this.#onEvent({ kind: 'synced' });
  }

  stop(): void {
    this.#unwatch();
    this.#synced = false;
  }

  synced(): boolean {
    return this.#synced;
  }
  service(key: ServiceKey): LoadBalancedService | undefined {
    this.serviceReads += 1;
    return this.#services.get(key);
  }
  services(): Iterable<LoadBalancedService> {
    this.serviceReads += this.#services.size;
    return this.#services.values();
  }
  endpoints(key: ServiceKey): ServiceEndpoints {
    return this.#endpoints.get(key) ?? endpoints();
  }
  nodes(): Iterable<ClusterNode> {
    return this.#nodes.values();
  }
  serviceRanges(): Iterable<ServiceRanges> {
    return this.#serviceRanges.values();
  }
  pool(name: string): Parsed<AddressPool> | undefined {
    return this.#pools.get(name);
  }
  pools(): Iterable<Parsed<AddressPool>> {
    return this.#pools.values();
  }
  isPoolMarked(name: string): boolean {
    return this.#api.poolFinalizers.has(name);
  }
  isPoolDeleting(name: string): boolean {
    return this.#api.poolsDeleting.has(name);
  }
  /** A status that the watch has not shown yet is shown too: nobody is told of it, as by the real cache. */
  heldAddresses(pool: string): readonly HeldAddress[] {
    return parseHeld(this.#api.poolStatuses.get(pool));
  }
  director(name: string): Parsed<Director> | undefined {
    return this.#directors.get(name);
  }
  directors(): Iterable<Parsed<Director>> {
    return this.#directors.values();
  }
  namespaceLabels(namespace: string): LabelSet | undefined {
    return this.#namespaces.get(namespace);
  }
  privateKey(secretName: string): KeyLookup {
    const privateKey = this.#secrets.get(secretName);
    if (privateKey !== undefined) return { ok: true, privateKey };
    return { ok: false, reason: 'SecretMissing', message: `Secret ${secretName} does not exist: create it.` };
  }

  /** The state of the changed thing as of the event, so that a late event shows the state it tells of. */
  #snapshot(event: ClusterEvent): () => void {
    const api = this.#api;
    switch (event.kind) {
      case 'service':
        return transfer(this.#services, event.key, api.services.get(event.key));
      case 'endpoints':
        return transfer(this.#endpoints, event.key, api.endpoints.get(event.key));
      case 'pool':
        return transfer(this.#pools, event.name, api.pools.get(event.name));
      case 'director':
        return transfer(this.#directors, event.name, api.directors.get(event.name));
      case 'secret':
        return transfer(this.#secrets, event.name, api.secrets.get(event.name));
      case 'namespace':
        return transfer(this.#namespaces, event.name, api.namespaces.get(event.name));
      case 'nodes': {
        const nodes = new Map(api.nodes);
        return () => copy(nodes, this.#nodes);
      }
      case 'serviceRanges': {
        const ranges = new Map(api.serviceRanges);
        return () => copy(ranges, this.#serviceRanges);
      }
      case 'synced':
        return () => undefined;
    }
  }
}

function transfer<Key, Value>(target: Map<Key, Value>, key: Key, value: Value | undefined): () => void {
  return () => {
    if (value === undefined) target.delete(key);
    else target.set(key, value);
  };
}

function copy<Key, Value>(from: ReadonlyMap<Key, Value>, to: Map<Key, Value>): void {
  to.clear();
  for (const [key, value] of from) to.set(key, value);
}

function nameOf(parsed: Parsed<{ readonly name: string }>): string {
  return parsed.ok ? parsed.value.name : parsed.name;
}

function recordOf({ allocatedFromPool, record }: LoadBalancedService): ServiceChange {
  return { ...(allocatedFromPool !== undefined && { allocatedFromPool }), ...(record !== undefined && { record }) };
}

function withoutUndefined(service: { [Field in keyof LoadBalancedService]: LoadBalancedService[Field] | undefined }) {
  return Object.fromEntries(
    Object.entries(service).filter(([, value]) => value !== undefined),
  ) as unknown as LoadBalancedService;
}
