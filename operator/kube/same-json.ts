import { isDeepStrictEqual } from 'node:util';

/** Equal once written: undefined fields are not there. */
export function sameJson(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));
}

/** Conditions in one order, for the API server keeps the order in which they came. */
export function sortedByType<T extends { readonly type?: unknown }>(conditions: readonly T[]): T[] {
  return [...conditions].sort((a, b) => (String(a.type) < String(b.type) ? -1 : 1));
}
