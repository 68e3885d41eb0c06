import { KubeConfig } from '@kubernetes/client-node';
import { Agent, request } from 'undici';
import { ResumedWatch } from './resumed-watch.ts';

/**
 * A kept connection to the API server, so that a measurement contains the product's time and not the start of kubectl.
 */
export class ApiConnection {
  readonly #config = new KubeConfig();
  readonly #server: string;
  readonly #headers: Record<string, string>;
  readonly #agent: Agent;

  /** @param kubeconfig path of an administrator's kubeconfig with a token */
  constructor(kubeconfig: string) {
    this.#config.loadFromFile(kubeconfig);
    const cluster = this.#config.getCurrentCluster();
    const user = this.#config.getCurrentUser();
    if (!cluster || !user?.token) throw new Error(`${kubeconfig} names no cluster, or no user with a token`);
    this.#server = cluster.server;
    this.#headers = { authorization: `Bearer ${user.token}`, 'content-type': 'application/json' };
    const ca = cluster.caData === undefined ? undefined : Buffer.from(cluster.caData, 'base64');
    this.#agent = new Agent({ connect: { ...(ca && { ca }), rejectUnauthorized: !cluster.skipTLSVerify } });
  }

  /** Sends one request that must succeed. */
  async send(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'GET', path: string, body?: object): Promise<unknown> {
    const patch = method === 'PATCH' ? { 'content-type': 'application/merge-patch+json' } : {};
    const response = await request(`${this.#server}${path}`, {
      method,
      headers: { ...this.#headers, ...patch },
      dispatcher: this.#agent,
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.body.text();
    if (response.statusCode >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text.slice(0, 300)}`);
    return JSON.parse(text);
  }

  /** Calls back for every object below the path and for each change of one, until the returned function is called. */
  // biome-ignore lint/suspicious/noExplicitAny: objects as the API server sends them
  async watch(path: string, onChange: (phase: string, object: any) => void): Promise<() => void> {
    const watch = new ResumedWatch(this.#config, path, onChange);
    await watch.open();
    return () => watch.stop();
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
