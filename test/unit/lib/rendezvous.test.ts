import assert from 'node:assert/strict';
import fc from 'fast-check';
import { rendezvous } from '../../../operator/lib/rendezvous.ts';

const choose = (key: string, items: readonly string[], count: number) => rendezvous(key, items, count, (item) => item);
const names = fc.uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,12}$/), { minLength: 1, maxLength: 40 });

describe('rendezvous', () => {
  it('takes all when there are not more', () => assert.deepEqual(choose('k', ['a', 'b'], 2), ['a', 'b']));

  it('chooses the same whatever the order', () => {
    fc.assert(
      fc.property(names, fc.nat(10), fc.string(), (items, count, key) => {
        assert.deepEqual(choose(key, items, count).toSorted(), choose(key, items.toReversed(), count).toSorted());
      }),
    );
  });

  it('changes by one at most when an item comes or goes, and not at all when the choice had nothing to do with it', () => {
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: 10 }), fc.string(), (items, count, key) => {
        const [gone = '', ...rest] = items;
        const before = new Set(choose(key, items, count));
        const after = new Set(choose(key, rest, count));
        const lost = [...before].filter((item) => !after.has(item));
        assert.deepEqual(lost, before.has(gone) ? [gone] : []);
        assert.ok([...after].filter((item) => !before.has(item)).length <= lost.length);
      }),
    );
  });

  it('spreads keys evenly: of 2,000 Services each of 20 nodes gets between half and double its share', () => {
    const nodes = Array.from({ length: 20 }, (_, index) => `node-${index + 1}`);
    const shares = new Map(nodes.map((node) => [node, 0]));
    for (let n = 0; n < 2_000; n += 1) {
      for (const node of choose(`shop/service-${n}`, nodes, 3)) shares.set(node, (shares.get(node) ?? 0) + 1);
    }
    for (const [node, share] of shares) assert.ok(share > 150 && share < 600, `${node} has ${share} of 300`);
  });
});
