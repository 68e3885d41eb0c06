import { setTimeout as sleep } from 'node:timers/promises';
import { type KubeConfig, Watch } from '@kubernetes/client-node';

const PAUSE_MS = 200;
const GONE = 410;

/**
 * A watch that outlives its connections. client-node ends one after 30 s without an event, and the API server after some minutes; this one goes
 * on after the last version it has seen, or, when that has expired, with every object there is.
 */
export class ResumedWatch {
  readonly #watch: Watch;
  readonly #path: string;
  // biome-ignore lint/suspicious/noExplicitAny: objects as the API server sends them
  readonly #onChange: (phase: string, object: any) => void;
  #version: string | undefined;
  #connection: AbortController | undefined;
  #stopped = false;

  /** @param onChange called for every object there is at first, and for each change. */
  // biome-ignore lint/suspicious/noExplicitAny: objects as the API server sends them
  constructor(config: KubeConfig, path: string, onChange: (phase: string, object: any) => void) {
    this.#watch = new Watch(config);
    this.#path = path;
    this.#onChange = onChange;
  }

  /** Resolves when the first connection is open. */
  async open(): Promise<void> {
    const query = { allowWatchBookmarks: true, ...(this.#version !== undefined && { resourceVersion: this.#version }) };
    this.#connection = await this.#watch.watch(
      this.#path,
      query,
      (phase, object) => this.#take(phase, object),
      (error) => void this.#resume(error),
    );
    if (this.#stopped) this.#connection.abort();
  }

  stop(): void {
    this.#stopped = true;
    this.#connection?.abort();
  }

  // biome-ignore lint/suspicious/noExplicitAny: objects as the API server sends them
  #take(phase: string, object: any): void {
    if (phase === 'ERROR') {
      this.#version = undefined;
      return;
    }
    this.#version = object.metadata.resourceVersion;
    if (phase !== 'BOOKMARK') this.#onChange(phase, object);
  }

  async #resume(error: unknown): Promise<void> {
    if (this.#stopped) return;
    if ((error as { statusCode?: unknown } | null)?.statusCode === GONE) this.#version = undefined;
    await sleep(PAUSE_MS);
    if (!this.#stopped) await this.open();
  }
}
