/** A map of counts without zeros. */
export function setOrDrop<K>(counts: Map<K, number>, name: K, value: number): void {
  if (value === 0) counts.delete(name);
  else counts.set(name, value);
}
