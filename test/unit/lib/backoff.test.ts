import assert from 'node:assert/strict';
import fc from 'fast-check';
import { backoff } from '../../../operator/lib/backoff.ts';

const LIMITS = { baseMs: 100, capMs: 5_000 };

describe('backoff', () => {
  const rows: readonly [attempt: number, random: number, expected: number][] = [
    [1, 0, 50],
    [1, 0.5, 75],
    [2, 0, 100],
    [5, 0, 800],
    [7, 0, 2_500],
    [1_000, 0, 2_500],
  ];
  for (const [attempt, random, expected] of rows) {
    it(`waits ${expected} ms at attempt ${attempt} with ${random}`, () =>
      assert.equal(backoff(attempt, random, LIMITS), expected));
  }

  it('never waits longer than the cap, nor less than half the base', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempt, random) => {
          const wait = backoff(attempt, random, LIMITS);
          assert.ok(wait >= 50 && wait < 5_000, `${wait}`);
        },
      ),
    );
  });
});
