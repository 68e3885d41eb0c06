/**
 * Text from the far end, made fit for a status, an event or a log line: control, format (bidirectional, zero width) and
 * line-separating characters and lone surrogates become one space, and what is longer than `limit` characters is cut with an ellipsis.
 */
export function printable(text: string, limit: number): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
  const characters = Array.from(clean.slice(0, limit * 2));
  return characters.length > limit || clean.length > limit * 2 ? `${characters.slice(0, limit).join('')}…` : clean;
}
