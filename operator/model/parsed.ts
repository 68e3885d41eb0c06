/** A resource parsed, or the sentences that say what is wrong with it. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly name: string; readonly generation: number; readonly problems: readonly string[] };
