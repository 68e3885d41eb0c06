import { printable } from '../lib/printable.ts';

/** Longest piece of a user's text that a message repeats, in characters. */
const LONGEST_QUOTE = 80;

/** What a user wrote, in quotes, as a message may carry it: one line, nothing invisible, not longer than anybody reads. */
export function quoted(text: string): string {
  return `"${printable(text, LONGEST_QUOTE)}"`;
}

/** Sentences that a condition has room for: the first five, and how many more there are. */
export function firstSentences(sentences: readonly string[]): readonly string[] {
  const shown = sentences.slice(0, 5);
  return sentences.length > shown.length ? [...shown, `And ${sentences.length - shown.length} more.`] : shown;
}
