import assert from 'node:assert/strict';
import { parseNode } from '../../../operator/kube/parse-node.ts';

const METADATA = { name: 'node1', uid: 'u', resourceVersion: '1' };

describe('parseNode', () => {
  it('reads what a load balancer cares about', () => {
    const node = parseNode(
      {
        metadata: { ...METADATA, labels: { zone: 'a' }, deletionTimestamp: '2026-01-01T00:00:00Z' },
        spec: {
          taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }, {}],
          podCIDRs: ['198.18.129.0/24', 'nonsense'],
        },
        status: {
          addresses: [
            { type: 'Hostname', address: 'node1' },
            { type: 'ExternalIP', address: '198.51.100.1' },
            { type: 'InternalIP', address: '192.0.2.21' },
            { type: 'InternalIP', address: '2001:DB8::21' },
            { type: 'InternalIP', address: 'node1.example.com' },
          ],
          conditions: [
            { type: 'MemoryPressure', status: 'False' },
            { type: 'Ready', status: 'True' },
          ],
        },
      },
      false,
    );
    assert.deepEqual(node, {
      name: 'node1',
      uid: 'u',
      labels: { zone: 'a' },
      deleting: true,
      hasBeenReady: true,
      silent: false,
      taintKeys: ['ToBeDeletedByClusterAutoscaler'],
      internalIPs: ['192.0.2.21', '2001:db8::21'],
      externalIPs: ['198.51.100.1'],
      podRanges: ['198.18.129.0/24'],
    });
  });

  it('reads a node that has just been made', () => {
    const parsed = parseNode({ metadata: METADATA }, false);
    const nothing = {
      labels: {},
      deleting: false,
      hasBeenReady: false,
      silent: false,
      taintKeys: [],
      internalIPs: [],
      externalIPs: [],
      podRanges: [],
    };
    assert.deepEqual(parsed, { name: 'node1', uid: 'u', ...nothing });
    assert.deepEqual(parseNode({ metadata: METADATA, spec: null, status: { addresses: null } }, false), parsed);
  });

  const readiness: readonly [what: string, ready: string | undefined, wasReady: boolean, has: boolean][] = [
    ['a new node without conditions', undefined, false, false],
    ['a new node that is not Ready', 'False', false, false],
    ['a new node that is silent', 'Unknown', false, false],
    ['a node that is Ready', 'True', false, true],
    ['a node that was Ready and is not now', 'False', true, true],
  ];
  for (const [what, status, wasReady, has] of readiness) {
    it(`${what}: ${has ? 'has been Ready' : 'has never been Ready'}`, () => {
      const conditions = status === undefined ? [] : [{ type: 'Ready', status }];
      assert.equal(parseNode({ metadata: METADATA, status: { conditions } }, wasReady).hasBeenReady, has);
    });
  }
});
