import assert from 'node:assert/strict';
import { withoutCounts } from '../../../operator/lib/without-counts.ts';

describe('words without their counts', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['3 of 5 nodes answer.', '# of # nodes answer.'],
    ['tried again in 12 s (attempt 7)', 'tried again in # s (attempt #)'],
    ['held back: 51.5 % of 103', 'held back: # % of #'],
    ['203.0.113.10 is taken', '203.0.113.10 is taken'],
    ['address 2001:db8::7, TCP 203.0.113.10:80', 'address 2001:db8::7, TCP 203.0.113.10:80'],
    ['pool 203.0.113.0/24 and director lb-1', 'pool 203.0.113.0/24 and director lb-1'],
    ['port 80 has no node port', 'port 80 has no node port'],
    ['Service "7" of shop/web-2', 'Service "7" of shop/web-2'],
    ['kernel 6.1.0', 'kernel 6.1.0'],
  ];
  for (const [sentence, words] of cases) it(sentence, () => assert.equal(withoutCounts(sentence), words));
});
