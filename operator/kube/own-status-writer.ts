import type { Clock, DirectorStatus, PoolStatus, WriteResult } from '../controllers/ports.ts';
import { API_GROUP, API_VERSION } from '../model/names.ts';
import type { ApiClient } from './api-client.ts';
import type { ClusterCache, StoredObject } from './cluster-cache.ts';
import { asRecord, isKubeObject, type KubeObject } from './kube-object.ts';
import { sameJson, sortedByType } from './same-json.ts';
import { serverSideApply, writeResult } from './server-side-apply.ts';
import { withoutTransitionTimes, withTransitionTimes } from './transition-times.ts';

export interface OwnStatusWriterOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly cache: Pick<ClusterCache, 'stored'>;
}

const PLURAL = { LoadBalancerPool: 'loadbalancerpools', Director: 'directors' } as const;

/**
 * Statuses of pools and directors, in one request each: what is there already is known from the watch, or from the answer to the last write
 * until the watch has caught up with it. Only an object that no watch has told of is looked at first.
 */
export class OwnStatusWriter {
  readonly #options: OwnStatusWriterOptions;
  /** As our last write left them. */
  readonly #written = new Map<string, StoredObject>();

  constructor(options: OwnStatusWriterOptions) {
    this.#options = options;
  }

  async write(kind: keyof typeof PLURAL, name: string, wanted: PoolStatus | DirectorStatus): Promise<WriteResult> {
    const { api, cache, clock } = this.#options;
    const path = `/apis/${API_GROUP}/${API_VERSION}/${PLURAL[kind]}/${name}`;
    let known = this.#newest(path, cache.stored(kind, name));
    if (known === undefined) {
      const read = await api.get(path);
      if (!read.ok || !isKubeObject(read.body)) return writeResult(read);
      known = storedObject(read.body);
    }
    if (sameStatus(known.status, wanted)) return { kind: 'unchanged' };
    const conditions = withTransitionTimes(wanted.conditions, asRecord(known.status).conditions, clock.now());
    const metadata = { name, uid: known.uid };
    const body = { apiVersion: `${API_GROUP}/${API_VERSION}`, kind, metadata, status: { ...wanted, conditions } };
    const answer = await serverSideApply(api, `${path}/status`, body);
    if (answer.ok && isKubeObject(answer.body)) this.#written.set(path, storedObject(answer.body));
    else this.#written.delete(path);
    return writeResult(answer);
  }

  #newest(path: string, seen: StoredObject | undefined): StoredObject | undefined {
    const written = this.#written.get(path);
    if (seen === undefined || written === undefined) return seen;
    if (isNewer(written, seen)) return written;
    this.#written.delete(path);
    return seen;
  }
}

/** Versions of one object are numbers that grow (KEP-5504). */
function isNewer(a: StoredObject, b: StoredObject): boolean {
  return a.uid === b.uid && Number(a.resourceVersion) > Number(b.resourceVersion);
}

function storedObject({ metadata, status }: KubeObject): StoredObject {
  return { uid: metadata.uid, resourceVersion: metadata.resourceVersion, status };
}

/** Conditions that another manager has added are not ours to compare. */
function sameStatus(stored: unknown, wanted: PoolStatus | DirectorStatus): boolean {
  const ours = new Set(wanted.conditions.map(({ type }) => type));
  const conditions = withoutTransitionTimes(asRecord(stored).conditions).filter(({ type }) => ours.has(String(type)));
  return sameJson(
    { ...asRecord(stored), conditions: sortedByType(conditions) },
    { ...wanted, conditions: sortedByType(wanted.conditions) },
  );
}
