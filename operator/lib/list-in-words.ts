/**
 * Names for a sentence: `a`, `a and b`, `a, b and c`; beyond the limit `a, b, c and 4 more`, so that a message stays short
 * whatever the cluster holds.
 */
export function listInWords(names: readonly string[], limit = 5): string {
  if (names.length > limit) return `${names.slice(0, limit).join(', ')} and ${names.length - limit} more`;
  if (names.length <= 1) return names[0] ?? 'none';
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/** `1 director`, `3 directors`; the plural may be given when it is not the noun and an s. */
export function count(number: number | bigint, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 || number === 1n ? noun : plural}`;
}
