import { isDeepStrictEqual } from 'node:util';
import type { Clock, Log } from '../controllers/ports.ts';
import { backoff } from '../lib/backoff.ts';
import { type LoadBalancedService, type ServiceKey, serviceKey } from '../model/load-balanced-service.ts';
import { FINALIZER } from '../model/names.ts';
import { abortableSleep } from './abortable-sleep.ts';
import type { ApiClient } from './api-client.ts';
import { asArray, asRecord, asText, isKubeObject, type KubeObject } from './kube-object.ts';
import { METADATA_LIST, PAGE_SIZE } from './reflector.ts';

export interface DepartedServicesOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly parse: (object: KubeObject) => LoadBalancedService | undefined;
  /** Whether the watch of Services of type LoadBalancer knows it: then it has not departed. */
  readonly isWatched: (key: ServiceKey) => boolean;
  readonly onChange: (key: ServiceKey) => void;
}

interface Departed {
  readonly value: LoadBalancedService | undefined;
  /** Ends when the Service is gone, ours no longer, or watched again. */
  readonly ended: AbortController;
  /** Ends the wait before the next read. */
  wake: AbortController;
}

const REREAD = { baseMs: 2_000, capMs: 60_000 };

/**
 * Services that left the watched selection (type LoadBalancer). DELETED on that watch does not mean that the object is gone:
 * it may have another type now and still wait for us to clean up and take our finalizer off. So each is read, and read again
 * from time to time, until the API server says that it is gone or no longer carries our finalizer.
 */
export class DepartedServices {
  readonly #options: DepartedServicesOptions;
  readonly #departed = new Map<ServiceKey, Departed>();
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(options: DepartedServicesOptions) {
    this.#options = options;
  }

  get(key: ServiceKey): LoadBalancedService | undefined {
    return this.#departed.get(key)?.value;
  }

  *values(): Iterable<LoadBalancedService> {
    for (const { value } of this.#departed.values()) if (value !== undefined) yield value;
  }

  /**
   * The Service left the selection, or may have before we came. Until it has been read it stays as last seen.
   *
   * @returns settles when it has been read once.
   */
  look(key: ServiceKey, last?: LoadBalancedService): Promise<void> {
    this.forget(key);
    const departed = { value: last, ended: new AbortController(), wake: new AbortController() };
    this.#departed.set(key, departed);
    return new Promise((resolve) => {
      const following = this.#follow(key, departed.ended.signal, resolve).finally(() => {
        this.#running.delete(following);
        resolve();
      });
      this.#running.add(following);
    });
  }

  /** The watch shows the Service again. */
  forget(key: ServiceKey): void {
    const departed = this.#departed.get(key);
    departed?.ended.abort();
    departed?.wake.abort();
    this.#departed.delete(key);
  }

  /** Reads it again now, when it has departed. */
  reread(key: ServiceKey): void {
    this.#departed.get(key)?.wake.abort();
  }

  /**
   * Looks once for our finalizer in all Services: one whose type changed while no operator ran is in no filtered list.
   * Metadata only; settles when each of them has been read, or when stopped.
   */
  async findAll(): Promise<void> {
    const { clock, log } = this.#options;
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt++) {
      const cause = await this.#scan();
      if (cause === undefined) return;
      log.warn('Looking for our finalizer in all Services failed; trying again', { cause });
      await abortableSleep(clock, backoff(attempt, clock.random(), REREAD), this.#stopping.signal);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const key of [...this.#departed.keys()]) this.forget(key);
    await Promise.all(this.#running);
  }

  /** @returns why it failed, or undefined. */
  async #scan(): Promise<string | undefined> {
    const { api, isWatched } = this.#options;
    const reads: Promise<void>[] = [];
    let continueToken = '';
    do {
      const query = { limit: String(PAGE_SIZE), ...(continueToken && { continue: continueToken }) };
      const answer = await api.get('/api/v1/services', { query, accept: METADATA_LIST, signal: this.#stopping.signal });
      if (!answer.ok) return answer.message;
      const list = asRecord(answer.body);
      for (const { metadata } of asArray(list.items).filter(isKubeObject)) {
        const key = serviceKey(metadata.namespace ?? '', metadata.name);
        const departed = metadata.finalizers?.includes(FINALIZER) && !isWatched(key) && !this.#departed.has(key);
        if (departed) reads.push(this.look(key));
      }
      continueToken = asText(asRecord(list.metadata).continue) ?? '';
    } while (continueToken !== '');
    await Promise.all(reads);
    return undefined;
  }

  async #follow(key: ServiceKey, ended: AbortSignal, firstRead: () => void): Promise<void> {
    const { clock } = this.#options;
    for (let attempt = 1; !ended.aborted; attempt++) {
      const wake = new AbortController();
      const departed = this.#departed.get(key);
      if (departed === undefined) return;
      // Before the read, so that a wish to reread that comes during it is not lost.
      departed.wake = wake;
      const outcome = await this.#read(key, ended);
      if (outcome !== 'failed') firstRead();
      if (outcome === 'changed') attempt = 0;
      if (!ended.aborted) await abortableSleep(clock, backoff(attempt, clock.random(), REREAD), wake.signal);
    }
  }

  async #read(key: ServiceKey, ended: AbortSignal): Promise<'changed' | 'same' | 'failed'> {
    const { api, log, parse, onChange } = this.#options;
    const [namespace, name] = key.split('/');
    const answer = await api.get(`/api/v1/namespaces/${namespace}/services/${name}`, { signal: ended });
    if (ended.aborted) return 'same';
    if (!answer.ok && answer.status !== 404) {
      log.warn('A Service that left the watch could not be read; trying again', {
        service: key,
        cause: answer.message,
      });
      return 'failed';
    }
    const value = answer.ok && isKubeObject(answer.body) ? parse(answer.body) : undefined;
    const known = this.#departed.get(key);
    if (known === undefined) return 'same';
    if (value === undefined) this.forget(key);
    else this.#departed.set(key, { ...known, value });
    if (isDeepStrictEqual(known.value, value) && value !== undefined) return 'same';
    onChange(key);
    return 'changed';
  }
}
