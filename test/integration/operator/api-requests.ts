import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** One request as the API server has written it down. */
export interface ApiRequest {
  readonly verb: string;
  /** `services`, `services/status`, `events`, … */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly code: number;
}

const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

/** The requests of one client in the audit log of the API server, from wherever it was marked last. */
export class ApiRequests {
  readonly #file: string;
  readonly #userAgent: string;
  #from = 0;

  /** @param userAgent how the User-Agent of the client begins. */
  constructor(auditLog: string, userAgent: string) {
    this.#file = auditLog;
    this.#userAgent = userAgent;
  }

  /** Counts from now on. */
  mark(): void {
    this.#from = this.#size();
  }

  /** What it has written since the mark, without its Lease, which it renews whatever happens. */
  writes(): readonly ApiRequest[] {
    return this.all().filter(({ verb, resource }) => WRITES.has(verb) && resource !== 'leases');
  }

  /** Everything it has asked since the mark but for watches. */
  all(): readonly ApiRequest[] {
    const lines = this.#text().split('\n').slice(0, -1);
    return lines.flatMap((line) => {
      const { verb, userAgent, objectRef = {}, responseStatus = {} } = JSON.parse(line);
      if (!String(userAgent).startsWith(this.#userAgent) || verb === 'watch') return [];
      const { resource, subresource, namespace = '', name = '' } = objectRef;
      const path = subresource === undefined ? resource : `${resource}/${subresource}`;
      return [{ verb, resource: path, namespace, name, code: responseStatus.code }];
    });
  }

  #size(): number {
    const file = openSync(this.#file, 'r');
    try {
      return fstatSync(file).size;
    } finally {
      closeSync(file);
    }
  }

  #text(): string {
    const file = openSync(this.#file, 'r');
    try {
      const bytes = Buffer.alloc(Math.max(0, fstatSync(file).size - this.#from));
      let read = 0;
      while (read < bytes.length) {
        const more = readSync(file, bytes, read, bytes.length - read, this.#from + read);
        if (more === 0) break;
        read += more;
      }
      return bytes.subarray(0, read).toString();
    } finally {
      closeSync(file);
    }
  }
}

/** `verb resource` of each, with how often, in the order of the alphabet. */
export function tally(requests: readonly ApiRequest[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const { verb, resource } of requests) {
    const what = `${verb} ${resource}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
