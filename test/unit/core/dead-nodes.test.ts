import assert from 'node:assert/strict';
import { deadNodes } from '../../../operator/core/dead-nodes.ts';
import { EXCLUDE_NODE_LABEL, OUT_OF_SERVICE_TAINT } from '../../../operator/model/names.ts';
import { aNode } from '../../builders/a-node.ts';

describe('deadNodes', () => {
  const rows: readonly [what: string, node: ReturnType<typeof aNode>, dead: boolean][] = [
    ['one that is heard of', aNode(), false],
    ['one that is silent', aNode({ silent: true }), true],
    ['one that says itself that it is not ready', aNode({ taintKeys: ['node.kubernetes.io/not-ready'] }), false],
    ['one that is out of service', aNode({ taintKeys: [OUT_OF_SERVICE_TAINT] }), true],
    ['a cordoned one', aNode({ taintKeys: ['node.kubernetes.io/unschedulable'] }), false],
    ['an excluded one', aNode({ labels: { [EXCLUDE_NODE_LABEL]: 'true' } }), false],
    ['one that is being deleted', aNode({ deleting: true }), false],
  ];
  for (const [what, node, dead] of rows) {
    it(`${what}: ${dead}`, () => assert.deepEqual(deadNodes([node, aNode({ name: 'other' })]), dead ? [node] : []));
  }

  const silence: readonly [silent: number, heard: number, believed: boolean][] = [
    [1, 0, false],
    [1, 1, true],
    [2, 1, true],
    [3, 2, false],
    [3, 3, true],
    [5, 0, false],
    [54, 46, true],
    [55, 45, false],
  ];
  for (const [silent, heard, believed] of silence) {
    it(`silence of ${silent} of ${silent + heard} is ${believed ? '' : 'not '}believed to be death`, () => {
      const nodes = Array.from({ length: silent + heard }, (_, index) =>
        aNode({ name: `node-${index}`, silent: index < silent }),
      );
      assert.equal(deadNodes(nodes).length, believed ? silent : 0);
    });
  }

  it('believes who says that a node is out of service, however many are silent', () => {
    const off = aNode({ taintKeys: [OUT_OF_SERVICE_TAINT], silent: true });
    assert.deepEqual(deadNodes([off, aNode({ name: 'other', silent: true })]), [off]);
  });
});
