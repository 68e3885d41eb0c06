import { ResourceEventType } from '@dot-i/k8s-operator';
import type { Clock, Log } from '../controllers/ports.ts';
import { type BackoffLimits, backoff } from '../lib/backoff.ts';
import { abortableSleep } from './abortable-sleep.ts';
import type { ApiClient, ApiFailure, Query } from './api-client.ts';
import { asArray, asRecord, asText, isKubeObject, type KubeObject, objectKey } from './kube-object.ts';

/** One object came (only `now`), changed (both) or went (only `before`). */
export interface ObjectChange<T> {
  /** `namespace/name`, or the name of a cluster-scoped object. */
  readonly key: string;
  readonly before?: T;
  readonly now?: T;
}

export interface ReflectorOptions<T> {
  readonly api: ApiClient;
  /** Path of the collection, e.g. `/apis/discovery.k8s.io/v1/endpointslices`. */
  readonly path: string;
  /** fieldSelector and labelSelector. */
  readonly query?: Query;
  /** Ask for PartialObjectMetadata instead of whole objects. */
  readonly metadataOnly?: boolean;
  /**
   * The first version of the API server that serves the collection, for people: one that answers 404 to the first list has nothing of it, which is
   * said once and looked at again each hour; one that does not let us read it (403) is asked on, but nothing waits for it. Without it both are
   * failures like any other.
   */
  readonly since?: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The only thing kept of an object; undefined when it is of no interest. */
  readonly parse: (object: KubeObject) => T | undefined;
  /** Called after the store holds the new state; a delete and recreate under one name comes as two calls. */
  readonly onChange: (change: ObjectChange<T>) => void;
  /** Called after every complete list has been taken over. */
  readonly onListed?: () => void;
}

/** A collection of the API server in memory, parsed, kept fresh until stopped. */
export interface Reflector<T> {
  start(): void;
  /** After it settles no request of this reflector is open and no callback comes. */
  stop(): Promise<void>;
  /** Whether the collection has been listed completely at least once. */
  hasSynced(): boolean;
  get(key: string): T | undefined;
  values(): Iterable<T>;
}

/** Longest page of a list. Small enough that parsing one does not hold up anything else. */
export const PAGE_SIZE = 500;
/** Accept headers for name, labels and finalizers without spec and status. */
export const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const METADATA_WATCH = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
/** Between 0.8 s and 30 s, as client-go's reflector waits. */
const BACKOFF: BackoffLimits = { baseMs: 1_600, capMs: 60_000 };
const LONGEST_BACKOFF_MS = 30_000;
/** A server that asks for more patience than this has been misread, or something in between answers for it. */
const LONGEST_RETRY_AFTER_MS = 120_000;
/** The API server sends a bookmark about once a minute: a watch silent for longer is dead, whatever TCP believes. */
const IDLE_LIMIT_MS = 80_000;
/** An API server may be replaced by a newer one while we run. */
const NOT_SERVED_MS = 3_600_000;
/** A watch that cannot be resumed this often in a row is replaced by a new list. */
const WATCH_FAILURES_BEFORE_LIST = 5;

interface Entry<T> {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly value: T | undefined;
}

/** How one watch ended: resume it from where it was, list again, or count a failure. */
type WatchEnd = { readonly kind: 'resume' } | { readonly kind: 'list' } | Failure;
/** How a list ended: as a watch may, or there is no such collection. */
type ListEnd = WatchEnd | { readonly kind: 'not served' };
type Failure = { readonly kind: 'failure'; readonly cause: string; readonly retryAfterMs?: number };

/**
 * List, then watch, for ever. Unlike client-node's informer it pages its lists, asks for bookmarks, resumes where it was, and
 * never gives up: 410 lists again, everything else waits (0.8 to 30 s with jitter, or what Retry-After says) and tries again.
 */
export function createReflector<T>(options: ReflectorOptions<T>): Reflector<T> {
  return new ListWatch(options);
}

class ListWatch<T> implements Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #store = new Map<string, Entry<T>>();
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  #synced = false;
  #resourceVersion: string | undefined;
  /** Failures, and answers that the version asked for has expired, since something last went well. */
  #failures = 0;
  #expired = 0;
  /** Whether the API server has the collection; undefined before it has answered. */
  #served: boolean | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  hasSynced(): boolean {
    return this.#synced;
  }

  get(key: string): T | undefined {
    return this.#store.get(key)?.value;
  }

  *values(): Iterable<T> {
    for (const { value } of this.#store.values()) if (value !== undefined) yield value;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const end = this.#resourceVersion === undefined ? await this.#list() : await this.#watch(this.#resourceVersion);
      if (this.#stopped) return;
      if (end.kind === 'list') {
        this.#resourceVersion = undefined;
        this.#expired += 1;
        // Once is how watches age. Again without an event in between: the server cannot keep up, so do not press it.
        if (this.#expired > 1) await this.#backOff({ kind: 'failure', cause: `${this.#options.path}: expired (410)` });
      }
      if (end.kind === 'failure') await this.#backOff(end);
      if (end.kind === 'not served') await this.#doWithout();
    }
  }

  /** Of an older API server that does not know the collection nothing is left to read. */
  async #doWithout(): Promise<void> {
    const { clock, log, path, since } = this.#options;
    if (this.#beginWithout())
      log.info('The API server does not serve a resource that is not needed; it is done without', { path, since });
    await abortableSleep(clock, NOT_SERVED_MS, this.#stopping.signal);
  }

  /** @returns false when that was so before. */
  #beginWithout(): boolean {
    if (this.#served !== undefined) return false;
    this.#served = false;
    this.#takeOver(new Map());
    return true;
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #backOff({ cause, retryAfterMs }: Failure): Promise<void> {
    const { clock, log, path } = this.#options;
    this.#failures += 1;
    if (this.#failures % WATCH_FAILURES_BEFORE_LIST === 0) this.#resourceVersion = undefined;
    const asked = retryAfterMs === undefined ? undefined : Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS);
    const wait = asked ?? Math.min(LONGEST_BACKOFF_MS, backoff(this.#failures, clock.random(), BACKOFF));
    log.warn('Reading from the API server failed; trying again', {
      path,
      cause,
      failures: this.#failures,
      waitMs: wait,
    });
    await abortableSleep(clock, wait, this.#stopping.signal);
  }

  /** Lists all pages into a new store and takes it over only when it is complete: a partial view never deletes. */
  async #list(): Promise<ListEnd> {
    const { api, path, query, metadataOnly, since } = this.#options;
    const listed = new Map<string, Entry<T>>();
    let continueToken = '';
    do {
      const page: Query = { ...query, limit: String(PAGE_SIZE), ...(continueToken && { continue: continueToken }) };
      const answer = await api.get(path, {
        query: page,
        signal: this.#stopping.signal,
        ...(metadataOnly && { accept: METADATA_LIST }),
      });
      if (this.#stopped) return { kind: 'list' };
      if (!answer.ok) {
        // The pages still to come belong to a snapshot that the server has compacted away: begin again, at once.
        if (answer.status === 410 && continueToken !== '') return { kind: 'list' };
        if (since === undefined || this.#served === true) return failure(answer);
        if (answer.status === 404) return { kind: 'not served' };
        // A role that is older than the operator: everything else works on, and the log says what is missing until somebody mends it.
        if (answer.status === 403) this.#beginWithout();
        return failure(answer);
      }
      const list = asRecord(answer.body);
      for (const object of asArray(list.items)) this.#collect(listed, object);
      const metadata = asRecord(list.metadata);
      continueToken = asText(metadata.continue) ?? '';
      if (continueToken === '') this.#resourceVersion = asText(metadata.resourceVersion);
    } while (continueToken !== '');
    if (this.#resourceVersion === undefined) {
      return { kind: 'failure', cause: `GET ${path}: the answer is not a list (it has no resourceVersion)` };
    }
    this.#failures = 0;
    this.#served = true;
    this.#takeOver(listed);
    return { kind: 'resume' };
  }

  #collect(listed: Map<string, Entry<T>>, object: unknown): void {
    const { log, path } = this.#options;
    if (!isKubeObject(object)) {
      log.warn('An object without name, uid or resourceVersion was skipped', { path });
      return;
    }
    const key = objectKey(object.metadata);
    const known = this.#store.get(key);
    const same = known?.uid === object.metadata.uid && known.resourceVersion === object.metadata.resourceVersion;
    listed.set(key, same ? known : this.#entry(object));
  }

  /** A parser that throws is a bug of ours. The object stays as it was understood last: not being read is not being gone. */
  #entry(object: KubeObject): Entry<T> {
    const { log, parse, path } = this.#options;
    const { uid, resourceVersion } = object.metadata;
    const key = objectKey(object.metadata);
    try {
      return { uid, resourceVersion, value: parse(object) };
    } catch (error) {
      log.error('An object could not be parsed; it is kept as it was before', { path, key, error });
      const known = this.#store.get(key);
      return { uid, resourceVersion, value: known?.uid === uid ? known.value : undefined };
    }
  }

  #takeOver(listed: ReadonlyMap<string, Entry<T>>): void {
    const { onListed } = this.#options;
    for (const key of [...this.#store.keys()]) if (!listed.has(key)) this.#remove(key);
    for (const [key, entry] of listed) this.#put(key, entry);
    this.#synced = true;
    if (onListed !== undefined) this.#guarded(onListed);
  }

  #put(key: string, entry: Entry<T>): void {
    const known = this.#store.get(key);
    if (known?.uid === entry.uid && known.resourceVersion === entry.resourceVersion) return;
    if (known !== undefined && known.uid !== entry.uid) this.#remove(key);
    const before = this.#store.get(key)?.value;
    this.#store.set(key, entry);
    this.#tell(key, before, entry.value);
  }

  #remove(key: string): void {
    const before = this.#store.get(key)?.value;
    this.#store.delete(key);
    this.#tell(key, before, undefined);
  }

  #tell(key: string, before: T | undefined, now: T | undefined): void {
    if (before === undefined && now === undefined) return;
    const change = { key, ...(before !== undefined && { before }), ...(now !== undefined && { now }) };
    this.#guarded(() => this.#options.onChange(change));
  }

  /** A listener that throws is a bug of ours; it must not end the watch. */
  #guarded(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#options.log.error('A listener of the cluster cache threw', { path: this.#options.path, error });
    }
  }

  async #watch(resourceVersion: string): Promise<WatchEnd> {
    const { api, path, query, metadataOnly, clock } = this.#options;
    const accept = metadataOnly ? METADATA_WATCH : undefined;
    const life = new AbortController();
    const end = (): void => life.abort();
    this.#stopping.signal.addEventListener('abort', end);
    let cancelIdle = clock.schedule(IDLE_LIMIT_MS, end);
    const stillAlive = (): void => {
      cancelIdle();
      cancelIdle = clock.schedule(IDLE_LIMIT_MS, end);
    };
    const parameters = { allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: watchSeconds(clock) };
    try {
      const answer = await api.watch(path, { ...query, ...parameters }, life.signal, accept);
      if (!answer.ok) return answer.status === 410 ? { kind: 'list' } : failure(answer);
      return await this.#follow(answer.events, stillAlive);
    } catch (error) {
      return { kind: 'failure', cause: `WATCH ${path} broke off: ${(error as Error).message}` };
    } finally {
      cancelIdle();
      this.#stopping.signal.removeEventListener('abort', end);
      life.abort();
    }
  }

  /** Takes over the events of one watch until it ends. */
  async #follow(events: AsyncIterable<unknown>, stillAlive: () => void): Promise<WatchEnd> {
    const { path } = this.#options;
    let received = 0;
    for await (const event of events) {
      if (this.#stopped) return { kind: 'resume' };
      stillAlive();
      const { type, object } = asRecord(event);
      if (type === 'ERROR') return watchError(path, asRecord(object));
      this.#resourceVersion = resourceVersionOf(object) ?? this.#resourceVersion;
      this.#failures = 0;
      this.#expired = 0;
      received += 1;
      if (type !== 'BOOKMARK' && isKubeObject(object)) this.#take(type, object);
    }
    // A watch that ends cleanly is resumed; one that never told anything might be refused politely, for ever.
    return received > 0 ? { kind: 'resume' } : { kind: 'failure', cause: `WATCH ${path} ended without any event` };
  }

  #take(type: unknown, object: KubeObject): void {
    const key = objectKey(object.metadata);
    switch (type) {
      case ResourceEventType.Added:
      case ResourceEventType.Modified:
        this.#put(key, this.#entry(object));
        return;
      case ResourceEventType.Deleted:
        if (this.#store.has(key)) this.#remove(key);
        return;
      default:
        this.#options.log.warn('A watch event of an unknown type was skipped', { path: this.#options.path, type });
    }
  }
}

/** Between 290 and 590 s, as client-go spreads them: the server ends the watch then, and not all watches at once. */
function watchSeconds(clock: Clock): string {
  return String(Math.floor(290 + clock.random() * 300));
}

function resourceVersionOf(object: unknown): string | undefined {
  return asText(asRecord(asRecord(object).metadata).resourceVersion);
}

function watchError(path: string, status: Readonly<Record<string, unknown>>): WatchEnd {
  if (status.code === 410) return { kind: 'list' };
  return { kind: 'failure', cause: `WATCH ${path}: ${asText(status.message) ?? 'the server sent an error'}` };
}

function failure({ message, retryAfterMs }: ApiFailure): Failure {
  return { kind: 'failure', cause: message, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}
