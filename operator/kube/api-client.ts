import { HttpMethod, RequestContext } from '@kubernetes/client-node';
import { type Dispatcher, request } from 'undici';
import type { OpKubeConfig } from './kube-config.ts';
import { asRecord, asText } from './kube-object.ts';

/** An answer of the API server, as a value. */
export type ApiAnswer = { readonly ok: true; readonly status: number; readonly body: unknown } | ApiFailure;

/** Why there is no object: the server's Status, or (status 0) no complete answer at all. */
export interface ApiFailure {
  readonly ok: false;
  /** HTTP status code; 0 when the server could not be reached, was silent for too long, or broke off. */
  readonly status: number;
  /** metav1.Status reason (`Conflict`, `NotFound`, `Expired`, …), or the code of the network error. */
  readonly reason: string;
  /** For people; names what was asked. */
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
  /** Ends the call early. */
  readonly signal?: AbortSignal;
}

/** The events of a watch, in order. Ends when the server ends the stream; throws when it breaks or the signal aborts. */
export type WatchAnswer = { readonly ok: true; readonly events: AsyncIterable<unknown> } | ApiFailure;

/** Raw JSON in and out. No call throws; each is bounded in time, except the life of a watch, which the signal ends. */
export interface ApiClient {
  get(path: string, options?: CallOptions): Promise<ApiAnswer>;
  create(path: string, body: unknown, options?: CallOptions): Promise<ApiAnswer>;
  update(path: string, body: unknown, options?: CallOptions): Promise<ApiAnswer>;
  patch(path: string, type: PatchType, body: unknown, options?: CallOptions): Promise<ApiAnswer>;
  /** Opens a watch; `query` holds all but `watch=true`. The signal ends it at any time. */
  watch(path: string, query: Query, signal: AbortSignal, accept?: string): Promise<WatchAnswer>;
}

const DEFAULT_TIMEOUT_MS = 15_000;

interface Call extends CallOptions {
  readonly method: HttpMethod;
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
}

/** A thin client: client-node's configuration for credentials and connections, nothing of its generated types. */
export function createApiClient(config: OpKubeConfig): ApiClient {
  const json = 'application/json';
  return {
    get: (path, options) => call(config, { ...options, method: HttpMethod.GET, path }),
    create: (path, body, options) =>
      call(config, { ...options, method: HttpMethod.POST, path, body, contentType: json }),
    update: (path, body, options) =>
      call(config, { ...options, method: HttpMethod.PUT, path, body, contentType: json }),
    patch: (path, contentType, body, options) =>
      call(config, { ...options, method: HttpMethod.PATCH, path, body, contentType }),
    watch: (path, query, signal, accept) => watch(config, path, query, signal, accept),
  };
}

async function call(config: OpKubeConfig, call: Call): Promise<ApiAnswer> {
  const timeout = AbortSignal.timeout(call.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const signal = call.signal === undefined ? timeout : AbortSignal.any([timeout, call.signal]);
  try {
    const response = await send(config, call, signal);
    const text = await response.body.text();
    if (response.statusCode < 300) return { ok: true, status: response.statusCode, body: JSON.parse(text) };
    return refusal(call, response, text);
  } catch (error) {
    if (timeout.aborted) config.abandonCallConnections();
    return noAnswer(call, error);
  }
}

async function watch(
  config: OpKubeConfig,
  path: string,
  query: Query,
  signal: AbortSignal,
  accept?: string,
): Promise<WatchAnswer> {
  const call: Call = {
    method: HttpMethod.GET,
    path,
    query: { ...query, watch: 'true' },
    ...(accept === undefined ? {} : { accept }),
  };
  try {
    const response = await send(config, call, signal);
    if (response.statusCode === 200) return { ok: true, events: linesAsJson(response.body) };
    return refusal(call, response, await response.body.text());
  } catch (error) {
    return noAnswer(call, error);
  }
}

async function send(config: OpKubeConfig, call: Call, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
  const server = config.getCurrentCluster()?.server.replace(/\/+$/, '') ?? '';
  const query = call.query === undefined ? '' : `?${new URLSearchParams(call.query).toString()}`;
  const context = new RequestContext(`${server}${call.path}${query}`, call.method);
  context.setHeaderParam('Accept', call.accept ?? 'application/json');
  if (call.contentType !== undefined) context.setHeaderParam('Content-Type', call.contentType);
  await config.applySecurityAuthentication(context);
  const dispatcher = context.getDispatcher();
  if (dispatcher === undefined) throw new Error('The kubeconfig gave no connections.');
  return request(context.getUrl(), {
    method: call.method,
    headers: context.getHeaders(),
    body: call.body === undefined ? null : JSON.stringify(call.body),
    dispatcher,
    signal,
  });
}

/** A stream of JSON documents, one per line, as the API server writes watches. */
async function* linesAsJson(body: Dispatcher.ResponseData['body']): AsyncGenerator<unknown> {
  // The error also reaches the loop below; without a listener it would end the process when nobody iterates any more.
  body.on('error', () => {});
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true });
    let end = rest.indexOf('\n');
    let start = 0;
    for (; end >= 0; end = rest.indexOf('\n', start)) {
      const line = rest.slice(start, end);
      start = end + 1;
      if (line !== '') yield JSON.parse(line);
    }
    rest = rest.slice(start);
  }
}

function refusal(call: Call, response: Dispatcher.ResponseData, text: string): ApiFailure {
  const status = parseStatus(text);
  const retryAfter = Number(response.headers['retry-after']);
  return {
    ok: false,
    status: response.statusCode,
    reason: asText(status.reason) ?? `HTTP ${response.statusCode}`,
    message: `${call.method} ${call.path}: ${asText(status.message) ?? text.slice(0, 200)}`,
    ...(Number.isFinite(retryAfter) && retryAfter >= 0 ? { retryAfterMs: retryAfter * 1000 } : {}),
  };
}

function noAnswer(call: Call, error: unknown): ApiFailure {
  const { name, message, code } = error as { name?: string; message?: string; code?: unknown };
  return {
    ok: false,
    status: 0,
    reason: asText(code) ?? name ?? 'Error',
    message: `${call.method} ${call.path}: no answer from the API server (${message ?? String(error)})`,
  };
}

/** metav1.Status, when the text is one; proxies in between answer with anything. */
function parseStatus(text: string): Readonly<Record<string, unknown>> {
  try {
    return asRecord(JSON.parse(text));
  } catch {
    return {};
  }
}
