/**
 * Keys that wait, each held once. Groups take turns, and inside a group the order is that of arrival: ten thousand keys of one group make
 * no other group wait for more than a turn.
 */
export class FairTurns<Key extends string> {
  readonly #groupOf: (key: Key) => string;
  /** Groups in the order of their next turns; none is empty. */
  readonly #groups = new Map<string, Set<Key>>();
  #size = 0;

  /** @param groupOf - what shares one turn; by default all do. */
  constructor(groupOf: (key: Key) => string = () => '') {
    this.#groupOf = groupOf;
  }

  get size(): number {
    return this.#size;
  }

  has(key: Key): boolean {
    return this.#groups.get(this.#groupOf(key))?.has(key) ?? false;
  }

  /** @returns whether the key was not there before. */
  add(key: Key): boolean {
    const group = this.#groupOf(key);
    const keys = this.#groups.get(group) ?? new Set();
    if (keys.has(key)) return false;
    this.#groups.set(group, keys.add(key));
    this.#size += 1;
    return true;
  }

  /** Takes the key whose turn it is out; its group goes to the end. */
  take(): Key | undefined {
    for (const [group, keys] of this.#groups) {
      this.#groups.delete(group);
      for (const key of keys) {
        keys.delete(key);
        this.#size -= 1;
        if (keys.size > 0) this.#groups.set(group, keys);
        return key;
      }
    }
    return undefined;
  }

  /** @returns whether the key was there. */
  delete(key: Key): boolean {
    const group = this.#groupOf(key);
    const keys = this.#groups.get(group);
    if (keys?.delete(key) !== true) return false;
    this.#size -= 1;
    if (keys.size === 0) this.#groups.delete(group);
    return true;
  }

  clear(): void {
    this.#groups.clear();
    this.#size = 0;
  }
}
