import assert from 'node:assert/strict';
import { diffByKey } from '../../../operator/lib/diff-by-key.ts';

interface Entry {
  readonly key: string;
  readonly value: number;
}

const diff = (current: readonly Entry[], desired: readonly Entry[]) =>
  diffByKey(
    current,
    desired,
    ({ key }) => key,
    (a, b) => a.value === b.value,
  );

const a = { key: 'a', value: 1 };
const b = { key: 'b', value: 1 };

describe('diffByKey', () => {
  it('finds nothing between equals, in any order', () =>
    assert.deepEqual(diff([a, b], [b, { ...a }]), { added: [], changed: [], removed: [] }));
  it('finds what is new, what differs and what is gone', () =>
    assert.deepEqual(
      diff(
        [a, b],
        [
          { key: 'b', value: 2 },
          { key: 'c', value: 1 },
        ],
      ),
      {
        added: [{ key: 'c', value: 1 }],
        changed: [{ key: 'b', value: 2 }],
        removed: [a],
      },
    ));
});
