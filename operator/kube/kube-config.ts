import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { KubeConfig, type RequestContext } from '@kubernetes/client-node';
import { Agent } from 'undici';

/** Where the API server is and who we are. */
export interface KubeConfigSource {
  /** Path of a kubeconfig; without one the Pod's service account is used. */
  readonly kubeconfig?: string;
  /** e.g. `ipvs-operator/0.1.0`. */
  readonly userAgent: string;
}

/** What a TLS connection to the API server is made with; when it changes on disk, new connections are made. */
type TlsMaterial = Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>;

interface Agents {
  readonly material: TlsMaterial;
  /** For calls that end. */
  readonly calls: Agent;
  /** For watches, one connection each. Never capped: a call must not wait behind a watch, nor a watch behind another. */
  readonly watches: Agent;
}

const CONNECT_TIMEOUT_MS = 5_000;
const HEADERS_TIMEOUT_MS = 30_000;
const CALL_CONNECTIONS = 16;
/** Shorter than the 90 s after which the API server closes an idle connection, so that we seldom write into a closing one. */
const KEEP_ALIVE_MS = 30_000;

/**
 * client-node's configuration with connections of our own. client-node makes a new TLS connection for every call and
 * leaves it open; undici speaks HTTP/2 by default, where one frozen connection swallows every later call. So: shared
 * agents, HTTP/1.1, a time limit on everything.
 */
export class OpKubeConfig extends KubeConfig {
  readonly userAgent: string;
  #agents: Agents | undefined;

  constructor(userAgent: string) {
    super();
    this.userAgent = userAgent;
  }

  /**
   * Sets credentials, User-Agent and the shared connections on a request. Service account tokens are read again from disk
   * at most 60 s after they changed; certificates at once.
   */
  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    const options: RequestOptions = {};
    await this.applyToHTTPSOptions(options);
    if (options.auth) context.setHeaderParam('Authorization', `Basic ${Buffer.from(options.auth).toString('base64')}`);
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      // Token files often end in a newline, which no header may contain.
      context.setHeaderParam(name, String(value).trim());
    }
    context.setHeaderParam('User-Agent', this.userAgent);
    const agents = this.#agentsFor(options);
    context.setDispatcher(context.getUrl().includes('watch=true') ? agents.watches : agents.calls);
  }

  /** Lets go of all connections for calls: after a timeout each idle one may be as dead as the one that was silent. */
  abandonCallConnections(): void {
    if (this.#agents === undefined) return;
    const { material, calls, watches } = this.#agents;
    this.#agents = { material, calls: newCallAgent(material), watches };
    letGo(calls);
  }

  /** Closes every connection at once; requests in flight fail. */
  async close(): Promise<void> {
    const agents = this.#agents;
    this.#agents = undefined;
    await Promise.all([agents?.calls.destroy(), agents?.watches.destroy()]);
  }

  #agentsFor(options: RequestOptions): Agents {
    const { ca, cert, key, rejectUnauthorized, servername } = options;
    const material = { ca, cert, key, rejectUnauthorized, servername };
    if (this.#agents !== undefined && sameMaterial(this.#agents.material, material)) return this.#agents;
    const outdated = this.#agents;
    this.#agents = { material, calls: newCallAgent(material), watches: newWatchAgent(material) };
    if (outdated !== undefined) {
      letGo(outdated.calls);
      letGo(outdated.watches);
    }
    return this.#agents;
  }
}

/** Throws with a sentence when the file, or the service account of the Pod, cannot be used. */
export function loadKubeConfig({ kubeconfig, userAgent }: KubeConfigSource): OpKubeConfig {
  const config = new OpKubeConfig(userAgent);
  if (kubeconfig === undefined) loadServiceAccount(config);
  else loadFile(config, kubeconfig);
  const cluster = config.getCurrentCluster();
  const source = kubeconfig ?? 'the service account of this Pod';
  if (!cluster) throw new Error(`${source} names no cluster for its current context: set current-context.`);
  if (cluster.proxyUrl) throw new Error(`${source} asks for a proxy (proxy-url), which is not supported: remove it.`);
  return config;
}

function loadFile(config: OpKubeConfig, path: string): void {
  try {
    config.loadFromFile(path);
  } catch (cause) {
    throw new Error(`The kubeconfig ${path} cannot be used: ${(cause as Error).message}`, { cause });
  }
}

function loadServiceAccount(config: OpKubeConfig): void {
  if (!process.env.KUBERNETES_SERVICE_HOST) {
    throw new Error(
      'No kubeconfig was given and this is not a Pod (KUBERNETES_SERVICE_HOST is not set): pass --kubeconfig.',
    );
  }
  config.loadFromCluster();
  const ca = config.getCurrentCluster()?.caFile;
  try {
    if (ca) readFileSync(ca);
  } catch (cause) {
    throw new Error(`The service account of this Pod cannot be read (${ca}): is automountServiceAccountToken off?`, {
      cause,
    });
  }
}

function newCallAgent(material: TlsMaterial): Agent {
  return new Agent({
    allowH2: false,
    connections: CALL_CONNECTIONS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: connectOptions(material),
  });
}

function newWatchAgent(material: TlsMaterial): Agent {
  return new Agent({
    allowH2: false,
    headersTimeout: HEADERS_TIMEOUT_MS,
    // A quiet watch is healthy; the reflector judges how long is too long.
    bodyTimeout: 0,
    connect: connectOptions(material),
  });
}

function connectOptions(material: TlsMaterial): NonNullable<Agent.Options['connect']> {
  const given = Object.fromEntries(Object.entries(material).filter(([, value]) => value !== undefined));
  return { ...given, timeout: CONNECT_TIMEOUT_MS, keepAlive: true, keepAliveInitialDelay: 30_000 };
}

/** Closes an agent when its last request has ended. Nobody waits for that, and its failure would change nothing. */
function letGo(agent: Agent): void {
  agent.close().catch(() => {});
}

function sameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  const text = (material: TlsMaterial): string => JSON.stringify([material.ca, material.cert, material.key]);
  return a.servername === b.servername && a.rejectUnauthorized === b.rejectUnauthorized && text(a) === text(b);
}
