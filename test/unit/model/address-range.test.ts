import assert from 'node:assert/strict';
import { parseAddressRange } from '../../../operator/model/address-range.ts';

describe('parseAddressRange', () => {
  const accepted: readonly [text: string, family: string, first: bigint, size: bigint][] = [
    ['192.0.2.1', 'IPv4', 3221225985n, 1n],
    ['192.0.2.0/24', 'IPv4', 3221225984n, 256n],
    ['192.0.2.1/32', 'IPv4', 3221225985n, 1n],
    ['0.0.0.0/0', 'IPv4', 0n, 1n << 32n],
    ['192.0.2.1-192.0.2.3', 'IPv4', 3221225985n, 3n],
    ['192.0.2.1 - 192.0.2.3', 'IPv4', 3221225985n, 3n],
    ['192.0.2.1-192.0.2.1', 'IPv4', 3221225985n, 1n],
    ['2001:db8::/64', 'IPv6', 0x20010db8n << 96n, 1n << 64n],
    ['2001:db8::1-2001:db8::ff', 'IPv6', (0x20010db8n << 96n) + 1n, 255n],
  ];
  for (const [text, family, first, size] of accepted) {
    it(`reads ${text}`, () => assert.deepEqual(parseAddressRange(text), { family, first, last: first + size - 1n }));
  }

  const refused: readonly [text: string, because: RegExp][] = [
    ['', /is not an address/],
    ['nonsense', /is not an address/],
    ['192.0.2.1-', /is not a range/],
    ['192.0.2.1-192.0.2.3-192.0.2.5', /is not a range/],
    ['192.0.2.3-192.0.2.1', /reversed.*exchange/],
    ['2001:db8::2-2001:db8::1', /reversed.*exchange/],
    ['192.0.2.1-2001:db8::1', /begins with IPv4 and ends with IPv6/],
    ['192.0.2.0/33', /is not a CIDR/],
    ['192.0.2.0/', /is not a CIDR/],
    ['192.0.2.0/024', /is not a CIDR/],
    ['192.0.2.0/24/24', /is not a CIDR/],
    ['2001:db8::/129', /is not a CIDR/],
    ['192.0.2.5/24', /bits set behind its prefix/],
  ];
  for (const [text, because] of refused) {
    it(`says what is wrong with '${text}'`, () => {
      const range = parseAddressRange(text);
      assert.ok(typeof range === 'string', `${text} was accepted`);
      assert.match(range, because);
      assert.ok(range.includes(`'${text}'`), 'the sentence names the text');
    });
  }
});
