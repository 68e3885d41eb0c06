import assert from 'node:assert/strict';
import { count, listInWords } from '../../../operator/lib/list-in-words.ts';

describe('listInWords', () => {
  const rows: readonly [names: readonly string[], words: string][] = [
    [[], 'none'],
    [['a'], 'a'],
    [['a', 'b'], 'a and b'],
    [['a', 'b', 'c'], 'a, b and c'],
    [['a', 'b', 'c', 'd', 'e', 'f', 'g'], 'a, b, c, d, e and 2 more'],
  ];
  for (const [names, words] of rows) it(`writes ${words}`, () => assert.equal(listInWords(names), words));
});

describe('count', () => {
  it('knows one from many', () => {
    assert.equal(count(1, 'director'), '1 director');
    assert.equal(count(0, 'director'), '0 directors');
    assert.equal(count(2n, 'address', 'addresses'), '2 addresses');
  });
});
