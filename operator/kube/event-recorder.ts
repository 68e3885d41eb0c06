import { createHash } from 'node:crypto';
import type { Clock, EventRecorder, Log, ObjectReference } from '../controllers/ports.ts';
import { withoutCounts } from '../lib/without-counts.ts';
import { API_GROUP, API_VERSION } from '../model/names.ts';
import type { ApiAnswer, ApiClient } from './api-client.ts';
import { EventQueue } from './event-queue.ts';
import { formatMicroTime } from './micro-time.ts';
import { TroublePacer } from './trouble-pacer.ts';

export interface EventRecorderOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Which process says it: the Pod's or host's name. */
  readonly instance: string;
  /**
   * Told of every event that is not written as such: `folded` into a newer one about the same trouble, `dropped` because too many wait, or
   * `failed`.
   */
  readonly onUnwritten?: (why: 'folded' | 'dropped' | 'failed') => void;
}

export interface StoppableEventRecorder extends EventRecorder {
  /** Writes what is waiting, at most 2 s, and ends all timers. */
  stop(): Promise<void>;
}

export function createEventRecorder(options: EventRecorderOptions): StoppableEventRecorder {
  return new AggregatingRecorder(options);
}

export const REPORTING_CONTROLLER = `${API_GROUP}/ipvs-operator`;
/** The same trouble within this time is one series; as in client-go's tools/events. */
const SERIES_LIFE_MS = 6 * 60_000;
/** How often a series may be told. */
const SERIES_WRITE_MS = 60_000;
const BUCKET_SIZE = 50;
const REFILL_PER_SECOND = 10;
const STOP_WITHIN_MS = 2_000;
/** Limits of events.k8s.io/v1 on `note` and `reason`, in bytes. */
const NOTE_LIMIT = 1_024;

/** The same trouble of one object, however often: what is equal but for the counts in its words. */
interface Series {
  /** Its key among the series. */
  readonly key: string;
  readonly about: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly namespace: string;
  /** The newest words. */
  note: string;
  count: number;
  readonly firstSeen: number;
  lastSeen: number;
  /** What the API server knows: undefined until an event is written. Its note can never be changed, so that other words are another event. */
  written?: { readonly name: string; readonly note: string; readonly count: number };
  writtenAt: number;
}

/**
 * events.k8s.io/v1 with series, a bounded fair queue and a token bucket. An event that cannot be written is counted and logged, and lost: what
 * it tells is in a condition too.
 */
class AggregatingRecorder implements StoppableEventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new Map<string, Series>();
  readonly #queue = new EventQueue<Series>();
  readonly #pacer: TroublePacer<Series>;
  #tokens = BUCKET_SIZE;
  #refilledAt: number;
  #working: Promise<void> | undefined;
  #cancelTimer: (() => void) | undefined;
  #stopped = false;
  /** Dropped since the log last said so. */
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#pacer = new TroublePacer<Series>({
      clock: options.clock,
      say: (series) => this.#enqueue(series),
      onFolded: (series) => {
        this.#series.delete(series.key);
        options.onUnwritten?.('folded');
      },
    });
    this.#refilledAt = options.clock.monotonic();
  }

  record(about: ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void {
    if (this.#stopped) return;
    const now = this.#options.clock.now();
    const note = shortened(message);
    const key = JSON.stringify([about.kind, about.uid, type, reason, withoutCounts(note)]);
    const known = this.#series.get(key);
    if (known !== undefined && now - known.lastSeen < SERIES_LIFE_MS) {
      known.count += 1;
      known.lastSeen = now;
      known.note = note;
      return;
    }
    // Events of cluster-scoped objects live in `default`, where kubectl describe looks for them.
    const namespace = about.kind === 'Service' ? about.namespace : 'default';
    const times = { count: 1, firstSeen: now, lastSeen: now, writtenAt: now };
    const series: Series = { key, about, type, reason, namespace, note, ...times };
    this.#series.set(key, series);
    this.#pacer.take(JSON.stringify([about.kind, about.uid, reason]), series);
    this.#wakeLater();
  }

  async stop(): Promise<void> {
    this.#pacer.sayDue(true);
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#tellDropped();
    const { clock } = this.#options;
    const deadline = new Promise<void>((resolve) => {
      const cancel = clock.schedule(STOP_WITHIN_MS, resolve);
      void (this.#working ?? Promise.resolve()).then(() => {
        cancel();
        resolve();
      });
    });
    this.#tokens = Number.POSITIVE_INFINITY;
    await deadline;
    this.#queue.clear();
  }

  #enqueue(series: Series): void {
    if (!this.#queue.add(series)) {
      this.#dropped += 1;
      this.#options.onUnwritten?.('dropped');
      // Nothing to add to: the next of its kind is tried as a new event.
      if (series.written === undefined) this.#series.delete(series.key);
      return;
    }
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    for (let series = this.#queue.next(); series !== undefined; series = this.#queue.next()) {
      await this.#token();
      await this.#write(series);
    }
  }

  /** Resolves when the bucket has a token, and takes it. */
  async #token(): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      const now = clock.monotonic();
      const refill = ((now - this.#refilledAt) / 1_000) * REFILL_PER_SECOND;
      this.#tokens = Math.min(this.#stopped ? Number.POSITIVE_INFINITY : BUCKET_SIZE, this.#tokens + refill);
      this.#refilledAt = now;
      if (this.#tokens >= 1) {
        this.#tokens -= 1;
        return;
      }
      await new Promise<void>((resolve) => clock.schedule(1_000 / REFILL_PER_SECOND, resolve));
    }
  }

  async #write(series: Series): Promise<void> {
    const { api, clock, log } = this.#options;
    const { count, note, written } = series;
    const path = `/apis/events.k8s.io/v1/namespaces/${series.namespace}/events`;
    const name = written?.note === note ? written.name : this.#nameOf(series);
    const answer: ApiAnswer =
      name === written?.name
        ? await api.patch(`${path}/${name}`, 'application/merge-patch+json', { series: repetition(series) })
        : await api.create(path, this.#event(series, name));
    series.writtenAt = clock.now();
    if (answer.ok) {
      series.written = { name, note, count };
      return;
    }
    this.#options.onUnwritten?.('failed');
    log.warn('An event could not be written', { about: series.about, note, cause: answer.message });
    // Nothing to add to: the next of its kind is written as a new event.
    if (written === undefined || answer.status === 404) this.#series.delete(series.key);
  }

  #nameOf({ about, key, note, lastSeen }: Series): string {
    return `${about.name}.${createHash('sha256').update(`${key}${note}${lastSeen}`).digest('hex').slice(0, 16)}`;
  }

  #event(series: Series, name: string): object {
    const { about, type, reason, namespace, note, count, firstSeen } = series;
    const service = about.kind === 'Service';
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace },
      eventTime: formatMicroTime(firstSeen),
      reportingController: REPORTING_CONTROLLER,
      reportingInstance: this.#options.instance.slice(0, 128),
      action: 'Reconcile',
      reason,
      type,
      note,
      regarding: {
        apiVersion: service ? 'v1' : `${API_GROUP}/${API_VERSION}`,
        kind: about.kind,
        name: about.name,
        uid: about.uid,
        ...(service && { namespace }),
      },
      ...(count > 1 && { series: repetition(series) }),
    };
  }

  #wakeLater(): void {
    this.#cancelTimer ??= this.#options.clock.schedule(SERIES_WRITE_MS, () => {
      this.#cancelTimer = undefined;
      this.#pacer.sayDue();
      this.#tellDropped();
      this.#writeGrownSeries();
    });
  }

  /** One line for all of them: a flood of events shall not become one of the log. */
  #tellDropped(): void {
    if (this.#dropped === 0) return;
    this.#options.log.warn('Too many events waited to be written; some were dropped', { dropped: this.#dropped });
    this.#dropped = 0;
  }

  /** Queues the series whose count has grown, and forgets those that have ended. */
  #writeGrownSeries(): void {
    const now = this.#options.clock.now();
    for (const [key, series] of this.#series) {
      const grown = series.written !== undefined && series.count > series.written.count;
      if (grown && now - series.writtenAt >= SERIES_WRITE_MS) this.#enqueue(series);
      else if (!grown && now - series.lastSeen >= SERIES_LIFE_MS) this.#series.delete(key);
    }
    if ((this.#series.size > 0 || !this.#pacer.isEmpty) && !this.#stopped) this.#wakeLater();
  }
}

function repetition({ count, lastSeen }: Series): object {
  return { count, lastObservedTime: formatMicroTime(lastSeen) };
}

/** At most 1024 bytes of UTF-8, cut between characters. */
function shortened(message: string): string {
  const bytes = Buffer.from(message, 'utf8');
  if (bytes.length <= NOTE_LIMIT) return message;
  const ellipsis = '…';
  const cut = bytes.subarray(0, NOTE_LIMIT - Buffer.byteLength(ellipsis)).toString('utf8');
  return `${cut.replace(/\uFFFD+$/u, '')}${ellipsis}`;
}
