import type {
  Clock,
  ClusterWriter,
  DirectorStatus,
  Log,
  PoolStatus,
  ServiceStatus,
  WriteResult,
} from '../controllers/ports.ts';
import { type AllocationRecord, sameRecord } from '../model/allocation-record.ts';
import type { LoadBalancedService } from '../model/load-balanced-service.ts';
import { API_GROUP, API_VERSION, CORE_FINALIZER, FINALIZER, POOL_FINALIZER } from '../model/names.ts';
import { recordAnnotations } from './allocation-annotations.ts';
import type { ApiAnswer, ApiClient } from './api-client.ts';
import type { ClusterCache } from './cluster-cache.ts';
import { asRecord, isKubeObject, type ObjectMeta } from './kube-object.ts';
import { otherStatusWriter } from './managed-fields.ts';
import { OwnStatusWriter } from './own-status-writer.ts';
import { parseServiceStatus } from './parse-service.ts';
import { sameJson, sortedByType } from './same-json.ts';
import { serverSideApply, writeResult } from './server-side-apply.ts';
import { withTransitionTimes } from './transition-times.ts';

export interface ClusterWriterOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly log: Log;
  /** What is stored, as far as the watches have told. */
  readonly cache: Pick<ClusterCache, 'stored' | 'reread'>;
}

export function createClusterWriter(options: ClusterWriterOptions): ClusterWriter {
  return new ComparingWriter(options);
}

const OURS = [CORE_FINALIZER, FINALIZER];

/**
 * Writes only what differs: first from what the watches have told, which costs nothing, then from what the API server has
 * now. Finalizers and annotation go in one merge patch that carries the resourceVersion which was read: the server answers 409
 * when anybody else wrote meanwhile, so the list it replaces is the list that was seen.
 */
class ComparingWriter implements ClusterWriter {
  readonly #options: ClusterWriterOptions;
  readonly #own: OwnStatusWriter;

  constructor(options: ClusterWriterOptions) {
    this.#options = options;
    this.#own = new OwnStatusWriter(options);
  }

  async claimService(service: LoadBalancedService, record: AllocationRecord): Promise<WriteResult> {
    const missing = OURS.filter((finalizer) => !service.finalizers.includes(finalizer));
    if (missing.length === 0 && sameRecord(service.record, record)) return { kind: 'unchanged' };
    return this.#patchMetadata(service, service, [...service.finalizers, ...missing], record);
  }

  async disclaimService(service: LoadBalancedService): Promise<WriteResult> {
    if (service.record === undefined) return { kind: 'unchanged' };
    return this.#patchMetadata(service, service, service.finalizers, undefined);
  }

  async releaseService(service: LoadBalancedService): Promise<WriteResult> {
    let read: Pick<ObjectMeta, 'resourceVersion' | 'finalizers'> = service;
    // One that is being deleted and has no finalizer of others is gone with ours, and its status with it.
    const lives = !service.deleting || service.finalizers.some((finalizer) => !OURS.includes(finalizer));
    if (lives && (service.ingress.length > 0 || service.conditions.length > 0)) {
      const { resourceVersion } = service;
      const answer = await this.#applyServiceStatus(service, { resourceVersion }, { loadBalancer: { ingress: [] } });
      if (!answer.ok || !isKubeObject(answer.body)) return this.#serviceResult(service, answer);
      read = answer.body.metadata;
    }
    const finalizers = read.finalizers ?? [];
    const others = finalizers.filter((finalizer) => !OURS.includes(finalizer));
    if (
      others.length === finalizers.length &&
      service.allocatedFromPool === undefined &&
      service.record === undefined
    ) {
      return read === service ? { kind: 'unchanged' } : { kind: 'written' };
    }
    const result = await this.#patchMetadata(service, read, others, undefined);
    return result.kind === 'written' && read !== service ? { ...result, between: read.resourceVersion } : result;
  }

  async writeServiceStatus(service: LoadBalancedService, status: ServiceStatus): Promise<WriteResult> {
    if (sameServiceStatus(service, status)) return { kind: 'unchanged' };
    // What has never been told anything has no times to keep, and nothing of others to find: it needs no look.
    const untold = service.ingress.length === 0 && service.conditions.length === 0;
    if (untold) return this.#serviceResult(service, await this.#applyTimed(service, status, undefined));
    const read = await this.#options.api.get(servicePath(service));
    if (!read.ok || !isKubeObject(read.body)) return this.#serviceResult(service, read);
    if (read.body.metadata.uid !== service.uid) return { kind: 'gone' };
    const stored = read.body.status;
    if (sameServiceStatus(parseServiceStatus(stored), status)) return { kind: 'unchanged' };
    const result = this.#serviceResult(service, await this.#applyTimed(service, status, stored));
    const other = otherStatusWriter(read.body);
    return result.kind === 'written' && other !== undefined ? { ...result, otherWriter: other } : result;
  }

  async markPool(pool: string, marked: boolean): Promise<WriteResult> {
    const { api } = this.#options;
    const path = `/apis/${API_GROUP}/${API_VERSION}/loadbalancerpools/${pool}`;
    const read = await api.get(path);
    if (!read.ok || !isKubeObject(read.body)) return writeResult(read);
    const { finalizers = [], resourceVersion, uid } = read.body.metadata;
    if (finalizers.includes(POOL_FINALIZER) === marked) return { kind: 'unchanged' };
    const others = finalizers.filter((finalizer) => finalizer !== POOL_FINALIZER);
    const next = marked ? [...others, POOL_FINALIZER] : others;
    const metadata = { resourceVersion, uid, finalizers: next.length > 0 ? next : null };
    return writeResult(await api.patch(path, 'application/merge-patch+json', { metadata }));
  }

  writePoolStatus(pool: string, status: PoolStatus): Promise<WriteResult> {
    return this.#own.write('LoadBalancerPool', pool, status);
  }

  writeDirectorStatus(director: string, status: DirectorStatus): Promise<WriteResult> {
    return this.#own.write('Director', director, status);
  }

  async #patchMetadata(
    service: LoadBalancedService,
    read: Pick<ObjectMeta, 'resourceVersion'>,
    finalizers: readonly string[],
    record: AllocationRecord | undefined,
  ): Promise<WriteResult> {
    const metadata = {
      resourceVersion: read.resourceVersion,
      uid: service.uid,
      finalizers: finalizers.length > 0 ? finalizers : null,
      annotations: recordAnnotations(record, service.uid),
    };
    const answer = await this.#options.api.patch(servicePath(service), 'application/merge-patch+json', { metadata });
    return this.#serviceResult(service, answer);
  }

  #applyTimed(service: LoadBalancedService, status: ServiceStatus, stored: unknown): Promise<ApiAnswer> {
    const conditions = withTransitionTimes(status.conditions, asRecord(stored).conditions, this.#options.clock.now());
    return this.#applyServiceStatus(service, {}, { loadBalancer: { ingress: status.ingress }, conditions });
  }

  /**
   * Server-side apply: conditions are a map by type, so those of others stay; ingress is one value, so it becomes exactly
   * this. Conditions of ours that are not named go. The uid makes it fail for a Service of the same name that came after.
   */
  #applyServiceStatus(
    service: LoadBalancedService,
    guard: { readonly resourceVersion?: string },
    status: unknown,
  ): Promise<ApiAnswer> {
    const { name, namespace, uid } = service;
    const body = { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace, uid, ...guard }, status };
    return serverSideApply(this.#options.api, `${servicePath(service)}/status`, body);
  }

  #serviceResult(service: LoadBalancedService, answer: ApiAnswer): WriteResult {
    const result = writeResult(answer);
    if (result.kind !== 'failed') this.#options.cache.reread(service.key);
    return result;
  }
}

function servicePath({ namespace, name }: LoadBalancedService): string {
  return `/api/v1/namespaces/${namespace}/services/${name}`;
}

function sameServiceStatus(stored: ServiceStatus, wanted: ServiceStatus): boolean {
  const { ingress, conditions } = wanted;
  return sameJson(stored.ingress, ingress) && sameJson(sortedByType(stored.conditions), sortedByType(conditions));
}
