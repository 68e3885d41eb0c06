import assert from 'node:assert/strict';
import fc from 'fast-check';
import { countAddresses, usableRanges } from '../../../operator/core/usable-ranges.ts';
import type { AddressRange } from '../../../operator/model/address-pool.ts';
import { addressFromNumber } from '../../../operator/model/ip-address.ts';
import { aRange } from '../../builders/a-pool.ts';

const usable = (addresses: readonly string[], excluded: readonly string[], avoidBuggyIPs = false): readonly string[] =>
  usableRanges(addresses.map(aRange), excluded.map(aRange), avoidBuggyIPs).map(
    ({ family, first, last }) => `${addressFromNumber(family, first)}-${addressFromNumber(family, last)}`,
  );

const rows: readonly [what: string, got: readonly string[], expected: readonly string[]][] = [
  ['one range', usable(['192.0.2.0/30'], []), ['192.0.2.0-192.0.2.3']],
  ['neighbours become one', usable(['192.0.2.4/30', '192.0.2.0/30'], []), ['192.0.2.0-192.0.2.7']],
  ['overlaps become one', usable(['192.0.2.0/28', '192.0.2.3'], []), ['192.0.2.0-192.0.2.15']],
  ['IPv4 comes first', usable(['2001:db8::1', '192.0.2.1'], []), ['192.0.2.1-192.0.2.1', '2001:db8::1-2001:db8::1']],
  [
    'a hole in the middle',
    usable(['192.0.2.0/29'], ['192.0.2.3-192.0.2.4']),
    ['192.0.2.0-192.0.2.2', '192.0.2.5-192.0.2.7'],
  ],
  ['a hole at the edge', usable(['192.0.2.0/29'], ['192.0.2.0/30']), ['192.0.2.4-192.0.2.7']],
  ['nothing left', usable(['192.0.2.0/30'], ['192.0.2.0/24']), []],
  ['a hole of the other family', usable(['192.0.2.1'], ['::/0']), ['192.0.2.1-192.0.2.1']],
  ['.0 and .255', usable(['192.0.2.0/23'], [], true), ['192.0.2.1-192.0.2.254', '192.0.3.1-192.0.3.254']],
  ['.0 alone', usable(['192.0.2.0'], [], true), []],
  ['.0 of IPv6 is not buggy', usable(['2001:db8::/126'], [], true), ['2001:db8::-2001:db8::3']],
];

describe('usableRanges', () => {
  for (const [what, got, expected] of rows) it(what, () => assert.deepEqual(got, expected));

  it('has exactly the addresses that are in a range, not excluded, not buggy', () => {
    const small = fc
      .tuple(fc.bigInt(0n, 600n), fc.bigInt(0n, 60n))
      .map(([first, size]): AddressRange => ({ family: 'IPv4', first, last: first + size }));
    fc.assert(
      fc.property(
        fc.array(small, { maxLength: 5 }),
        fc.array(small, { maxLength: 5 }),
        fc.boolean(),
        (ranges, excluded, avoid) => {
          const result = usableRanges(ranges, excluded, avoid);
          const inside = (list: readonly AddressRange[], at: bigint) =>
            list.some(({ first, last }) => first <= at && at <= last);
          let count = 0n;
          for (let at = 0n; at <= 700n; at += 1n) {
            const buggy = avoid && (at % 256n === 0n || at % 256n === 255n);
            const expected = inside(ranges, at) && !inside(excluded, at) && !buggy;
            assert.equal(inside(result, at), expected, `${at}`);
            if (expected) count += 1n;
          }
          assert.equal(countAddresses(result), count);
          assert.ok(
            result.every(
              ({ first }, index) => index === 0 || first > (result[index - 1] as AddressRange).last + 1n || avoid,
            ),
          );
        },
      ),
    );
  });
});
