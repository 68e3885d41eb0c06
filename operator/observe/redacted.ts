const DEEPEST = 6;
const SECRET_FIELD = /^(authorization|token|password|privatekey|ssh-privatekey|clientkey|key-?data)$/i;
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g;
const BEARER = /\bBearer\s+[\w.~+/=-]+/gi;

/**
 * Log fields as plain JSON: errors with name, message, stack and causes; maps and sets as objects and lists; big numbers as
 * text; cycles and great depth cut. Private keys, tokens and fields that are named like one are replaced, wherever they are.
 */
export function redacted(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return plainObject(fields, new Set(), 0);
}

function plain(value: unknown, above: ReadonlySet<unknown>, depth: number): unknown {
  if (typeof value === 'string') return value.replace(PRIVATE_KEY, '[private key]').replace(BEARER, 'Bearer [token]');
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (above.has(value) || depth >= DEEPEST) return '[…]';
  const within = new Set(above).add(value);
  if (value instanceof Date) return value.toJSON();
  if (value instanceof Map) return plainObject(Object.fromEntries(value), within, depth);
  if (value instanceof Set) return [...value].map((item) => plain(item, within, depth + 1));
  if (Array.isArray(value)) return value.map((item) => plain(item, within, depth + 1));
  if (value instanceof Error) return plainError(value, within, depth);
  return plainObject(value as Record<string, unknown>, within, depth);
}

function plainObject(
  value: Readonly<Record<string, unknown>>,
  above: ReadonlySet<unknown>,
  depth: number,
): Record<string, unknown> {
  const entries = Object.entries(value).map(([name, field]) => [
    name,
    SECRET_FIELD.test(name) ? '[redacted]' : plain(field, above, depth + 1),
  ]);
  return Object.fromEntries(entries);
}

function plainError(error: Error, above: ReadonlySet<unknown>, depth: number): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  const own = Object.fromEntries(Object.entries(error));
  return plainObject({ ...own, name, message, stack, ...(cause !== undefined && { cause }) }, above, depth);
}
