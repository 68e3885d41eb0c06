import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describeTaken, hostAddresses, withoutHosts } from '../../../operator/core/host-addresses.ts';
import { countAddresses, usableRanges } from '../../../operator/core/usable-ranges.ts';
import { formatAddressRange } from '../../../operator/model/address-range.ts';
import type { CidrRange } from '../../../operator/model/cidr-range.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { aDirector } from '../../builders/a-director.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool, aRange } from '../../builders/a-pool.ts';

const NODE = aNode({
  internalIPs: ['203.0.113.11', '2001:db8::11'],
  externalIPs: ['198.51.100.1'] as unknown as readonly IpAddress[],
  podRanges: ['198.18.129.0/24' as CidrRange],
});
const API_SERVER = {
  groups: [{ ports: [], endpoints: [{ address: '192.0.2.10' as IpAddress, state: 'ready' as const }], silent: [] }],
};
const HOSTS = hostAddresses({
  nodes: [NODE],
  directors: [aDirector()],
  apiServer: API_SERVER,
  serviceRanges: [
    { name: 'kubernetes', cidrs: ['198.18.160.0/24', '2001:db8:f::/112'] as unknown as readonly CidrRange[] },
  ],
  neverAssign: [aRange('198.18.0.0/17')],
});

describe('addresses that hosts have', () => {
  const rows: readonly (readonly [what: string, addresses: readonly string[], left: readonly string[]])[] = [
    ['none of them', ['203.0.113.20-203.0.113.30'], ['203.0.113.20-203.0.113.30']],
    ['an internal address of a node', ['203.0.113.10-203.0.113.12'], ['203.0.113.10', '203.0.113.12']],
    ['an external address of a node', ['198.51.100.1-198.51.100.2'], ['198.51.100.2']],
    ['addresses of pods', ['198.18.128.255-198.18.130.0'], ['198.18.128.255', '198.18.130.0']],
    ['the address of a director', ['192.0.2.11-192.0.2.12'], ['192.0.2.12']],
    ['the address of the API server', ['192.0.2.9-192.0.2.10'], ['192.0.2.9']],
    ['addresses of the configuration', ['198.18.127.0-198.18.128.0'], ['198.18.128.0']],
    ['cluster IPs', ['198.18.159.255-198.18.161.0'], ['198.18.159.255', '198.18.161.0']],
    ['cluster IPs of IPv6', ['2001:db8:f::ffff-2001:db8:f::1:0'], ['2001:db8:f::1:0']],
    ['an IPv6 address', ['2001:db8::11'], []],
    ['one behind an IPv4 range', ['192.0.2.1', '2001:db8::10-2001:db8::11'], ['192.0.2.1', '2001:db8::10']],
  ];
  for (const [what, addresses, left] of rows) {
    it(`a pool with ${what}: ${left.join(', ') || 'nothing'} is left`, () => {
      const { pool } = withoutHosts(aPool({ addresses }), HOSTS);
      assert.deepEqual(pool.ranges.map(formatAddressRange), left);
    });
  }

  it('are named with their owners, three of them', () => {
    const { taken } = withoutHosts(aPool({ addresses: ['192.0.2.11-203.0.113.255'] }), HOSTS);
    assert.equal(
      describeTaken(taken),
      '198.18.0.0-198.18.127.255 belongs to neverAssign in the configuration, 203.0.113.11 belongs to node node-1 and 198.51.100.1 ' +
        'belongs to node node-1, and 3 more. These addresses are never given to a Service. Take them out of spec.addresses, or list ' +
        'them in spec.excludedAddresses.',
    );
  });

  it('are exactly those that leave a pool', () => {
    const range = fc
      .tuple(
        fc.constantFrom('IPv4' as const, 'IPv6' as const),
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 0, max: 6 }),
      )
      .map(([family, first, length]) => ({ family, first: BigInt(first), last: BigInt(first + length) }));
    const members = (ranges: readonly { family: string; first: bigint; last: bigint }[]) =>
      new Set(
        ranges.flatMap(({ family, first, last }) =>
          Array.from({ length: Number(last - first) + 1 }, (_, offset) => `${family} ${first + BigInt(offset)}`),
        ),
      );
    fc.assert(
      fc.property(fc.array(range, { maxLength: 5 }), fc.array(range, { maxLength: 5 }), (ranges, taken) => {
        const merged = { ...aPool(), ranges: usableRanges(ranges, [], false) };
        const { pool } = withoutHosts(
          merged,
          taken.map((each) => ({ range: each, owner: 'x' })),
        );
        const excluded = members(taken);
        const expected = [...members(ranges)].filter((member) => !excluded.has(member));
        assert.deepEqual([...members(pool.ranges)].sort(), expected.sort());
        assert.equal(countAddresses(pool.ranges), BigInt(expected.length));
      }),
    );
  });
});
