import type { OpKubeConfig } from './kube-config.ts';

/** An answer of the API server, as a value. */
export type ApiAnswer = { readonly ok: true; readonly status: number; readonly body: unknown } | ApiFailure;

/** Why there is no object: the server's Status, or (status 0) no complete answer at all. */
export interface ApiFailure {
  readonly ok: false;
  /** HTTP status code; 0 when the server could not be reached, was silent for too long, or broke off. */
  readonly status: number;
  /** metav1.Status reason (`Conflict`, `NotFound`, `Expired`, …), or the code of the network error. */
  readonly reason: string;
  readonly message: string;
  /** From the Retry-After header. */
  readonly retryAfterMs?: number;
}

export type Query = Readonly<Record<string, string>>;

/** How a patch is to be read by the server. */
export type PatchType = 'application/merge-patch+json' | 'application/json-patch+json' | 'application/apply-patch+yaml';

export interface CallOptions {
  readonly query?: Query;
  /** Accept header; default `application/json`. */
  readonly accept?: string;
  /** Longest time for the whole call, milliseconds; default 15,000. */
  readonly timeoutMs?: number;
}

/** The events of a watch, in order. Ends when the server ends the stream; throws when it breaks or the signal aborts. */
export type WatchAnswer = { readonly ok: true; readonly events: AsyncIterable<unknown> } | ApiFailure;

/** Raw JSON in and out. No call throws; each is bounded in time, except the life of a watch, which the signal ends. */
export interface ApiClient {
  get(path: string, options?: CallOptions): Promise<ApiAnswer>;
  create(path: string, body: unknown, options?: CallOptions): Promise<ApiAnswer>;
  update(path: string, body: unknown, options?: CallOptions): Promise<ApiAnswer>;
  patch(path: string, type: PatchType, body: unknown, options?: CallOptions): Promise<ApiAnswer>;
  watch(path: string, query: Query, signal: AbortSignal, accept?: string): Promise<WatchAnswer>;
}

export function createApiClient(_config: OpKubeConfig): ApiClient {
  throw new Error('not built yet');
}
