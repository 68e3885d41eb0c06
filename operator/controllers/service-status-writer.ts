import type { DirectorConfirmation } from '../core/service-status.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import { SERVICE_CONDITION } from '../model/names.ts';
import { DONE, type Outcome } from './outcome.ts';
import type { Clock, ClusterWriter, EventRecorder, ServiceStatus } from './ports.ts';
import { eventsOfChange, referenceTo } from './service-events.ts';
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

/** Writes the status of Services when it is worth a write, and tells what is new in it as events. */
export class ServiceStatusWriter {
  readonly #options: ServiceStatusWriterOptions;
  /** What we wrote last, until the watch shows it. */
  readonly #written = new Map<ServiceKey, { readonly status: string; readonly at: number }>();
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

  /** Writes a status that differs from the stored one. */
  async write(service: LoadBalancedService, status: ServiceStatus): Promise<Outcome> {
    const { writer, events, clock } = this.#options;
    const print = printOf(service.uid, status);
    if (print === printOf(service.uid, service)) return DONE;
    const ours = this.#written.get(service.key);
    const waited = ours === undefined ? 0 : clock.monotonic() - ours.at;
    if (ours?.status === print && waited < OWN_WRITE_VISIBLE_MS) {
      return { kind: 'retryAfter', milliseconds: OWN_WRITE_VISIBLE_MS - waited };
    }
    const result = await writer.writeServiceStatus(service, status);
    if (result.kind !== 'written' && result.kind !== 'unchanged')
      return outcomeOfWrite(result, 'write the status of the Service');
    this.#written.set(service.key, { status: print, at: clock.monotonic() });
    if (result.kind === 'written') {
      for (const { type, reason, message } of eventsOfChange(service, status)) {
        events.record(referenceTo(service), type, reason, message);
      }
    }
    return DONE;
  }

  /** Nothing more is to be told of this Service. */
  forget(key: ServiceKey): void {
    this.#written.delete(key);
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
