import type {
  ClusterWriter,
  DirectorStatus,
  EventRecorder,
  ObjectReference,
  PoolStatus,
  ServiceStatus,
  WriteResult,
} from '../../operator/controllers/ports.ts';
import type { AllocationRecord } from '../../operator/model/allocation-record.ts';
import type { LoadBalancedService } from '../../operator/model/load-balanced-service.ts';
import { CORE_FINALIZER, FINALIZER } from '../../operator/model/names.ts';
import type { FakeApi, ServiceChange } from './fake-cluster.ts';

/** What happens to a write: `lost` is carried out, but its answer never says so. */
export type WriteFault = 'conflict' | 'failed' | 'lost';

/** One write that changed something, in order. */
export interface FakeWrite {
  readonly verb: 'claim' | 'disclaim' | 'markPool' | 'release' | 'serviceStatus' | 'poolStatus' | 'directorStatus';
  readonly object: string;
}

/** Writes to a {@link FakeApi} with the answers an API server gives. Every write is counted; what changes nothing is not. */
export class FakeWriter implements ClusterWriter {
  readonly writes: FakeWrite[] = [];
  readonly poolStatuses: Map<string, PoolStatus>;
  readonly directorStatuses = new Map<string, DirectorStatus>();
  /** Asked before each write; undefined lets it through. */
  fault: (write: FakeWrite) => WriteFault | undefined = () => undefined;
  /** Who is said to have written to the status of Services besides us. */
  otherWriter: string | undefined;
  /** Told of every write that reached the API server. */
  onWrite: (write: FakeWrite) => void = () => undefined;
  readonly #api: FakeApi;

  constructor(api: FakeApi) {
    this.#api = api;
    this.poolStatuses = api.poolStatuses;
  }

  claimService(service: LoadBalancedService, record: AllocationRecord): Promise<WriteResult> {
    const finalizers = [...new Set([...service.finalizers, CORE_FINALIZER, FINALIZER])];
    return this.#writeService('claim', service, true, { finalizers, allocatedFromPool: record.pool, record });
  }

  disclaimService(service: LoadBalancedService): Promise<WriteResult> {
    return this.#writeService('disclaim', service, true, { allocatedFromPool: undefined, record: undefined });
  }

  releaseService(service: LoadBalancedService): Promise<WriteResult> {
    const finalizers = service.finalizers.filter((name) => name !== FINALIZER && name !== CORE_FINALIZER);
    const marks = { finalizers, allocatedFromPool: undefined, record: undefined };
    const status = { ingress: [], conditions: [] };
    // Of an object that lives on the status is written first, and the object seen in between.
    const lives = !service.deleting || finalizers.length > 0;
    const first = lives && !Object.entries(status).every(([field]) => same(service[field as keyof typeof status], []));
    return this.#writeService('release', service, true, { ...marks, ...status }, first ? status : undefined);
  }

  async writeServiceStatus(service: LoadBalancedService, { ingress, conditions }: ServiceStatus): Promise<WriteResult> {
    const result = await this.#writeService('serviceStatus', service, false, { ingress, conditions });
    const { otherWriter } = this;
    return result.kind === 'written' && otherWriter !== undefined ? { ...result, otherWriter } : result;
  }

  async markPool(pool: string, marked: boolean): Promise<WriteResult> {
    await Promise.resolve();
    if (!this.#api.pools.has(pool)) return { kind: 'gone' };
    if (this.#api.poolFinalizers.has(pool) === marked) return { kind: 'unchanged' };
    return this.#carryOut({ verb: 'markPool', object: pool }, () => this.#api.markPool(pool, marked));
  }

  writePoolStatus(pool: string, status: PoolStatus): Promise<WriteResult> {
    return this.#writeStatus('poolStatus', pool, this.#api.pools.has(pool), this.poolStatuses, status);
  }

  writeDirectorStatus(director: string, status: DirectorStatus): Promise<WriteResult> {
    return this.#writeStatus(
      'directorStatus',
      director,
      this.#api.directors.has(director),
      this.directorStatuses,
      status,
    );
  }

  async #writeService(
    verb: FakeWrite['verb'],
    service: LoadBalancedService,
    guarded: boolean,
    change: ServiceChange,
    first?: ServiceChange,
  ): Promise<WriteResult> {
    await Promise.resolve();
    const stored = this.#api.services.get(service.key);
    if (stored === undefined || stored.uid !== service.uid) return { kind: 'gone' };
    if (guarded && stored.resourceVersion !== service.resourceVersion) return { kind: 'conflict' };
    if (Object.entries(change).every(([field, value]) => same(stored[field as keyof LoadBalancedService], value))) {
      return { kind: 'unchanged' };
    }
    let between: string | undefined;
    const result = this.#carryOut({ verb, object: service.key }, () => {
      if (first !== undefined) this.#api.changeService(service.key, first);
      if (first !== undefined) between = this.#api.services.get(service.key)?.resourceVersion;
      this.#api.changeService(service.key, change);
    });
    return result.kind === 'written' && between !== undefined ? { ...result, between } : result;
  }

  async #writeStatus<Status>(
    verb: FakeWrite['verb'],
    object: string,
    exists: boolean,
    stored: Map<string, Status>,
    status: Status,
  ): Promise<WriteResult> {
    await Promise.resolve();
    if (!exists) return { kind: 'gone' };
    if (same(stored.get(object), status)) return { kind: 'unchanged' };
    return this.#carryOut({ verb, object }, () => stored.set(object, status));
  }

  #carryOut(write: FakeWrite, change: () => void): WriteResult {
    const fault = this.fault(write);
    if (fault === 'conflict') return { kind: 'conflict' };
    if (fault === 'failed') return { kind: 'failed', cause: 'the API server is not reachable (injected)' };
    change();
    this.writes.push(write);
    this.onWrite(write);
    return fault === 'lost' ? { kind: 'failed', cause: 'the answer was lost (injected)' } : { kind: 'written' };
  }
}

/** One event, as recorded. */
export interface FakeEvent {
  readonly about: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** Keeps every event. */
export class FakeEvents implements EventRecorder {
  readonly recorded: FakeEvent[] = [];

  record(about: ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.recorded.push({ about, type, reason, message });
  }

  /** `reason: message` of the events about an object, in order. */
  about(kind: ObjectReference['kind'], name: string): string[] {
    return this.recorded
      .filter((event) => event.about.kind === kind && event.about.name === name)
      .map(({ reason, message }) => `${reason}: ${message}`);
  }
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
