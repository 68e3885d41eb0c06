import assert from 'node:assert/strict';
import { parseDuration } from '../../../operator/lib/parse-duration.ts';

const rows: readonly [text: string, seconds: number | undefined][] = [
  ['30s', 30],
  ['0s', 0],
  ['5m', 300],
  ['1h30m', 5400],
  ['1h1m1s', 3661],
  ['90m', 5400],
  ['024h', 86_400],
  ['', undefined],
  ['30', undefined],
  ['s', undefined],
  ['-5s', undefined],
  ['1d', undefined],
  ['1.5h', undefined],
  ['500ms', undefined],
  ['30 s', undefined],
  ['100000s', undefined],
];

describe('parseDuration', () => {
  for (const [text, seconds] of rows) {
    it(`reads '${text}' as ${seconds}`, () => assert.equal(parseDuration(text), seconds));
  }
});
