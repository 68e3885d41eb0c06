import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FairTurns } from '../../../operator/controllers/fair-turns.ts';

const namespaceOf = (key: string) => key.split('/')[0] ?? '';

function drained(turns: FairTurns<string>): string[] {
  const order: string[] = [];
  for (let key = turns.take(); key !== undefined; key = turns.take()) order.push(key);
  return order;
}

describe('FairTurns', () => {
  it('is first come, first served without groups, each key once', () => {
    const turns = new FairTurns<string>();
    assert.deepEqual(
      ['b', 'a', 'b'].map((key) => turns.add(key)),
      [true, true, false],
    );
    assert.equal(turns.size, 2);
    assert.deepEqual(drained(turns), ['b', 'a']);
  });

  it('lets groups take turns', () => {
    const turns = new FairTurns<string>(namespaceOf);
    for (const key of ['a/1', 'a/2', 'a/3', 'b/1', 'c/1', 'c/2']) turns.add(key);
    assert.deepEqual(drained(turns), ['a/1', 'b/1', 'c/1', 'a/2', 'c/2', 'a/3']);
  });

  it('makes nobody wait longer than one turn of every other group, whatever comes', () => {
    const key = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(20)).map(([group, name]) => `${group}/${name}`);
    fc.assert(
      fc.property(fc.array(key, { maxLength: 80 }), key, (others, wanted) => {
        const turns = new FairTurns<string>(namespaceOf);
        for (const other of others) if (namespaceOf(other) !== namespaceOf(wanted)) turns.add(other);
        turns.add(wanted);
        assert.ok(drained(turns).indexOf(wanted) <= 2);
      }),
    );
  });

  it('loses nothing and doubles nothing', () => {
    const key = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(5)).map(([group, name]) => `${group}/${name}`);
    fc.assert(
      fc.property(fc.array(fc.option(key), { maxLength: 80 }), (actions) => {
        const turns = new FairTurns<string>(namespaceOf);
        const model = new Set<string>();
        for (const action of actions) {
          if (action !== null) assert.equal(turns.add(action), !model.has(action) && model.add(action) !== undefined);
          else {
            const taken = turns.take();
            assert.equal(taken === undefined, model.size === 0);
            if (taken !== undefined) assert.ok(model.delete(taken));
          }
          assert.equal(turns.size, model.size);
        }
        assert.deepEqual(drained(turns).toSorted(), [...model].toSorted());
      }),
    );
  });
});
