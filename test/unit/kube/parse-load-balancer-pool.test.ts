import assert from 'node:assert/strict';
import { parseLoadBalancerPool } from '../../../operator/kube/parse-load-balancer-pool.ts';
import type { AddressPool } from '../../../operator/model/address-pool.ts';
import { aPool } from '../../builders/a-pool.ts';

const SPEC = { addresses: ['203.0.113.10-203.0.113.13'], directors: { selector: { matchLabels: { site: 'rack-a' } } } };
const METADATA = {
  name: 'web',
  uid: 'uid-of-pool-web',
  resourceVersion: '7',
  generation: 3,
  creationTimestamp: '2026-11-23T11:20:00Z',
};

const parse = (spec: object | undefined, metadata: object = {}) =>
  parseLoadBalancerPool({ metadata: { ...METADATA, ...metadata }, spec });

function valid(spec: object, metadata: object = {}): AddressPool {
  const parsed = parse({ ...SPEC, ...spec }, metadata);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.join(' '));
  return parsed.value;
}

describe('parseLoadBalancerPool', () => {
  it('fills in what the API server would', () => {
    assert.deepEqual(
      valid({}),
      aPool({
        generation: 3,
        createdAt: Date.parse('2026-11-23T11:20:00Z'),
        directorSelector: { matchLabels: { site: 'rack-a' } },
      }),
    );
  });

  it('reads every field', () => {
    const pool = valid(
      {
        addresses: ['203.0.113.0/24', '2001:db8::/126'],
        excludedAddresses: ['203.0.113.1', '203.0.113.4-203.0.113.200'],
        avoidBuggyIPs: true,
        autoAssign: false,
        paused: true,
        serviceAllocation: {
          priority: 4,
          namespaces: ['prod'],
          namespaceSelectors: [{ matchLabels: { a: 'b' } }],
          serviceSelectors: [{ matchExpressions: [{ key: 'x', operator: 'Exists' }] }],
        },
        forwardingMethod: 'Masquerading',
        scheduler: 'sh',
        schedulerFlags: ['sh-port'],
        connectionThresholds: { upper: 10, lower: 5 },
        udpOnePacket: true,
        persistenceNetmask: '255.255.240.0',
        weights: 'ReadyPods',
        drain: { timeout: '1m30s' },
        nodeSelector: { matchLabels: { rack: '1' } },
        ipMode: 'VIP',
      },
      { deletionTimestamp: '2026-11-23T11:21:00Z' },
    );
    assert.deepEqual(
      pool,
      aPool({
        generation: 3,
        createdAt: Date.parse('2026-11-23T11:20:00Z'),
        deleting: true,
        addresses: ['203.0.113.2-203.0.113.3', '203.0.113.201-203.0.113.254', '2001:db8::/126'],
        autoAssign: false,
        paused: true,
        serviceAllocation: {
          priority: 4,
          namespaces: ['prod'],
          namespaceSelectors: [{ matchLabels: { a: 'b' } }],
          serviceSelectors: [{ matchExpressions: [{ key: 'x', operator: 'Exists' }] }],
        },
        directorSelector: { matchLabels: { site: 'rack-a' } },
        nodeSelector: { matchLabels: { rack: '1' } },
        balancing: {
          forwardingMethod: 'Masquerading',
          scheduler: 'sh',
          schedulerFlags: ['sh-port'],
          connectionThresholds: { upper: 10, lower: 5 },
          udpOnePacket: true,
          persistencePrefixLength: 20,
          weights: 'ReadyPods',
          drainSeconds: 90,
        },
        ipMode: 'VIP',
      }),
    );
  });

  const refused: readonly [what: string, spec: object | undefined, problems: readonly RegExp[]][] = [
    ['no spec', undefined, [/^spec: /]],
    ['no addresses', { ...SPEC, addresses: [] }, [/^spec\.addresses: /]],
    ['no directors', { addresses: SPEC.addresses }, [/^spec\.directors: /]],
    ['an unknown scheduler', { ...SPEC, scheduler: 'best' }, [/^spec\.scheduler: .*mh/]],
    [
      'several bad ranges, each named',
      { ...SPEC, addresses: ['nonsense', '192.0.2.9-192.0.2.1'], excludedAddresses: ['xx'] },
      [
        /^spec\.addresses: 'nonsense' is not an address/,
        /^spec\.addresses: '192\.0\.2\.9-192\.0\.2\.1' is reversed/,
        /^spec\.excludedAddresses: 'xx'/,
      ],
    ],
    ['a reversed IPv6 range, which CEL cannot see', { ...SPEC, addresses: ['2001:db8::2-2001:db8::1'] }, [/reversed/]],
    [
      'a pool that is empty',
      { ...SPEC, excludedAddresses: ['203.0.113.0/24'] },
      [/^spec\.addresses: every address is excluded/],
    ],
    [
      'too many addresses to avoid .0 and .255 in',
      { ...SPEC, addresses: ['192.0.0.0/7'], avoidBuggyIPs: true },
      [/^spec\.avoidBuggyIPs: works for at most a \/8/],
    ],
    [
      'a flag of another scheduler, and thresholds, and an ipMode',
      {
        ...SPEC,
        scheduler: 'rr',
        schedulerFlags: ['mh-port'],
        connectionThresholds: { upper: 1, lower: 2 },
        ipMode: 'Proxy',
      },
      [/^spec\.schedulerFlags: mh-port/, /^spec\.connectionThresholds: /, /^spec\.ipMode: /],
    ],
    [
      'a drain timeout that is none',
      { ...SPEC, drain: { timeout: '30' } },
      [/^spec\.drain\.timeout: '30' is no duration/],
    ],
    ['a drain timeout above a day', { ...SPEC, drain: { timeout: '25h' } }, [/^spec\.drain\.timeout: '25h'/]],
  ];
  for (const [what, spec, problems] of refused) {
    it(`says what is wrong: ${what}`, () => {
      const parsed = parse(spec);
      assert.ok(!parsed.ok, 'it was accepted');
      assert.deepEqual([parsed.name, parsed.generation], ['web', 3]);
      assert.equal(parsed.problems.length, problems.length, parsed.problems.join('\n'));
      for (const [index, problem] of problems.entries()) assert.match(parsed.problems[index] ?? '', problem);
    });
  }
});
