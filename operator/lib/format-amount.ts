/** Up to here every digit is worth reading. */
const EXACT_BELOW = 1_000_000n;

/** An amount for a narrow column: exact below a million, above it as a power of two (`~2^64`, `~2^21.6`), which is how networks are counted. */
export function formatAmount(amount: bigint): string {
  if (amount < EXACT_BELOW) return String(amount);
  // The leading 53 bits are all that a number can hold, and more than one decimal needs.
  const shift = Math.max(0, amount.toString(2).length - 53);
  const exponent = Math.log2(Number(amount >> BigInt(shift))) + shift;
  return `~2^${Number(exponent.toFixed(1))}`;
}
