/** Times of one thing measured again and again, in milliseconds. */
export interface Sample {
  readonly what: string;
  readonly milliseconds: readonly number[];
}

/** Smallest value that the given share of the values does not exceed (nearest rank). */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** A table for people: what, median, p99, largest, n. */
export function formatSamples(samples: readonly Sample[]): string {
  const width = Math.max(...samples.map(({ what }) => what.length));
  const cells = (title: string, values: readonly string[]) =>
    [title.padEnd(width), ...values.map((value) => value.padStart(10))].join('');
  const number = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ms`;
  return [
    cells('', ['median', 'p99', 'max', 'n']),
    ...samples.map(({ what, milliseconds }) =>
      cells(what, [
        number(percentile(milliseconds, 0.5)),
        number(percentile(milliseconds, 0.99)),
        number(Math.max(...milliseconds)),
        String(milliseconds.length),
      ]),
    ),
  ].join('\n');
}
