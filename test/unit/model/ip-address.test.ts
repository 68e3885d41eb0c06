import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  addressFromNumber,
  addressToNumber,
  compareAddresses,
  familyOf,
  type IpAddress,
  type IpFamily,
  parseIpAddress,
} from '../../../operator/model/ip-address.ts';

describe('parseIpAddress', () => {
  const accepted: readonly [text: string, canonical: string][] = [
    ['203.0.113.10', '203.0.113.10'],
    ['2001:db8::1', '2001:db8::1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:0db8:0000:0001:0000:0000:0000:0001', '2001:db8:0:1::1'],
    ['::', '::'],
  ];
  for (const [text, canonical] of accepted) {
    it(`reads ${text} as ${canonical}`, () => assert.equal(parseIpAddress(text), canonical));
  }

  for (const text of [
    '',
    'a',
    '203.0.113.010',
    '203.0.113.10/32',
    '203.0.113',
    'fe80::1%eth0',
    '::ffff:cb00:710a',
    '::ffff:192.0.2.1',
    ' 192.0.2.1',
  ]) {
    it(`refuses '${text}'`, () => assert.equal(parseIpAddress(text), undefined));
  }
});

describe('address numbers', () => {
  const anyAddress = fc.oneof(
    fc.bigInt(0n, 2n ** 32n - 1n).map((value) => ({ family: 'IPv4' as IpFamily, value })),
    fc.bigInt(0n, 2n ** 128n - 1n).map((value) => ({ family: 'IPv6' as IpFamily, value })),
  );

  it('go to text and back', () => {
    fc.assert(
      fc.property(anyAddress, ({ family, value }) => {
        const address = addressFromNumber(family, value);
        // An IPv4-mapped address is no address of ours, so no text of ours stands for it.
        if (family === 'IPv6' && value >> 32n === 0xffffn) return;
        assert.equal(parseIpAddress(address), address);
        assert.equal(familyOf(address), family);
        assert.equal(addressToNumber(address), value);
      }),
    );
  });

  it('order like the addresses, IPv4 first', () => {
    fc.assert(
      fc.property(anyAddress, anyAddress, (a, b) => {
        const order = Math.sign(
          compareAddresses(addressFromNumber(a.family, a.value), addressFromNumber(b.family, b.value)),
        );
        const expected =
          a.family !== b.family ? (a.family === 'IPv4' ? -1 : 1) : a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
        assert.equal(order, expected);
      }),
    );
  });

  it('know the usual ones', () => {
    assert.equal(addressToNumber('192.0.2.1' as IpAddress), 3221225985n);
    assert.equal(addressToNumber('2001:db8::1' as IpAddress), 0x20010db8000000000000000000000001n);
    assert.equal(addressToNumber('::' as IpAddress), 0n);
  });
});
