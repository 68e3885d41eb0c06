import assert from 'node:assert/strict';
import { redacted } from '../../../operator/observe/redacted.ts';

const KEY = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n-----END OPENSSH PRIVATE KEY-----\n';

describe('redacted', () => {
  const cycle: Record<string, unknown> = { name: 'a' };
  cycle.self = cycle;
  const rows: [string, unknown, unknown][] = [
    ['plain values', { a: 1, b: 'x', c: [true, null] }, { a: 1, b: 'x', c: [true, null] }],
    ['a private key in a text', `before ${KEY}after`, 'before [private key]\nafter'],
    ['a private key that is cut off', 'x -----BEGIN PRIVATE KEY-----\nMC4CAQ', 'x [private key]'],
    ['a bearer token', 'Authorization: Bearer eyJhbGciOi.abc-def_x', 'Authorization: Bearer [token]'],
    [
      'fields named like secrets',
      { privateKey: 'k', token: 't', Authorization: 'x' },
      { privateKey: '[redacted]', token: '[redacted]', Authorization: '[redacted]' },
    ],
    ['big numbers, maps, sets', { n: 1n, m: new Map([['k', 1]]), s: new Set([1]) }, { n: '1', m: { k: 1 }, s: [1] }],
    ['cycles', cycle, { name: 'a', self: '[…]' }],
  ];
  for (const [name, value, plain] of rows) {
    it(name, () => assert.deepEqual(redacted({ value }), { value: plain }));
  }

  it('errors with their causes', () => {
    const cause = Object.assign(new Error(`bad ${KEY}`), { code: 'EBAD' });
    const { error } = redacted({ error: new TypeError('outer', { cause }) }) as { error: Record<string, unknown> };
    assert.equal(error.name, 'TypeError');
    assert.equal(error.message, 'outer');
    assert.match(String(error.stack), /^TypeError: outer\n +at /);
    const inner = error.cause as Record<string, unknown>;
    assert.equal(inner.code, 'EBAD');
    assert.match(String(inner.message), /^bad \[private key\]/);
    assert.ok(!JSON.stringify(error).includes('b3BlbnNzaC1r'));
  });
});
