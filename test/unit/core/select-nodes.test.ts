import assert from 'node:assert/strict';
import { selectNodes } from '../../../operator/core/select-nodes.ts';
import { AUTOSCALER_DELETION_TAINT, EXCLUDE_NODE_LABEL, OUT_OF_SERVICE_TAINT } from '../../../operator/model/names.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, endpoints } from '../../builders/a-service.ts';

const excluded = (value: string) => aNode({ labels: { [EXCLUDE_NODE_LABEL]: value } });

describe('selectNodes', () => {
  const rows: readonly [what: string, node: ReturnType<typeof aNode>, selected: boolean][] = [
    ['an ordinary node', aNode(), true],
    ['a node that is being deleted', aNode({ deleting: true }), false],
    ['a node that the autoscaler removes', aNode({ taintKeys: [AUTOSCALER_DELETION_TAINT] }), false],
    ['a node that is out of service', aNode({ taintKeys: [OUT_OF_SERVICE_TAINT] }), false],
    ['a silent node', aNode({ silent: true }), true],
    ['a cordoned node', aNode({ taintKeys: ['node.kubernetes.io/unschedulable'] }), true],
    ['a new node that has never been Ready', aNode({ hasBeenReady: false }), false],
    ['a NotReady node', aNode({ taintKeys: ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] }), true],
    ['excluded: true', excluded('true'), false],
    ['excluded: empty', excluded(''), false],
    ['excluded: nonsense', excluded('maybe'), false],
    ['excluded: false', excluded('false'), true],
    ['excluded: 0', excluded('0'), true],
    ['excluded: fAlse is no Go bool', excluded('fAlse'), false],
  ];
  for (const [what, node, selected] of rows) {
    it(`${what}: ${selected}`, () =>
      assert.equal(selectNodes([node], aPool(), aService(), endpoints()).length, selected ? 1 : 0));
  }

  it('obeys the nodeSelector of the pool', () => {
    const nodes = [aNode({ name: 'a', labels: { rack: '1' } }), aNode({ name: 'b', labels: { rack: '2' } })];
    const pool = aPool({ nodeSelector: { matchLabels: { rack: '2' } } });
    assert.deepEqual(
      selectNodes(nodes, pool, aService(), endpoints()).map(({ name }) => name),
      ['b'],
    );
  });

  it('gives the same order for any order of the input', () => {
    const nodes = ['c', 'a', 'b'].map((name) => aNode({ name }));
    assert.deepEqual(
      selectNodes(nodes, aPool(), aService(), endpoints()).map(({ name }) => name),
      ['a', 'b', 'c'],
    );
  });

  it('with externalTrafficPolicy Local wants an endpoint on the node, ready or serving while terminating', () => {
    const nodes = ['ready', 'terminating', 'none', 'other'].map((name) => aNode({ name }));
    const service = aService({ externalTrafficPolicy: 'Local' });
    const where = endpoints({ ready: 1, none: 0 }, { terminating: 2 });
    assert.deepEqual(
      selectNodes(nodes, aPool(), service, where).map(({ name }) => name),
      ['ready', 'terminating'],
    );
  });

  describe('with nodeSubset', () => {
    const pool = aPool({ balancing: { nodeSubset: 2 } });
    const all = ['a', 'b', 'c', 'd'].map((name) => aNode({ name }));
    const chosen = (nodes: typeof all, service = aService()) =>
      selectNodes(nodes, pool, service, endpoints({ a: 1, c: 1, d: 1 })).map(({ name }) => name);

    it('has at most so many, sorted', () => {
      const names = chosen(all);
      assert.equal(names.length, 2);
      assert.deepEqual(names, names.toSorted());
      assert.deepEqual(chosen(all.slice(0, 1)), ['a']);
    });

    it('replaces a chosen node that goes, and only that one', () => {
      const [gone = '', kept = ''] = chosen(all);
      const after = chosen(all.filter(({ name }) => name !== gone));
      assert.ok(after.includes(kept) && !after.includes(gone) && after.length === 2, after.join());
    });

    it('chooses among the nodes that may serve it at all', () => {
      const names = chosen(all, aService({ externalTrafficPolicy: 'Local' }));
      assert.equal(names.length, 2);
      assert.ok(!names.includes('b'));
    });
  });
});
