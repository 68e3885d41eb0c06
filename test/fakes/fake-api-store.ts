import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

/** Raw JSON of an object. */
export interface StoredObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export interface StoredEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly collection: string;
  readonly version: number;
  readonly object: StoredObject;
}

export type Refusal = { readonly code: number; readonly reason: string; readonly message: string };
export type StoreAnswer = { readonly ok: true; readonly object: StoredObject } | ({ readonly ok: false } & Refusal);

interface Draft {
  readonly metadata: { readonly name: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

/**
 * What etcd and the registry are to the API server: objects by collection path and name, one growing version, a history that
 * can be compacted, and refusals with the API server's codes.
 */
export class FakeApiStore {
  readonly #collections = new Map<string, Map<string, StoredObject>>();
  readonly history: StoredEvent[] = [];
  onEvent: (event: StoredEvent) => void = () => {};
  #version = 100;
  #oldest = 0;

  get version(): number {
    return this.#version;
  }

  /** Versions below are forgotten, as after etcd's compaction. */
  get oldest(): number {
    return this.#oldest;
  }

  compact(): void {
    this.#version += 1;
    this.#oldest = this.#version;
    this.history.length = 0;
  }

  list(collection: string): StoredObject[] {
    return [...(this.#collections.get(collection)?.values() ?? [])];
  }

  get(collection: string, name: string): StoreAnswer {
    const object = this.#collections.get(collection)?.get(name);
    return object === undefined ? refused(404, 'NotFound', `"${name}" not found`) : { ok: true, object };
  }

  create(collection: string, draft: Draft): StoreAnswer {
    const { name } = draft.metadata;
    if (this.get(collection, name).ok) return refused(409, 'AlreadyExists', `"${name}" already exists`);
    const metadata = { ...draft.metadata, name, uid: randomUUID() };
    return this.#store('ADDED', collection, { ...draft, metadata });
  }

  /** Replaces the whole object; a resourceVersion or uid in it must be the stored one. */
  update(collection: string, draft: Draft): StoreAnswer {
    const known = this.get(collection, draft.metadata.name);
    if (!known.ok) return known;
    for (const guard of ['resourceVersion', 'uid'] as const) {
      const wanted = draft.metadata[guard];
      if (wanted !== undefined && wanted !== known.object.metadata[guard]) {
        return refused(
          409,
          'Conflict',
          'the object has been modified; please apply your changes to the latest version',
        );
      }
    }
    const { uid, resourceVersion } = known.object.metadata;
    const next = { ...draft, metadata: { ...draft.metadata, uid, resourceVersion } };
    if (isDeepStrictEqual(next, known.object)) return known;
    return this.#store('MODIFIED', collection, next);
  }

  /** RFC 7396. */
  mergePatch(collection: string, name: string, patch: unknown): StoreAnswer {
    const known = this.get(collection, name);
    if (!known.ok) return known;
    return this.update(collection, merged(known.object, patch) as Draft);
  }

  remove(collection: string, name: string): StoreAnswer {
    const known = this.get(collection, name);
    if (!known.ok) return known;
    this.#collections.get(collection)?.delete(name);
    return this.#tell('DELETED', collection, known.object);
  }

  #store(type: 'ADDED' | 'MODIFIED', collection: string, draft: Draft & { metadata: { uid: string } }): StoreAnswer {
    return this.#tell(type, collection, draft as unknown as StoredObject);
  }

  #tell(type: StoredEvent['type'], collection: string, changed: StoredObject): StoreAnswer {
    this.#version += 1;
    const metadata = { ...changed.metadata, resourceVersion: String(this.#version) };
    const object: StoredObject = { ...changed, metadata };
    if (type !== 'DELETED') {
      const objects = this.#collections.get(collection) ?? new Map<string, StoredObject>();
      this.#collections.set(collection, objects.set(metadata.name, object));
    }
    const event = { type, collection, version: this.#version, object };
    this.history.push(event);
    this.onEvent(event);
    return { ok: true, object };
  }
}

function refused(code: number, reason: string, message: string): StoreAnswer {
  return { ok: false, code, reason, message };
}

function merged(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
