import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FreeAddresses, type Ordinal } from '../../../operator/core/free-addresses.ts';
import { aRange } from '../../builders/a-pool.ts';

describe('FreeAddresses', () => {
  for (const family of ['IPv4', 'IPv6'] as const)
    it(`agrees with a plain set of free ${family} addresses`, () => {
      const ordinal = (at: bigint): Ordinal => (family === 'IPv4' ? Number(at) : at);
      const step = fc.record({ kind: fc.constantFrom('take', 'give', 'first'), at: fc.bigInt(0n, 19n) });
      fc.assert(
        fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
          const free = new FreeAddresses([
            { family, first: 0n, last: 7n },
            { family, first: 10n, last: 19n },
          ]);
          const all = [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19].map(BigInt);
          const naive = new Set(all);
          for (const { kind, at } of steps) {
            if (kind === 'take') {
              free.take(ordinal(at));
              naive.delete(at);
            } else if (kind === 'give' && all.includes(at) && !naive.has(at)) {
              free.give(ordinal(at));
              naive.add(at);
            } else {
              const first = free.first();
              if (first !== undefined) {
                free.take(first);
                assert.equal(naive.delete(BigInt(first)), true, 'the first was free');
                assert.ok(
                  [...naive].every((other) => other > first),
                  'and the lowest',
                );
              } else assert.equal(naive.size, 0);
            }
            assert.equal(free.count, BigInt(naive.size));
            for (let address = 0n; address < 20n; address += 1n)
              assert.equal(free.has(ordinal(address)), naive.has(address));
          }
        }),
      );
    });

  it('refuses to take back what is free', () => {
    assert.throws(() => new FreeAddresses([aRange('192.0.2.0/30')]).give(aRange('192.0.2.1').first), /was in use/);
  });

  it('holds a /64 without enumerating it', () => {
    const free = new FreeAddresses([aRange('2001:db8::/64')]);
    assert.equal(free.count, 1n << 64n);
    free.take(aRange('2001:db8::').first);
    assert.equal(free.first(), aRange('2001:db8::1').first);
  });
});
