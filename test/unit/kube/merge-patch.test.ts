import assert from 'node:assert/strict';
import fc from 'fast-check';
import { mergePatchBetween } from '../../../operator/kube/merge-patch.ts';

type Json = Record<string, unknown>;

/** RFC 7396, section 2. */
function apply(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Json = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = apply(result[name], value);
  }
  return result;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

describe('mergePatchBetween', () => {
  const rows: [string, unknown, Json, Json][] = [
    ['nothing to do', { a: 1, b: [1] }, { a: 1, b: [1] }, {}],
    ['a new status', undefined, { a: 1 }, { a: 1 }],
    ['a changed field', { a: 1, b: 2 }, { a: 3, b: 2 }, { a: 3 }],
    ['a field that goes', { a: 1, b: 2 }, { a: 1 }, { b: null }],
    ['a field that is undefined now', { a: 1 }, { a: undefined }, { a: null }],
    ['inside an object', { h: { a: 1, b: 2 } }, { h: { a: 1 } }, { h: { b: null } }],
    ['an object that goes', { h: { a: 1 } }, {}, { h: null }],
    ['lists are replaced whole', { l: [1, 2] }, { l: [2] }, { l: [2] }],
  ];
  for (const [name, before, after, patch] of rows) {
    it(name, () => assert.deepEqual(mergePatchBetween(before, after), patch));
  }

  it('always leads to exactly what was wanted', () => {
    const leaf = fc.oneof(fc.integer(), fc.boolean(), fc.string(), fc.array(fc.integer()));
    const { object } = fc.letrec<{ object: Json; value: unknown }>((tie) => ({
      object: fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { noNullPrototype: true }),
      value: fc.oneof({ depthSize: 'small', withCrossShrink: true }, leaf, tie('object')),
    }));
    fc.assert(
      fc.property(object, object, (before, after) => {
        assert.deepEqual(apply(before, mergePatchBetween(before, after)), after);
      }),
    );
  });
});
