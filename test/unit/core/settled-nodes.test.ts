import assert from 'node:assert/strict';
import { type SentNodes, settleNodes } from '../../../operator/core/settled-nodes.ts';
import type { VirtualServer } from '../../../operator/model/virtual-server.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';

type Weights = readonly (number | undefined)[];

/** One virtual server; a weight for each node, undefined where the node is not among its real servers. */
const nodes = (...weights: Weights): readonly VirtualServer[] => [
  aVirtualServer({
    realServers: weights.flatMap((weight, index) =>
      weight === undefined ? [] : [aRealServer({ address: `192.0.2.${index + 1}`, weight })],
    ),
  }),
];
const sent = (...weights: Weights): SentNodes => ({ virtualServers: nodes(...weights), waiting: new Map() });

const at = (now: number) => ({ now, settleMs: 3_000 });

describe('settleNodes', () => {
  it('takes everything at first: what is published already is not changed by a start', () => {
    assert.deepEqual(settleNodes(undefined, nodes(1, 1), at(5)), { virtualServers: nodes(1, 1), waiting: new Map() });
  });

  const waits: readonly [what: string, before: Weights, after: Weights, meanwhile: Weights][] = [
    ['a node that joins while another is in use', [1, undefined], [1, 1], [1, undefined]],
    ['one at weight 0 that gets a new endpoint', [1, 0], [1, 1], [1, 0]],
    ['one that takes over from one that still serves', [1, undefined], [0, 1], [1, undefined]],
    ['one at weight 0 that takes over from one that still serves', [1, 0], [0, 1], [1, 0]],
  ];
  it('lets nobody wait where kube-proxy needs no time', () => {
    const settled = settleNodes(sent(1, undefined), nodes(1, 1), { now: 5, settleMs: 0 });
    assert.deepEqual(settled, { virtualServers: nodes(1, 1), waiting: new Map() });
  });

  for (const [what, before, after, meanwhile] of waits)
    it(`lets ${what} wait for three seconds`, () => {
      const first = settleNodes(sent(...before), nodes(...after), at(1_000));
      assert.deepEqual([first.virtualServers, first.dueMs], [nodes(...meanwhile), 3_000]);
      const second = settleNodes(first, nodes(...after), at(2_500));
      assert.deepEqual([second.virtualServers, second.dueMs], [nodes(...meanwhile), 1_500]);
      assert.deepEqual(settleNodes(second, nodes(...after), at(4_000)), {
        virtualServers: nodes(...after),
        waiting: new Map(),
      });
    });

  it('takes it at once when the one that served meanwhile is gone', () => {
    const settled = settleNodes(sent(1, undefined), nodes(0, 1), at(1_000));
    assert.deepEqual(settleNodes(settled, nodes(undefined, 1), at(1_500)).virtualServers, nodes(undefined, 1));
  });

  it('begins anew when the endpoint went away meanwhile', () => {
    const settled = settleNodes(sent(1, undefined), nodes(1, 1), at(1_000));
    const gone = settleNodes(settled, nodes(1, undefined), at(2_000));
    assert.equal(gone.dueMs, undefined);
    assert.equal(settleNodes(gone, nodes(1, 1), at(3_900)).dueMs, 3_000);
  });

  const atOnce: readonly [what: string, before: Weights, after: Weights][] = [
    ['a node that joins when no other is in use', [undefined, undefined], [1, undefined]],
    ['a node that takes over from one that leaves', [1, undefined], [undefined, 1]],
    ['a node that leaves', [1, 1], [1, undefined]],
    ['a node that drains', [1, 1], [1, 0]],
    ['another weight of a node in use', [1, 1], [1, 3]],
  ];
  for (const [what, before, after] of atOnce)
    it(`asks at once for ${what}`, () => {
      assert.deepEqual(settleNodes(sent(...before), nodes(...after), at(1_000)), {
        virtualServers: nodes(...after),
        waiting: new Map(),
      });
    });
});
