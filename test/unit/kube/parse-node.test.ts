import assert from 'node:assert/strict';
import { parseNode } from '../../../operator/kube/parse-node.ts';

const METADATA = { name: 'node1', uid: 'u', resourceVersion: '1' };

describe('parseNode', () => {
  it('reads what a load balancer cares about', () => {
    const node = parseNode({
      metadata: { ...METADATA, labels: { zone: 'a' }, deletionTimestamp: '2026-01-01T00:00:00Z' },
      spec: { taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }, {}] },
      status: {
        addresses: [
          { type: 'Hostname', address: 'node1' },
          { type: 'ExternalIP', address: '198.51.100.1' },
          { type: 'InternalIP', address: '192.0.2.21' },
          { type: 'InternalIP', address: '2001:DB8::21' },
          { type: 'InternalIP', address: 'node1.example.com' },
        ],
      },
    });
    assert.deepEqual(node, {
      name: 'node1',
      labels: { zone: 'a' },
      deleting: true,
      taintKeys: ['ToBeDeletedByClusterAutoscaler'],
      internalIPs: ['192.0.2.21', '2001:db8::21'],
    });
  });

  it('reads a node that has just been made', () => {
    const nothing = { name: 'node1', labels: {}, deleting: false, taintKeys: [], internalIPs: [] };
    assert.deepEqual(parseNode({ metadata: METADATA }), nothing);
    assert.deepEqual(parseNode({ metadata: METADATA, spec: null, status: { addresses: null } }), nothing);
  });
});
