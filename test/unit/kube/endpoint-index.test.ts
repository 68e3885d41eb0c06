import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EndpointIndex } from '../../../operator/kube/endpoint-index.ts';
import type { SliceEndpoints } from '../../../operator/kube/parse-endpoints.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { type ServiceKey, serviceKey } from '../../../operator/model/load-balanced-service.ts';

const WEB = serviceKey('shop', 'web');

function slice(ready: Record<string, number>, rest: Partial<SliceEndpoints> = {}): SliceEndpoints {
  const readyByNode = new Map(Object.entries(ready));
  const group = { ports: [], endpoints: [], silent: [] };
  return { service: WEB, family: 'IPv4', readyByNode, servingTerminatingByNode: new Map(), group, ...rest };
}

function ready(index: EndpointIndex, service: ServiceKey = WEB): Record<string, number> {
  return Object.fromEntries(index.of(service).readyByNode);
}

describe('EndpointIndex', () => {
  it('knows no endpoints of a Service without slices', () => {
    assert.equal(new EndpointIndex().of(WEB).readyByNode.size, 0);
  });

  it('sums the slices of a Service', () => {
    const index = new EndpointIndex();
    index.replace(undefined, slice({ a: 2, b: 1 }));
    index.replace(undefined, slice({ b: 1, c: 1 }));
    assert.deepEqual(ready(index), { a: 2, b: 2, c: 1 });
  });

  it('counts a dual-stack pod once', () => {
    const index = new EndpointIndex();
    index.replace(undefined, slice({ a: 2, b: 1 }));
    index.replace(undefined, slice({ a: 2, c: 1 }, { family: 'IPv6' }));
    assert.deepEqual(ready(index), { a: 2, b: 1, c: 1 });
  });

  it('tells which Services changed, and none when a slice says the same again', () => {
    const index = new EndpointIndex();
    const before = slice({ a: 1 });
    assert.deepEqual([...index.replace(undefined, before)], [WEB]);
    assert.deepEqual([...index.replace(before, slice({ a: 1 }))], []);
    const moved = slice({ a: 1 }, { service: serviceKey('shop', 'other') });
    assert.deepEqual([...index.replace(before, moved)], [WEB, 'shop/other']);
  });

  it('gathers the groups of all slices, and forgets a slice that goes although it was told twice', () => {
    const group = (address: string) => ({
      ports: [{ name: 'http', protocol: 'TCP' as const, port: 8080 }],
      endpoints: [{ address: address as IpAddress, state: 'ready' as const }],
      silent: [],
    });
    const index = new EndpointIndex();
    const [a, again, b] = ['198.18.129.2', '198.18.129.2', '198.18.130.2'].map((ip) => slice({}, { group: group(ip) }));
    assert.deepEqual([...index.replace(undefined, a)], [WEB]);
    assert.deepEqual([...index.replace(undefined, b)], [WEB]);
    assert.deepEqual(index.of(WEB).groups, [group('198.18.129.2'), group('198.18.130.2')]);
    assert.deepEqual([...index.replace(a, again)], []);
    assert.deepEqual([...index.replace(again, undefined)], [WEB]);
    assert.deepEqual(index.of(WEB).groups, [group('198.18.130.2')]);
  });

  it('tells of a pod that is replaced on its node', () => {
    const group = (address: string) => ({
      ports: [],
      endpoints: [{ address: address as IpAddress, state: 'ready' as const }],
      silent: [],
    });
    const index = new EndpointIndex();
    const before = slice({ a: 1 }, { group: group('198.18.129.2') });
    index.replace(undefined, before);
    assert.deepEqual([...index.replace(before, slice({ a: 1 }, { group: group('198.18.129.3') }))], [WEB]);
  });

  it('answers with the same value until something changes, and never changes an answer', () => {
    const index = new EndpointIndex();
    index.replace(undefined, slice({ a: 1 }));
    const answer = index.of(WEB);
    assert.equal(index.of(WEB), answer);
    index.replace(undefined, slice({ b: 1 }));
    assert.equal(answer.readyByNode.size, 1);
    assert.equal(index.of(WEB).readyByNode.size, 2);
  });

  it('is, after any history, the sum of the slices that are there', () => {
    const counts = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 3 }));
    const step = fc.record({ name: fc.constantFrom('s1', 's2', 's3'), counts: fc.option(counts, { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const index = new EndpointIndex();
        const slices = new Map<string, SliceEndpoints>();
        for (const { name, counts } of steps) {
          const next = counts && slice(counts);
          index.replace(slices.get(name), next);
          if (next) slices.set(name, next);
          else slices.delete(name);
        }
        const sum: Record<string, number> = {};
        for (const { readyByNode } of slices.values()) {
          for (const [node, count] of readyByNode) sum[node] = (sum[node] ?? 0) + count;
        }
        assert.deepEqual(ready(index), sum);
      }),
    );
  });
});
