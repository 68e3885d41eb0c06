import type { ApiConnection } from './api-connection.ts';

/** Tells when Services of one namespace get their addresses, by a watch that is open all the time. */
export class Published {
  readonly #waiting = new Map<string, (at: number) => void>();
  readonly #seen = new Set<string>();
  readonly #stop: () => void;

  private constructor(stop: () => void) {
    this.#stop = stop;
  }

  static async watch(api: ApiConnection, namespace: string): Promise<Published> {
    let published: Published | undefined;
    const stop = await api.watch(`/api/v1/namespaces/${namespace}/services`, (_, { metadata, status }) => {
      if (published !== undefined && status?.loadBalancer?.ingress?.[0]?.ip !== undefined)
        published.#tell(metadata.name);
    });
    published = new Published(stop);
    return published;
  }

  /** Milliseconds of `performance.now` at which the Service is seen with an address. Ask before it is created. */
  of(name: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${name} had no address after 120 s`)), 120_000);
      this.#waiting.set(name, (at) => {
        clearTimeout(late);
        resolve(at);
      });
    });
  }

  /** Whether the Service has been seen with an address. */
  has(name: string): boolean {
    return this.#seen.has(name);
  }

  close(): void {
    this.#stop();
  }

  #tell(name: string): void {
    this.#seen.add(name);
    this.#waiting.get(name)?.(performance.now());
    this.#waiting.delete(name);
  }
}
