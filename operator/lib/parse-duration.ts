const FACTORS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1 };

/**
 * Reads a duration as Go and Kubernetes spell it, in whole seconds: `30s`, `5m`, `1h30m`, `0s`.
 *
 * @returns seconds, or undefined when the text is none. The sum may be large; limits are the caller's.
 */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d{1,5}[hms])+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+)([hms])/g)].reduce(
    (sum, [, digits, unit]) => sum + Number(digits) * (FACTORS[unit ?? ''] ?? 0),
    0,
  );
}
