import type { DirectorConfirmation } from '../core/service-status.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import { SERVICE_CONDITION } from '../model/names.ts';
import { DONE, type Outcome } from './outcome.ts';
import type { Clock, ClusterWriter, EventRecorder, ServiceStatus } from './ports.ts';
import { correction, eventsOfChange, referenceTo } from './service-events.ts';
import { outcomeOfWrite } from './write-outcome.ts';

export interface ServiceStatusWriterOptions {
  readonly writer: ClusterWriter;
  readonly events: EventRecorder;
  readonly clock: Clock;
}

/** Confirmations usually take milliseconds: that one is awaited is worth a write only when it takes so long. */
const PENDING_WORTH_TELLING_MS = 4_000;

/** How long a status of ours may be missing in what the watch shows before it is written again. */
const OWN_WRITE_VISIBLE_MS = 5_000;

/** What somebody else made of a status is put right no more often than this: two writers that correct each other would never rest. */
const CORRECTION_MS = 60_000;

/** The status we want, as last written by us or as the watch has shown it to be already. */
interface Stated {
  readonly print: string;
  /** Monotonic milliseconds. */
  readonly at: number;
  /** The watch has shown it: what differs from then on is the work of somebody else. */
  readonly seen: boolean;
  /** When it was last put right. */
  readonly correctedAt?: number;
}

/** Writes the status of Services when it is worth a write, and tells what is new in it as events. */
export class ServiceStatusWriter {
  readonly #options: ServiceStatusWriterOptions;
  readonly #stated = new Map<ServiceKey, Stated>();
  /** Since when a Service waits for confirmations. */
  readonly #pendingSince = new Map<ServiceKey, number>();

  constructor(options: ServiceStatusWriterOptions) {
    this.#options = options;
  }

  /** {@link write}, but a confirmation that is awaited is told only when it takes long. */
  async writePatiently(service: LoadBalancedService, status: ServiceStatus): Promise<Outcome> {
    const patience = this.#patience(service.key, status);
    return patience > 0 ? { kind: 'retryAfter', milliseconds: patience } : this.write(service, status);
  }

  /** Writes a status that differs from the stored one: ours at once, one that somebody else has changed when it is due. */
  async write(service: LoadBalancedService, status: ServiceStatus): Promise<Outcome> {
    const { key, uid } = service;
    const now = this.#options.clock.monotonic();
    const print = printOf(uid, status);
    const stated = this.#stated.get(key);
    if (print === printOf(uid, service)) {
      const { correctedAt } = stated ?? {};
      this.#stated.set(key, { print, at: now, seen: true, ...(correctedAt !== undefined && { correctedAt }) });
      return DONE;
    }
    if (stated?.print !== print) return this.#state(service, status, { ...stated, print, at: now, seen: false });
    const due = stated.seen
      ? (stated.correctedAt ?? now - CORRECTION_MS) + CORRECTION_MS
      : stated.at + OWN_WRITE_VISIBLE_MS;
    if (due > now) return { kind: 'retryAfter', milliseconds: due - now };
    return this.#state(service, status, { print, at: now, seen: false, correctedAt: now });
  }

  async #state(service: LoadBalancedService, status: ServiceStatus, stated: Stated): Promise<Outcome> {
    const { writer, events } = this.#options;
    const result = await writer.writeServiceStatus(service, status);
    if (result.kind !== 'written' && result.kind !== 'unchanged')
      return outcomeOfWrite(result, 'write the status of the Service');
    this.#stated.set(service.key, stated);
    if (result.kind === 'unchanged') return DONE;
    const told =
      stated.correctedAt === stated.at
        ? [correction(service, status, result.otherWriter)]
        : eventsOfChange(service, status);
    for (const { type, reason, message } of told) events.record(referenceTo(service), type, reason, message);
    return DONE;
  }

  /** Nothing more is to be told of this Service. */
  forget(key: ServiceKey): void {
    this.#stated.delete(key);
    this.#pendingSince.delete(key);
  }

  /** For how much longer nothing is said about a confirmation that is awaited. */
  #patience(key: ServiceKey, { conditions }: ServiceStatus): number {
    if (!conditions.some(({ type, reason }) => type === SERVICE_CONDITION.programmed && reason === 'Pending')) {
      this.#pendingSince.delete(key);
      return 0;
    }
    const now = this.#options.clock.monotonic();
    const since = this.#pendingSince.get(key) ?? now;
    this.#pendingSince.set(key, since);
    return since + PENDING_WORTH_TELLING_MS - now;
  }
}

/**
 * Directors that went away take nothing back, and their pool and their own status say so: telling it to each of thousands of Services
 * as well would cost thousands of writes, and as many when they return.
 */
export function onlyAbsenceIsNew(
  service: LoadBalancedService,
  next: ServiceStatus,
  directors: readonly DirectorConfirmation[],
  problems: readonly string[],
): boolean {
  const away = directors.some(({ ready }) => !ready);
  const failed = directors.some(({ ready, state }) => ready && state === 'Failed');
  const before = service.conditions.find(({ type }) => type === SERVICE_CONDITION.programmed);
  const rest = ({ ingress, conditions }: ServiceStatus) =>
    printOf(service.uid, {
      ingress,
      conditions: conditions.filter(({ type }) => type !== SERVICE_CONDITION.programmed),
    });
  return (
    away &&
    !failed &&
    problems.length === 0 &&
    before?.status === 'True' &&
    (before.observedGeneration ?? 0) === service.generation &&
    rest(service) === rest(next)
  );
}

/** Equal for equal statuses, in whatever order the API server stores them. */
function printOf(uid: string, { ingress, conditions }: ServiceStatus): string {
  const addresses = ingress.map(({ ip, ipMode, ports }) => [ip, ipMode, ports ?? []]);
  const sorted = conditions
    .map(({ type, status, reason, message, observedGeneration }) => [type, status, reason, message, observedGeneration])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return JSON.stringify([uid, addresses, sorted]);
}
