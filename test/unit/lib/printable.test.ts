import assert from 'node:assert/strict';
import { printable } from '../../../operator/lib/printable.ts';

describe('printable', () => {
  const cases: [name: string, text: string, limit: number, expected: string][] = [
    ['leaves plain text alone', 'no route to 192.0.2.1', 100, 'no route to 192.0.2.1'],
    ['keeps letters of every script', 'Fehler: ungültig 日本', 100, 'Fehler: ungültig 日本'],
    ['takes out terminal escapes', '\u001b[31mred\u001b[0m', 100, '[31mred [0m'],
    ['makes one line of several', 'one\r\n\ttwo\n', 100, 'one two'],
    ['takes out NUL', 'a\0b', 100, 'a b'],
    ['takes out characters that turn the reading direction', 'a\u202eb\u2066c', 100, 'a b c'],
    ['takes out zero width characters and line separators', 'a\u200bb\u2028c', 100, 'a b c'],
    ['takes out lone surrogates', 'a\ud800b', 100, 'a b'],
    ['cuts what is too long', 'abcdef', 3, 'abc…'],
    ['does not cut inside a character', '😀😀😀', 2, '😀😀…'],
    ['leaves text of exactly the limit alone', '😀😀', 2, '😀😀'],
  ];
  for (const [name, text, limit, expected] of cases) {
    it(name, () => assert.equal(printable(text, limit), expected));
  }
});
