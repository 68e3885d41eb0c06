/**
 * The `count` items that score highest for a key (rendezvous hashing, highest random weight): each key has its own choice, and an item that
 * comes or goes changes only the choices that it itself belongs to.
 */
export function rendezvous<T>(
  key: string,
  items: readonly T[],
  count: number,
  nameOf: (item: T) => string,
): readonly T[] {
  if (items.length <= count) return items;
  return items
    .map((item) => ({ item, name: nameOf(item), score: score(`${key}\n${nameOf(item)}`) }))
    .sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1))
    .slice(0, count)
    .map(({ item }) => item);
}

/** 53 bits that depend on every character: two FNV-1a hashes, each finished as in MurmurHash3 so that its high bits are as good as its low ones. */
function score(text: string): number {
  let [a, b] = [0x811c9dc5, 0x050c5d1f];
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x01000193);
  }
  return finished(a) * 0x200000 + (finished(b) >>> 11);
}

function finished(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
