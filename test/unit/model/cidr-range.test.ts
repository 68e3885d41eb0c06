import assert from 'node:assert/strict';
import { compareCidrRanges, familyOfRange, parseCidrRange, rangeContains } from '../../../operator/model/cidr-range.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';

describe('parseCidrRange', () => {
  for (const [text, canonical] of [
    ['198.51.100.0/24', '198.51.100.0/24'],
    ['198.51.100.77/24', '198.51.100.0/24'],
    ['198.51.100.77/32', '198.51.100.77/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:DB8:0::1/32', '2001:db8::/32'],
    ['::/0', '::/0'],
  ] as const) {
    it(`reads ${text}`, () => assert.equal(parseCidrRange(text), canonical));
  }

  for (const text of [
    '',
    '198.51.100.0',
    '198.51.100.0/33',
    '198.51.100.0/',
    '198.51.100.0/024',
    '/24',
    'a/24',
    '::/129',
    '::1/0/0',
  ]) {
    it(`refuses '${text}'`, () => assert.equal(parseCidrRange(text), undefined));
  }
});

describe('a CIDR range', () => {
  const range = (text: string) => parseCidrRange(text) ?? assert.fail(text);

  it('contains the addresses of its family under its prefix', () => {
    const contains = (cidr: string, address: string) => rangeContains(range(cidr), address as IpAddress);
    assert.equal(contains('198.51.100.0/24', '198.51.100.255'), true);
    assert.equal(contains('198.51.100.0/24', '198.51.101.0'), false);
    assert.equal(contains('0.0.0.0/0', '2001:db8::1'), false);
    assert.equal(contains('2001:db8::/32', '2001:db8:ffff::1'), true);
  });

  it('has the family of its addresses', () => {
    assert.equal(familyOfRange(range('0.0.0.0/0')), 'IPv4');
    assert.equal(familyOfRange(range('::/0')), 'IPv6');
  });

  it('is ordered by family, address and width', () => {
    const sorted = ['::/0', '198.51.100.0/25', '198.51.100.0/24', '192.0.2.0/24'].map(range).sort(compareCidrRanges);
    assert.deepEqual(sorted, ['192.0.2.0/24', '198.51.100.0/24', '198.51.100.0/25', '::/0']);
  });
});
