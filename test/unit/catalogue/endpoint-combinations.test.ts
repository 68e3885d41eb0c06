import assert from 'node:assert/strict';
import { desiredVirtualServers } from '../../../operator/core/desired-virtual-servers.ts';
import { EndpointIndex } from '../../../operator/kube/endpoint-index.ts';
import { parseEndpointSlice } from '../../../operator/kube/parse-endpoints.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService } from '../../builders/a-service.ts';

type Kind = 'answers' | 'ends' | 'silent';

/** Conditions as an EndpointSlice has them, and what they come to. */
const STATES: readonly (readonly [what: string, conditions: object, Kind])[] = [
  ['ready', { ready: true, serving: true, terminating: false }, 'answers'],
  ['not told', {}, 'answers'],
  ['serving while it ends', { ready: false, serving: true, terminating: true }, 'ends'],
  ['ending without serving', { ready: false, serving: false, terminating: true }, 'silent'],
  ['not ready', { ready: false, serving: false, terminating: false }, 'silent'],
];

/** Which of two nodes take traffic under externalTrafficPolicy Local (KEP-1669), by what the endpoint on each is. */
const EXPECTED: Readonly<Record<`${Kind} ${Kind}`, readonly string[]>> = {
  'answers answers': ['node-1', 'node-2'],
  'answers ends': ['node-1'],
  'answers silent': ['node-1'],
  'ends answers': ['node-2'],
  'ends ends': ['node-1', 'node-2'],
  'ends silent': ['node-1'],
  'silent answers': ['node-2'],
  'silent ends': ['node-2'],
  'silent silent': [],
};

/** Nodes chosen for one endpoint of each of the conditions, on these nodes. */
function chosen(first: object, second: object, secondNode: string): readonly string[] {
  const index = new EndpointIndex();
  const slice = parseEndpointSlice({
    metadata: {
      name: 'web-1',
      namespace: 'shop',
      uid: 'u',
      resourceVersion: '1',
      labels: { 'kubernetes.io/service-name': 'web' },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: [
      { addresses: ['198.18.129.1'], nodeName: 'node-1', conditions: first },
      { addresses: ['198.18.130.1'], nodeName: secondNode, conditions: second },
    ],
  });
  index.replace(undefined, slice);
  const { virtualServers } = desiredVirtualServers({
    service: aService({ externalTrafficPolicy: 'Local' }),
    endpoints: index.of(serviceKey('shop', 'web')),
    nodes: [aNode(), aNode({ name: 'node-2', internalIPs: ['192.0.2.22'] })],
    pool: aPool(),
    addresses: ['203.0.113.10' as IpAddress],
    reserved: () => new Map(),
  });
  const names = new Map([
    ['192.0.2.21', 'node-1'],
    ['192.0.2.22', 'node-2'],
  ]);
  return (virtualServers[0]?.realServers ?? [])
    .filter(({ weight }) => weight > 0)
    .map(({ address }) => names.get(address) ?? address);
}

describe('two endpoints in every combination of conditions', () => {
  for (const [what, first, kind] of STATES) {
    for (const [otherWhat, second, otherKind] of STATES) {
      const expected = EXPECTED[`${kind} ${otherKind}`];
      it(`on two nodes: ${what}, and ${otherWhat}: ${expected.join(' and ') || 'none'}`, () =>
        assert.deepEqual(chosen(first, second, 'node-2'), expected));
      it(`on one node: ${what}, and ${otherWhat}`, () =>
        assert.deepEqual(chosen(first, second, 'node-1'), expected.length > 0 ? ['node-1'] : []));
    }
  }
});
