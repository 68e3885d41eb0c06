import { isDeepStrictEqual } from 'node:util';

/**
 * The JSON merge patch (RFC 7396) that turns `before` into exactly `after`: null where a field goes, and only what differs.
 * `after` is JSON, except that undefined fields count as missing.
 */
export function mergePatchBetween(before: unknown, after: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const old = isObject(before) ? before : {};
  const patch: Record<string, unknown> = {};
  for (const name of Object.keys(old)) if (after[name] === undefined) patch[name] = null;
  for (const [name, value] of Object.entries(after)) {
    if (value === undefined || isDeepStrictEqual(old[name], value)) continue;
    patch[name] = isObject(value) ? mergePatchBetween(old[name], value) : value;
  }
  return patch;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
