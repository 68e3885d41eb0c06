/**
 * What a reconcile asks the queue to do next. `done` forgets the key's failures; `retry` comes back after exponential back-off;
 * `retryAfter` after exactly that many milliseconds; `giveUp` waits for the next change of the object (a user's mistake).
 */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'retry'; readonly cause: string }
  | { readonly kind: 'retryAfter'; readonly milliseconds: number }
  | { readonly kind: 'giveUp'; readonly cause: string };

export const DONE: Outcome = { kind: 'done' };
