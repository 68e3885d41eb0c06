/** What has to happen to `current` to become `desired`. */
export interface Difference<T> {
  readonly added: readonly T[];
  /** The desired value of each entry that exists with other contents. */
  readonly changed: readonly T[];
  /** The current value of each entry that is no longer desired. */
  readonly removed: readonly T[];
}

/** Compares two collections by key; `same` decides whether two values of one key are equal. Order follows the inputs. */
export function diffByKey<T, K>(
  current: Iterable<T>,
  desired: Iterable<T>,
  keyOf: (value: T) => K,
  same: (a: T, b: T) => boolean,
): Difference<T> {
  const remaining = new Map<K, T>();
  for (const value of current) remaining.set(keyOf(value), value);
  const added: T[] = [];
  const changed: T[] = [];
  for (const value of desired) {
    const key = keyOf(value);
    const existing = remaining.get(key);
    if (existing === undefined) added.push(value);
    else if (!same(existing, value)) changed.push(value);
    remaining.delete(key);
  }
  return { added, changed, removed: [...remaining.values()] };
}
