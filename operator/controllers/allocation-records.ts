import { type AllocationRecord, sameRecord } from '../model/allocation-record.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import { CORE_FINALIZER, FINALIZER } from '../model/names.ts';
import type { Outcome } from './outcome.ts';
import type { Clock, ClusterWriter, EventRecorder } from './ports.ts';
import { referenceTo } from './service-events.ts';
import { outcomeOfWrite } from './write-outcome.ts';

export interface AllocationRecordsOptions {
  readonly writer: ClusterWriter;
  readonly events: EventRecorder;
  readonly clock: Clock;
}

/** How long a write of ours may be missing in what the watch shows before it counts as changed by somebody else. */
const OWN_WRITE_VISIBLE_MS = 5_000;
/** What somebody else changes is put right at most so often on one Service. */
const CORRECTION_PAUSE_MS = 60_000;

/** `kept`: what is stored is what we gave, or will be put right after the pause; `undone`: nothing may be programmed yet. */
export type RecordState =
  | { readonly kind: 'kept'; readonly first: boolean; readonly correctInMs: number }
  | { readonly kind: 'undone'; readonly outcome: Outcome };

/**
 * Keeps finalizers and allocation record on the Services equal to what the book says. What somebody else makes of them is put right, at most once
 * a minute per Service, so that two writers never fight.
 */
export class AllocationRecords {
  readonly #options: AllocationRecordsOptions;
  readonly #written = new Map<ServiceKey, { readonly uid: string; readonly record: AllocationRecord; at: number }>();

  constructor(options: AllocationRecordsOptions) {
    this.#options = options;
  }

  /** Before anything of these addresses reaches a director. `first`: the Service had nothing of ours before. */
  async keep(service: LoadBalancedService, record: AllocationRecord): Promise<RecordState> {
    const { writer, events, clock } = this.#options;
    const { key, uid } = service;
    if (isClaimed(service) && sameRecord(service.record, record)) return kept(false);
    const ours = this.#written.get(key);
    const known = ours?.uid === uid && sameRecord(ours.record, record);
    const age = known ? clock.monotonic() - ours.at : 0;
    if (known && age < OWN_WRITE_VISIBLE_MS) return kept(false, OWN_WRITE_VISIBLE_MS - age);
    if (known && age < CORRECTION_PAUSE_MS) return kept(false, CORRECTION_PAUSE_MS - age);
    const claimed = await writer.claimService(service, record);
    if (claimed.kind !== 'written' && claimed.kind !== 'unchanged')
      return { kind: 'undone', outcome: outcomeOfWrite(claimed, 'claim the Service') };
    this.#written.set(key, { uid, record, at: clock.monotonic() });
    if (known) events.record(referenceTo(service), 'Warning', 'ForeignChange', FOREIGN_CHANGE);
    return kept(ours === undefined && !service.finalizers.includes(FINALIZER) && service.record === undefined);
  }

  /** Removes a record that is not true from a Service that has nothing of ours. */
  async disclaim(service: LoadBalancedService): Promise<Outcome> {
    this.#written.delete(service.key);
    const result = await this.#options.writer.disclaimService(service);
    return outcomeOfWrite(result, 'remove the allocation record');
  }

  forget(key: ServiceKey): void {
    this.#written.delete(key);
  }
}

const FOREIGN_CHANGE =
  'Somebody else changed the finalizers or the allocation record (annotations ip-allocated-from-pool, allocated-addresses, allocated-to) of this Service; they are as they were again. Nothing changed on any director.';

function kept(first: boolean, correctInMs = 0): RecordState {
  return { kind: 'kept', first, correctInMs };
}

function isClaimed({ finalizers }: LoadBalancedService): boolean {
  return finalizers.includes(FINALIZER) && finalizers.includes(CORE_FINALIZER);
}
