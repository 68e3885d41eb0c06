import { isDeepStrictEqual } from 'node:util';
import type { Clock, Cluster, ClusterEvent, DirectorKeys, KeyLookup, Log } from '../controllers/ports.ts';
import type { AddressPool, HeldAddress } from '../model/address-pool.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import type { Director } from '../model/director.ts';
import type { LabelSet } from '../model/labels.ts';
import type { LoadBalancedService, ServiceEndpoints, ServiceKey } from '../model/load-balanced-service.ts';
import { API_GROUP, API_VERSION, POOL_FINALIZER } from '../model/names.ts';
import type { Parsed } from '../model/parsed.ts';
import type { ServiceRanges } from '../model/service-ranges.ts';
import type { AliasGroup } from './alias-annotations.ts';
import type { ApiClient, Query } from './api-client.ts';
import { DepartedServices } from './departed-services.ts';
import { EndpointIndex } from './endpoint-index.ts';
import type { KubeObject } from './kube-object.ts';
import { parseDirector } from './parse-director.ts';
import { parseEndpointSlice, type SliceEndpoints } from './parse-endpoints.ts';
import { parseLoadBalancerPool } from './parse-load-balancer-pool.ts';
import { parseNode } from './parse-node.ts';
import { parseHeld } from './parse-pool-allocation.ts';
import { parseService } from './parse-service.ts';
import { parseServiceCidr } from './parse-service-cidr.ts';
import { missingSecret, parseSshSecret, SSH_SECRET_TYPE } from './parse-ssh-secret.ts';
import { createReflector, type ObjectChange, type Reflector } from './reflector.ts';

export interface ClusterCacheOptions {
  readonly api: ApiClient;
  /** Our own namespace: where the Secrets with SSH keys are. */
  readonly namespace: string;
  /** Whether Services of type LoadBalancer without a class are ours too. */
  readonly claimUnclassed: boolean;
  /** Other implementations whose annotations are understood; none when absent. */
  readonly aliases?: readonly AliasGroup[];
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Called synchronously after the cache holds the new state; never before everything has been listed once. The first call is
   * `synced`: look at everything then, for nothing that was there before is told one by one.
   */
  readonly onEvent: (event: ClusterEvent) => void;
}

/** Everything the controllers see of the cluster, kept fresh by watches. */
export interface ClusterCache extends Cluster, DirectorKeys {
  start(): void;
  /** After it settles no request is open and no event comes. */
  stop(): Promise<void>;
  /** A pool or director as the API server stores it, as far as the watch has told. */
  stored(kind: 'LoadBalancerPool' | 'Director', name: string): StoredObject | undefined;
  /** Reads a Service again that no watch covers (its type has changed, our finalizer still stands). Nothing for any other. */
  reread(key: ServiceKey): void;
}

/** What has to be known of an object before its status is written. */
export interface StoredObject {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly status: unknown;
}

/** An object of our own group: parsed, and its status as stored, to compare with before writing. */
interface OwnObject<T> extends StoredObject {
  readonly parsed: Parsed<T>;
  readonly finalizers: readonly string[];
  readonly deleting: boolean;
}

export function createClusterCache(options: ClusterCacheOptions): ClusterCache {
  return new WatchedCluster(options);
}

function ownObject<T>({ metadata, status }: KubeObject, parsed: Parsed<T>): OwnObject<T> {
  const { uid, resourceVersion, finalizers = [], deletionTimestamp } = metadata;
  return { uid, resourceVersion, parsed, status, finalizers, deleting: deletionTimestamp !== undefined };
}

const GROUP_PATH = `/apis/${API_GROUP}/${API_VERSION}`;

class WatchedCluster implements ClusterCache {
  readonly #options: ClusterCacheOptions;
  readonly #services: Reflector<LoadBalancedService>;
  readonly #departed: DepartedServices;
  readonly #slices: Reflector<SliceEndpoints>;
  readonly #endpoints = new EndpointIndex();
  readonly #nodes: Reflector<ClusterNode>;
  readonly #serviceRanges: Reflector<ServiceRanges>;
  readonly #namespaces: Reflector<LabelSet>;
  readonly #pools: Reflector<OwnObject<AddressPool>>;
  readonly #directors: Reflector<OwnObject<Director>>;
  readonly #secrets: Reflector<KeyLookup>;
  readonly #all: readonly Reflector<unknown>[];
  #departedFound = false;
  #synced = false;
  #stopped = false;

  constructor(options: ClusterCacheOptions) {
    this.#options = options;
    const { api, clock, log, namespace } = options;
    const parse = (object: KubeObject) => parseService(object, options);
    this.#departed = new DepartedServices({
      api,
      clock,
      log,
      parse,
      isWatched: (key) => this.#services.get(key) !== undefined,
      onChange: (key) => this.#emit({ kind: 'service', key }),
    });
    this.#services = this.#reflect('/api/v1/services', parse, (change) => this.#serviceChanged(change), {
      query: { fieldSelector: 'spec.type=LoadBalancer' },
      onListed: () => this.#findDeparted(),
    });
    this.#slices = this.#reflect(
      '/apis/discovery.k8s.io/v1/endpointslices',
      parseEndpointSlice,
      (change) => this.#sliceChanged(change),
      // Headless Services are never balanced; kube-proxy leaves them out with the same selector.
      { query: { labelSelector: 'kubernetes.io/service-name,!service.kubernetes.io/headless' } },
    );
    this.#nodes = this.#reflect(
      '/api/v1/nodes',
      (object) => this.#parseNode(object),
      (change) => {
        if (!isDeepStrictEqual(change.before, change.now)) this.#emit({ kind: 'nodes' });
      },
    );
    this.#serviceRanges = this.#reflect(
      '/apis/networking.k8s.io/v1/servicecidrs',
      parseServiceCidr,
      this.#whenDifferent(() => ({ kind: 'serviceRanges' })),
      { since: 'Kubernetes 1.33' },
    );
    this.#namespaces = this.#reflect(
      '/api/v1/namespaces',
      ({ metadata }) => metadata.labels ?? {},
      this.#whenDifferent((name) => ({ kind: 'namespace', name })),
      { metadataOnly: true },
    );
    this.#pools = this.#reflect(
      `${GROUP_PATH}/loadbalancerpools`,
      (object) => ownObject(object, parseLoadBalancerPool(object)),
      this.#whenReadDifferently((name) => ({ kind: 'pool', name })),
    );
    this.#directors = this.#reflect(
      `${GROUP_PATH}/directors`,
      (object) => ownObject(object, parseDirector(object)),
      this.#whenReadDifferently((name) => ({ kind: 'director', name })),
    );
    this.#secrets = this.#reflect(
      `/api/v1/namespaces/${namespace}/secrets`,
      parseSshSecret,
      this.#whenDifferent((key) => ({ kind: 'secret', name: key.slice(namespace.length + 1) })),
      { query: { fieldSelector: `type=${SSH_SECRET_TYPE}` } },
    );
    this.#all = [
      this.#services,
      this.#slices,
      this.#nodes,
      this.#serviceRanges,
      this.#namespaces,
      this.#pools,
      this.#directors,
      this.#secrets,
    ];
  }

  start(): void {
    for (const reflector of this.#all) reflector.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#all.map((reflector) => reflector.stop()), this.#departed.stop()]);
  }

  synced(): boolean {
    return this.#synced;
  }

  service(key: ServiceKey): LoadBalancedService | undefined {
    return this.#services.get(key) ?? this.#departed.get(key);
  }

  *services(): Iterable<LoadBalancedService> {
    yield* this.#services.values();
    for (const service of this.#departed.values()) {
      if (this.#services.get(service.key) === undefined) yield service;
    }
  }

  endpoints(key: ServiceKey): ServiceEndpoints {
    return this.#endpoints.of(key);
  }

  nodes(): Iterable<ClusterNode> {
    return this.#nodes.values();
  }

  serviceRanges(): Iterable<ServiceRanges> {
    return this.#serviceRanges.values();
  }

  pool(name: string): Parsed<AddressPool> | undefined {
    return this.#pools.get(name)?.parsed;
  }

  *pools(): Iterable<Parsed<AddressPool>> {
    for (const { parsed } of this.#pools.values()) yield parsed;
  }

  isPoolMarked(name: string): boolean {
    return this.#pools.get(name)?.finalizers.includes(POOL_FINALIZER) === true;
  }

  isPoolDeleting(name: string): boolean {
    return this.#pools.get(name)?.deleting === true;
  }

  heldAddresses(pool: string): readonly HeldAddress[] {
    return parseHeld(this.#pools.get(pool)?.status);
  }

  director(name: string): Parsed<Director> | undefined {
    return this.#directors.get(name)?.parsed;
  }

  *directors(): Iterable<Parsed<Director>> {
    for (const { parsed } of this.#directors.values()) yield parsed;
  }

  namespaceLabels(namespace: string): LabelSet | undefined {
    return this.#namespaces.get(namespace);
  }

  privateKey(secretName: string): KeyLookup {
    const { namespace } = this.#options;
    return this.#secrets.get(`${namespace}/${secretName}`) ?? missingSecret(namespace, secretName);
  }

  stored(kind: 'LoadBalancerPool' | 'Director', name: string): StoredObject | undefined {
    return (kind === 'LoadBalancerPool' ? this.#pools : this.#directors).get(name);
  }

  reread(key: ServiceKey): void {
    this.#departed.reread(key);
  }

  #reflect<T>(
    path: string,
    parse: (object: KubeObject) => T | undefined,
    onChange: (change: ObjectChange<T>) => void,
    more: { query?: Query; metadataOnly?: boolean; since?: string; onListed?: () => void } = {},
  ): Reflector<T> {
    const { api, clock, log } = this.#options;
    return createReflector({
      api,
      path,
      clock,
      log,
      parse,
      onChange,
      ...more,
      onListed: () => {
        more.onListed?.();
        this.#checkSynced();
      },
    });
  }

  /** Nodes that were there before us may be NotReady for a while just now: they count as ones that have been Ready. */
  #parseNode(object: KubeObject): ClusterNode {
    const known = this.#nodes.get(object.metadata.name);
    const wasReady = !this.#synced || (known?.uid === object.metadata.uid && known.hasBeenReady);
    return parseNode(object, wasReady);
  }

  #serviceChanged({ key, before, now }: ObjectChange<LoadBalancedService>): void {
    const service = key as ServiceKey;
    if (now === undefined) {
      void this.#departed.look(service, before);
      return;
    }
    this.#departed.forget(service);
    const { resourceVersion } = now;
    if (before !== undefined && isDeepStrictEqual({ ...before, resourceVersion }, now)) return;
    this.#emit({ kind: 'service', key: service });
  }

  #sliceChanged({ before, now }: ObjectChange<SliceEndpoints>): void {
    for (const key of this.#endpoints.replace(before, now)) {
      if (this.service(key) !== undefined) this.#emit({ kind: 'endpoints', key });
    }
  }

  #whenDifferent<T>(event: (key: string) => ClusterEvent): (change: ObjectChange<T>) => void {
    return ({ key, before, now }) => {
      if (!isDeepStrictEqual(before, now)) this.#emit(event(key));
    };
  }

  /** Our own writes of status come back as changes of the object; only what was parsed from its spec counts. */
  #whenReadDifferently<T>(event: (key: string) => ClusterEvent): (change: ObjectChange<OwnObject<T>>) => void {
    return ({ key, before, now }) => {
      if (!isDeepStrictEqual(before?.parsed, now?.parsed)) this.#emit(event(key));
    };
  }

  #findDeparted(): void {
    if (this.#departedFound) return;
    void this.#departed.findAll().then(() => {
      this.#departedFound = true;
      this.#checkSynced();
    });
  }

  #checkSynced(): void {
    if (this.#synced || this.#stopped || !this.#departedFound) return;
    if (!this.#all.every((reflector) => reflector.hasSynced())) return;
    this.#synced = true;
    this.#options.log.info('The cluster has been read completely', { services: [...this.services()].length });
    this.#emit({ kind: 'synced' });
  }

  #emit(event: ClusterEvent): void {
    if (!this.#synced || this.#stopped) return;
    try {
      this.#options.onEvent(event);
    } catch (error) {
      this.#options.log.error('A listener of the cluster cache threw', { event: event.kind, error });
    }
  }
}
