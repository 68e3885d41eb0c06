import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { OpKubeConfig } from '../../operator/kube/kube-config.ts';
import { FakeApiStore, type Refusal, type StoredEvent, type StoredObject } from './fake-api-store.ts';

/** What goes wrong with a request instead of its answer. */
export type Fault =
  | { readonly kind: 'status'; readonly code: number; readonly retryAfterSeconds?: number }
  /** The connection is reset. */
  | { readonly kind: 'reset' }
  /** No answer, ever. */
  | { readonly kind: 'silence' }
  /** An ERROR event inside a watch that was opened well. */
  | { readonly kind: 'error event'; readonly code: number }
  /** A watch that is opened well and ended at once. */
  | { readonly kind: 'empty watch' };

interface Watch {
  readonly collection: string;
  readonly response: ServerResponse;
}

/**
 * An API server in memory behind real sockets (plain HTTP on loopback): list with pages, watch with replay and bookmarks,
 * optimistic locking, and every fault that a reflector must survive.
 */
export class FakeApiServer {
  readonly store = new FakeApiStore();
  /** `METHOD url` of every request that arrived. */
  readonly requests: string[] = [];
  /** Headers of the same requests. */
  readonly headers: IncomingMessage['headers'][] = [];
  /** TCP connections accepted so far. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #frozen = new WeakSet<Socket>();
  readonly #watches = new Set<Watch>();
  readonly #faults: { readonly match: RegExp; readonly fault: Fault; left: number }[] = [];

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on('connection', (socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
    this.store.onEvent = (event) => {
      for (const watch of this.#watches) if (watch.collection === event.collection) this.#send(watch, event);
    };
  }

  static async start(): Promise<FakeApiServer> {
    const fake = new FakeApiServer();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  /** A configuration as from a kubeconfig file. */
  config(): OpKubeConfig {
    const config = new OpKubeConfig('test');
    const { port } = this.#server.address() as AddressInfo;
    // client-node refuses plain HTTP otherwise.
    const cluster = { name: 'fake', server: `http://127.0.0.1:${port}`, skipTLSVerify: true };
    config.loadFromClusterAndUser(cluster, { name: 'test', token: 'a-token' });
    return config;
  }

  /** The next `times` requests whose `METHOD url` matches go wrong. */
  fail(match: RegExp, fault: Fault, times = 1): void {
    this.#faults.push({ match, fault, left: times });
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  /** From now on no byte leaves on the connections that exist: half-open, as behind a firewall that forgot them. */
  freezeConnections(): void {
    for (const socket of this.#sockets) this.#frozen.add(socket);
  }

  /** Resets every connection. */
  resetConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Ends every watch cleanly, as the API server does when timeoutSeconds have passed. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end();
  }

  /** Tells all watches the newest version, as the API server does about once a minute. */
  bookmark(): void {
    const metadata = { resourceVersion: String(this.store.version) };
    for (const watch of this.#watches) this.#line(watch, { type: 'BOOKMARK', object: { metadata } });
  }

  async stop(): Promise<void> {
    this.resetConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const line = `${request.method} ${request.url}`;
    this.requests.push(line);
    this.headers.push(request.headers);
    const body = await bodyOf(request);
    if (this.#frozen.has(request.socket)) return;
    const fault = this.#faults.find(({ match, left }) => left > 0 && match.test(line));
    if (fault !== undefined) fault.left -= 1;
    if (fault !== undefined && this.#spoil(fault.fault, request, response)) return;
    const url = new URL(request.url ?? '', 'http://fake');
    const inWatch =
      fault?.fault.kind === 'error event' || fault?.fault.kind === 'empty watch' ? fault.fault : undefined;
    if (url.searchParams.get('watch') === 'true') this.#watch(url, response, inWatch);
    else this.#resource(request.method ?? '', url, body, response);
  }

  /** @returns whether the request is dealt with. */
  #spoil(fault: Fault, request: IncomingMessage, response: ServerResponse): boolean {
    switch (fault.kind) {
      case 'status':
        if (fault.retryAfterSeconds !== undefined) response.setHeader('retry-after', String(fault.retryAfterSeconds));
        refuse(response, { code: fault.code, reason: 'Injected', message: 'injected fault' });
        return true;
      case 'reset':
        request.socket.resetAndDestroy();
        return true;
      case 'silence':
        return true;
      default:
        return false;
    }
  }

  #watch(url: URL, response: ServerResponse, fault: Fault | undefined): void {
    const version = url.searchParams.get('resourceVersion');
    // Without a version a watch begins with everything there is.
    const from = version === null ? this.store.version : Number(version);
    if (from < this.store.oldest) {
      refuse(response, EXPIRED);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watch = { collection: url.pathname, response };
    if (fault?.kind === 'error event') {
      this.#line(watch, { type: 'ERROR', object: { kind: 'Status', code: fault.code, message: 'injected fault' } });
      response.end();
      return;
    }
    if (fault?.kind === 'empty watch') {
      response.end();
      return;
    }
    if (version === null)
      for (const object of this.store.list(url.pathname)) this.#line(watch, { type: 'ADDED', object });
    for (const event of this.store.history) {
      if (event.collection === url.pathname && event.version > from) this.#send(watch, event);
    }
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }

  #resource(method: string, url: URL, body: string, response: ServerResponse): void {
    const path = url.pathname.replace(/\/status$/, '');
    const slash = path.lastIndexOf('/');
    const [collection, name] = [path.slice(0, slash), path.slice(slash + 1)];
    // Collections have plural names; the objects of these tests do not.
    if (method === 'GET' && name.endsWith('s')) {
      this.#list(url, response);
      return;
    }
    const answer =
      method === 'POST'
        ? this.store.create(path, JSON.parse(body))
        : method === 'PUT'
          ? this.store.update(collection, JSON.parse(body))
          : method === 'PATCH'
            ? this.store.mergePatch(collection, name, JSON.parse(body))
            : this.store.get(collection, name);
    if (answer.ok) send(response, 200, answer.object);
    else refuse(response, answer);
  }

  #list(url: URL, response: ServerResponse): void {
    const limit = Number(url.searchParams.get('limit') ?? '0') || Number.POSITIVE_INFINITY;
    const [version, start] = (url.searchParams.get('continue') ?? `${this.store.version}.0`).split('.').map(Number);
    if (Number(version) < this.store.oldest) {
      refuse(response, EXPIRED);
      return;
    }
    const all: StoredObject[] = this.store.list(url.pathname);
    const end = Number(start) + limit;
    const metadata = {
      resourceVersion: String(version),
      ...(end < all.length && { continue: `${version}.${end}` }),
    };
    send(response, 200, { kind: 'List', metadata, items: all.slice(Number(start), end) });
  }

  #send(watch: Watch, { type, object }: StoredEvent): void {
    this.#line(watch, { type, object });
  }

  #line({ response }: Watch, event: unknown): void {
    if (response.writableEnded || (response.socket !== null && this.#frozen.has(response.socket))) return;
    response.write(`${JSON.stringify(event)}\n`);
  }
}

const EXPIRED: Refusal = { code: 410, reason: 'Expired', message: 'too old resource version' };

function refuse(response: ServerResponse, { code, reason, message }: Refusal): void {
  send(response, code, { kind: 'Status', status: 'Failure', code, reason, message });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  try {
    for await (const chunk of request) body += chunk;
  } catch {
    // The client went away; nobody waits for the answer.
  }
  return body;
}
