import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CompactMap } from '../../../operator/lib/compact-map.ts';

interface Value {
  readonly text: string;
}

/** Two texts of the same hash, found by trying. */
const SAME_HASH = ['a1bcyvaj', 'afz0dgi'];
const KEYS = [...SAME_HASH, ...Array.from({ length: 60 }, (_, index) => `default/s${index}`)];

const aStep = fc.record({
  kind: fc.constantFrom('set' as const, 'set' as const, 'delete' as const),
  key: fc.constantFrom(...KEYS),
});

function agrees(map: CompactMap<string, Value>, model: ReadonlyMap<string, Value>): void {
  assert.equal(map.size, model.size);
  assert.deepEqual([...map.keys()].sort(), [...model.keys()].sort());
  assert.deepEqual(new Set(map.values()), new Set(model.values()));
  for (const key of KEYS) {
    assert.equal(map.get(key), model.get(key), key);
    assert.equal(map.has(key), model.has(key), key);
  }
}

describe('CompactMap', () => {
  it('is a Map, whatever is set and deleted in whatever order', () => {
    fc.assert(
      fc.property(fc.array(aStep, { maxLength: 200 }), (steps) => {
        const map = new CompactMap<string, Value>();
        const model = new Map<string, Value>();
        for (const { kind, key } of steps) {
          if (kind === 'delete') assert.equal(map.delete(key), model.delete(key));
          else {
            const value = { text: key };
            map.set(key, value);
            model.set(key, value);
          }
          agrees(map, model);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('keeps every entry while it grows, and finds none that has gone', () => {
    const map = new CompactMap<string, Value>();
    const keys = Array.from({ length: 5_000 }, (_, index) => `198.18.${index >> 8}.${index & 255}`);
    for (const key of keys) map.set(key, { text: key });
    for (const key of keys.slice(0, 2_500)) map.delete(key);
    assert.equal(map.size, 2_500);
    for (const [index, key] of keys.entries()) assert.equal(map.get(key)?.text, index < 2_500 ? undefined : key);
  });

  it('tells keys of the same hash apart', () => {
    const [one = '', other = ''] = SAME_HASH;
    const map = new CompactMap<string, Value>();
    map.set(one, { text: one });
    assert.equal(map.get(other), undefined);
    map.set(other, { text: other });
    map.delete(one);
    assert.deepEqual([map.get(one), map.get(other)?.text], [undefined, other]);
  });
});
