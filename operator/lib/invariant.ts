/** A broken assumption of ours: a bug, never a user's mistake or a network's trouble. */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation';
}

/**
 * States what must be true whatever the cluster and the directors do.
 *
 * @throws InvariantViolation with the sentence when it does not hold.
 */
export function invariant(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new InvariantViolation(sentence);
}
