/** A cell of the index is two numbers, the hash of a key and where its entry stands (0: the cell is empty). */
const CELL = 2;
const SMALLEST = 16;

/**
 * A map with text as keys, for tens of thousands of entries. Looking for a key that is not there reads one cell of a dense index, where the built-in Map reads the texts
 * of other keys all over the heap: with 65,000 entries that is most of what a new entry costs. Entries come in no particular order.
 *
 * Open addressing with linear probing; a cell that becomes empty is filled with a later one of its run (Knuth, The Art of Computer Programming, volume 3, 6.4,
 * algorithm R), so that nothing is left behind however many come and go.
 */
export class CompactMap<K extends string, V extends object> {
  #index = new Int32Array(SMALLEST * CELL);
  /** Cells of the index, a power of two, less one. */
  #mask = SMALLEST - 1;
  readonly #keys: K[] = [];
  readonly #values: (V | undefined)[] = [];
  /** Where entries were; the last one is used next. */
  readonly #vacant: number[] = [];
  /** Most calls ask about the key of the call before. */
  #lastKey = '';
  #lastHash = hashOf('');

  get size(): number {
    return this.#keys.length - this.#vacant.length;
  }

  get(key: K): V | undefined {
    const cell = this.#find(key, this.#hash(key));
    return cell < 0 ? undefined : this.#values[this.#entryAt(cell)];
  }

  has(key: K): boolean {
    return this.#find(key, this.#hash(key)) >= 0;
  }

  set(key: K, value: V): void {
    const hash = this.#hash(key);
    let cell = this.#find(key, hash);
    if (cell >= 0) {
      this.#values[this.#entryAt(cell)] = value;
      return;
    }
    if (2 * (this.size + 1) > this.#mask + 1) {
      this.#grow();
      cell = this.#find(key, hash);
    }
    const entry = this.#vacant.pop() ?? this.#keys.length;
    this.#keys[entry] = key;
    this.#values[entry] = value;
    this.#index[~cell * CELL] = hash;
    this.#index[~cell * CELL + 1] = entry + 1;
  }

  /** @returns whether there was such an entry. */
  delete(key: K): boolean {
    const cell = this.#find(key, this.#hash(key));
    if (cell < 0) return false;
    const entry = this.#entryAt(cell);
    this.#values[entry] = undefined;
    this.#vacant.push(entry);
    this.#empty(cell);
    return true;
  }

  *keys(): Iterable<K> {
    for (const [entry, key] of this.#keys.entries()) if (this.#values[entry] !== undefined) yield key;
  }

  *values(): Iterable<V> {
    for (const value of this.#values) if (value !== undefined) yield value;
  }

  #hash(key: K): number {
    if (key === this.#lastKey) return this.#lastHash;
    this.#lastKey = key;
    this.#lastHash = hashOf(key);
    return this.#lastHash;
  }

  #entryAt(cell: number): number {
    return (this.#index[cell * CELL + 1] as number) - 1;
  }

  /** The cell of the key, or the complement of the empty one where it would be. */
  #find(key: K, hash: number): number {
    const index = this.#index;
    const mask = this.#mask;
    for (let cell = hash & mask; ; cell = (cell + 1) & mask) {
      const entry = index[cell * CELL + 1] as number;
      if (entry === 0) return ~cell;
      if (index[cell * CELL] === hash && this.#keys[entry - 1] === key) return cell;
    }
  }

  #empty(cell: number): void {
    const index = this.#index;
    const mask = this.#mask;
    let gap = cell;
    for (let next = (gap + 1) & mask; index[next * CELL + 1] !== 0; next = (next + 1) & mask) {
      const home = (index[next * CELL] as number) & mask;
      if (((next - home) & mask) < ((next - gap) & mask)) continue;
      index.copyWithin(gap * CELL, next * CELL, next * CELL + CELL);
      gap = next;
    }
    index[gap * CELL + 1] = 0;
  }

  #grow(): void {
    const before = this.#index;
    this.#index = new Int32Array(before.length * 2);
    this.#mask = this.#mask * 2 + 1;
    for (let from = 0; from < before.length; from += CELL) {
      if (before[from + 1] === 0) continue;
      let cell = (before[from] as number) & this.#mask;
      while (this.#index[cell * CELL + 1] !== 0) cell = (cell + 1) & this.#mask;
      this.#index[cell * CELL] = before[from] as number;
      this.#index[cell * CELL + 1] = before[from + 1] as number;
    }
  }
}

/** FNV-1a of 32 bits, over UTF-16 units. */
function hashOf(text: string): number {
  let hash = -2_128_831_035;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 16_777_619);
  return hash ^ (hash >>> 15);
}
