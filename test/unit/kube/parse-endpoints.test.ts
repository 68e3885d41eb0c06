import assert from 'node:assert/strict';
import type { KubeObject } from '../../../operator/kube/kube-object.ts';
import { parseEndpointSlice } from '../../../operator/kube/parse-endpoints.ts';

function slice(endpoints: unknown, rest: object = {}): KubeObject {
  const metadata = {
    name: 'web-a',
    namespace: 'shop',
    uid: 'u',
    resourceVersion: '1',
    labels: { 'kubernetes.io/service-name': 'web' },
  };
  return { metadata, addressType: 'IPv4', endpoints, ...rest };
}

describe('parseEndpointSlice', () => {
  const states: [string, object | undefined, 'ready' | 'terminating' | 'neither'][] = [
    ['no conditions', undefined, 'ready'],
    ['ready unknown', {}, 'ready'],
    ['ready', { ready: true, serving: true, terminating: false }, 'ready'],
    ['not ready', { ready: false, serving: false, terminating: false }, 'neither'],
    ['serving while terminating', { ready: false, serving: true, terminating: true }, 'terminating'],
    ['terminating, no longer serving', { ready: false, serving: false, terminating: true }, 'neither'],
    ['terminating, serving not told', { ready: false, terminating: true }, 'neither'],
    ['published although not ready', { ready: true, serving: false, terminating: true }, 'ready'],
  ];
  for (const [name, conditions, state] of states) {
    it(`${name}: ${state}`, () => {
      const parsed = parseEndpointSlice(slice([{ addresses: ['198.51.100.1'], nodeName: 'node1', conditions }]));
      assert.equal(parsed?.readyByNode.get('node1'), state === 'ready' ? 1 : undefined);
      assert.equal(parsed?.servingTerminatingByNode.get('node1'), state === 'terminating' ? 1 : undefined);
    });
  }

  it('counts per node, and leaves endpoints without a node out', () => {
    const parsed = parseEndpointSlice(slice([{ nodeName: 'a' }, { nodeName: 'b' }, { nodeName: 'a' }, {}]));
    assert.equal(parsed?.service, 'shop/web');
    assert.deepEqual(Object.fromEntries(parsed?.readyByNode ?? []), { a: 2, b: 1 });
  });

  it('keeps the first address of every endpoint, those that answer by themselves, with or without a node, and leaves out what is none', () => {
    const parsed = parseEndpointSlice(
      slice([
        { addresses: ['198.18.129.2', '198.18.129.3'], nodeName: 'a' },
        { addresses: ['198.18.129.4'], conditions: { ready: false, serving: true, terminating: true } },
        { addresses: ['198.18.129.5'], conditions: { ready: false } },
        { addresses: ['198.18.129.6'], nodeName: 'b', conditions: { ready: false, serving: false, terminating: true } },
        { addresses: ['pod-7'] },
        {},
      ]),
    );
    assert.deepEqual(parsed?.group.endpoints, [
      { address: '198.18.129.2', node: 'a', state: 'ready' },
      { address: '198.18.129.4', state: 'serving terminating' },
    ]);
    assert.deepEqual(parsed?.group.silent, [
      { address: '198.18.129.5', terminating: false },
      { address: '198.18.129.6', node: 'b', terminating: true },
    ]);
  });

  it('reads its ports; one without a number means all and none in particular', () => {
    const ports = [
      { name: 'http', protocol: 'TCP', port: 8080 },
      { name: 'dns', protocol: 'UDP', port: 53 },
      { port: 9 },
      { name: 'all' },
    ];
    assert.deepEqual(parseEndpointSlice(slice([], { ports }))?.group.ports, [
      { name: 'http', protocol: 'TCP', port: 8080 },
      { name: 'dns', protocol: 'UDP', port: 53 },
      { name: '', protocol: 'TCP', port: 9 },
    ]);
  });

  it('is undefined for slices of no Service, and for names', () => {
    assert.equal(parseEndpointSlice(slice([], { addressType: 'FQDN' })), undefined);
    const { metadata } = slice([]);
    assert.equal(parseEndpointSlice({ ...slice([]), metadata: { ...metadata, labels: {} } }), undefined);
  });

  it('reads a slice without endpoints', () => {
    assert.equal(parseEndpointSlice(slice(null))?.readyByNode.size, 0);
  });
});
