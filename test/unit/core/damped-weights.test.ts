import assert from 'node:assert/strict';
import fc from 'fast-check';
import { dampWeights, type SentWeights } from '../../../operator/core/damped-weights.ts';
import type { VirtualServer } from '../../../operator/model/virtual-server.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';

const weighted = (...weights: readonly number[]): readonly VirtualServer[] => [
  aVirtualServer({
    realServers: weights.map((weight, index) => aRealServer({ address: `192.0.2.${index + 1}`, weight })),
  }),
];
const sent = (...weights: readonly number[]): SentWeights => ({ virtualServers: weighted(...weights), at: 1_000 });
const weightsOf = ({ virtualServers }: SentWeights) =>
  virtualServers.flatMap(({ realServers }) => realServers.map(({ weight }) => weight));

describe('dampWeights', () => {
  it('sends what was never sent', () => {
    assert.deepEqual(dampWeights(undefined, weighted(3, 4), 5), { virtualServers: weighted(3, 4), at: 5 });
  });

  it('lets a small change wait, and says for how long', () => {
    const damped = dampWeights(sent(4, 4), weighted(4, 5), 3_000);
    assert.deepEqual(weightsOf(damped), [4, 4]);
    assert.equal(damped.dueMs, 8_000);
  });

  it('sends it when it has waited long enough', () => {
    const damped = dampWeights(sent(4, 4), weighted(4, 5), 11_000);
    assert.deepEqual(weightsOf(damped), [4, 5]);
    assert.equal(damped.at, 11_000);
    assert.equal(damped.dueMs, undefined);
  });

  it('has nothing waiting when the weights are what they were again', () => {
    assert.deepEqual(dampWeights(sent(4, 4), weighted(4, 4), 3_000), sent(4, 4));
  });

  const atOnce: readonly [what: string, before: readonly number[], after: readonly number[]][] = [
    ['a weight that doubles', [4, 4], [4, 8]],
    ['a weight that halves', [4, 4], [2, 4]],
    ['a real server that comes', [4], [4, 4]],
    ['a real server that goes', [4, 4], [4]],
    ['a drain', [4, 4], [4, 0]],
    ['a return', [4, 0], [4, 4]],
  ];
  for (const [what, before, after] of atOnce) {
    it(`does not delay ${what}`, () => {
      assert.deepEqual(weightsOf(dampWeights(sent(...before), weighted(...after), 1_001)), after);
    });
  }

  it('does not delay anything else, and takes the weights along', () => {
    const next = weighted(4, 5).map((server) => ({ ...server, drainSeconds: 90 }));
    assert.deepEqual(dampWeights(sent(4, 4), next, 1_001).virtualServers, next);
  });

  it('sends any sequence of weights within the pause after its end, and never more often than once a pause for small changes', () => {
    const steps = fc.array(fc.record({ weight: fc.integer({ min: 10, max: 19 }), afterMs: fc.nat(4_000) }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(steps, (history) => {
        let now = 0;
        let state: SentWeights | undefined;
        let changes = 0;
        for (const { weight, afterMs } of history) {
          now += afterMs;
          const next = dampWeights(state, weighted(weight), now);
          if (state !== undefined && weightsOf(next)[0] !== weightsOf(state)[0]) changes += 1;
          state = next;
        }
        const last = history.at(-1)?.weight ?? 0;
        assert.ok(changes <= now / 10_000, `${changes} changes in ${now} ms`);
        assert.deepEqual(weightsOf(dampWeights(state, weighted(last), now + 10_000)), [last]);
      }),
    );
  });
});
