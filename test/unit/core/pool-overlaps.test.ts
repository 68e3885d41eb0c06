import assert from 'node:assert/strict';
import { findOverlaps } from '../../../operator/core/pool-overlaps.ts';
import { aPool } from '../../builders/a-pool.ts';

const first = aPool({ name: 'first', createdAt: 1, addresses: ['203.0.113.0/28', '2001:db8::/64'] });

describe('findOverlaps', () => {
  it('finds none between pools that share nothing', () => {
    const other = aPool({ name: 'other', createdAt: 2, addresses: ['203.0.113.16/28', '2001:db8:1::/64'] });
    assert.deepEqual(findOverlaps([other, first]), []);
  });

  it('lets the later pool yield, whatever the order given', () => {
    const later = aPool({ name: 'a-later', createdAt: 2, addresses: ['203.0.113.14-203.0.113.20'] });
    for (const pools of [
      [first, later],
      [later, first],
    ]) {
      const [overlap, ...others] = findOverlaps(pools);
      assert.equal(others.length, 0);
      assert.equal(overlap?.pool, 'a-later');
      assert.deepEqual(overlap?.conflictsWith, ['first']);
      assert.match(overlap?.message ?? '', /first \(203\.0\.113\.14-203\.0\.113\.15\).*no new address/);
    }
  });

  it('decides by name between pools of one second', () => {
    const twin = aPool({ name: 'twin', createdAt: 1, addresses: ['2001:db8::5'] });
    const [overlap] = findOverlaps([twin, first]);
    assert.equal(overlap?.pool, 'twin');
    assert.match(overlap?.message ?? '', /first \(2001:db8::5\)/);
  });

  it('names every pool in the way, also one that yields itself', () => {
    const second = aPool({ name: 'second', createdAt: 2, addresses: ['203.0.113.15-203.0.113.30'] });
    const third = aPool({ name: 'third', createdAt: 3, addresses: ['203.0.113.0/24'] });
    const overlaps = findOverlaps([third, second, first]);
    assert.deepEqual(
      overlaps.map(({ pool, conflictsWith }) => [pool, conflictsWith]),
      [
        ['second', ['first']],
        ['third', ['first', 'second']],
      ],
    );
  });
});
