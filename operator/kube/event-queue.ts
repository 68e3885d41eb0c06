/** Longest queue of one namespace; what comes on top is refused. */
const NAMESPACE_LIMIT = 2_000;
/** Of all namespaces together. */
const TOTAL_LIMIT = 10_000;

/**
 * What waits to be written, fairly: each namespace in turn, so that one that floods delays only itself. Within a namespace in order of arrival.
 */
export class EventQueue<Item extends { readonly namespace: string }> {
  readonly #namespaces = new Map<string, Item[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @returns false when there is no room for it. */
  add(item: Item): boolean {
    const waiting = this.#namespaces.get(item.namespace) ?? [];
    if (waiting.length >= NAMESPACE_LIMIT || this.#size >= TOTAL_LIMIT) return false;
    waiting.push(item);
    this.#size += 1;
    this.#namespaces.set(item.namespace, waiting);
    return true;
  }

  /** Takes one of the namespace whose turn it is. */
  next(): Item | undefined {
    for (const [namespace, waiting] of this.#namespaces) {
      const item = waiting.shift();
      this.#namespaces.delete(namespace);
      if (waiting.length > 0) this.#namespaces.set(namespace, waiting);
      if (item === undefined) continue;
      this.#size -= 1;
      return item;
    }
    return undefined;
  }

  clear(): void {
    this.#namespaces.clear();
    this.#size = 0;
  }
}
