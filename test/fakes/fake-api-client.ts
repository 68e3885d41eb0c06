import type { ApiAnswer, ApiClient, ApiFailure, PatchType, WatchAnswer } from '../../operator/kube/api-client.ts';
import { FakeApiStore, type StoreAnswer } from './fake-api-store.ts';

/** Called before each call; an answer replaces that of the store, a promise delays it. */
type Before = (line: string) => ApiFailure | Promise<void> | undefined;

/** An API client straight on a store, without sockets: for tests that a fake clock drives. It knows no lists and watches. */
export class FakeApiClient implements ApiClient {
  readonly store = new FakeApiStore();
  /** `METHOD path` of every call. */
  readonly calls: string[] = [];
  before: Before = () => undefined;

  get(path: string): Promise<ApiAnswer> {
    return this.#call('GET', path, (collection, name) => this.store.get(collection, name));
  }

  create(path: string, body: unknown): Promise<ApiAnswer> {
    return this.#call('POST', path, () => this.store.create(path, body as Parameters<FakeApiStore['create']>[1]));
  }

  update(path: string, body: unknown): Promise<ApiAnswer> {
    return this.#call('PUT', path, (collection) =>
      this.store.update(collection, body as Parameters<FakeApiStore['update']>[1]),
    );
  }

  patch(path: string, _type: PatchType, body: unknown): Promise<ApiAnswer> {
    return this.#call('PATCH', path, (collection, name) => this.store.mergePatch(collection, name, body));
  }

  watch(): Promise<WatchAnswer> {
    throw new Error('this fake has no watches: use FakeApiServer');
  }

  async #call(
    method: string,
    path: string,
    act: (collection: string, name: string) => StoreAnswer,
  ): Promise<ApiAnswer> {
    this.calls.push(`${method} ${path}`);
    const before = this.before(`${method} ${path}`);
    if (before !== undefined && 'ok' in before) return before;
    const slash = path.lastIndexOf('/');
    const answer = act(path.slice(0, slash), path.slice(slash + 1));
    // A delayed answer is one that the server gave in time: the write has happened.
    await before;
    if (answer.ok) return { ok: true, status: 200, body: answer.object };
    return { ok: false, status: answer.code, reason: answer.reason, message: answer.message };
  }
}

/** What the API client answers when nobody does. */
export const NO_ANSWER: ApiFailure = { ok: false, status: 0, reason: 'TimeoutError', message: 'no answer' };
