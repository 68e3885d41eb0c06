import assert from 'node:assert/strict';
import { formatAmount } from '../../../operator/lib/format-amount.ts';

describe('formatAmount', () => {
  const cases: readonly [amount: bigint, text: string][] = [
    [0n, '0'],
    [999_999n, '999999'],
    [1n << 20n, '~2^20'],
    [3n << 20n, '~2^21.6'],
    [1n << 64n, '~2^64'],
    [(1n << 64n) - 3n, '~2^64'],
    [1n << 127n, '~2^127'],
  ];
  for (const [amount, text] of cases) it(`writes ${amount} as ${text}`, () => assert.equal(formatAmount(amount), text));
});
