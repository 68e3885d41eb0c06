import assert from 'node:assert/strict';
import { directorStatus } from '../../../operator/core/director-status.ts';
import { poolStatus } from '../../../operator/core/pool-status.ts';
import { isKubeObject, type KubeObject } from '../../../operator/kube/kube-object.ts';
import { parseDirector } from '../../../operator/kube/parse-director.ts';
import { parseLoadBalancerPool } from '../../../operator/kube/parse-load-balancer-pool.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { API_GROUP, API_VERSION } from '../../../operator/model/names.ts';
import { aDirector } from '../../builders/a-director.ts';
import { aPool } from '../../builders/a-pool.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';

const CRDS = new URL('../../../config/crds', import.meta.url).pathname;
const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f';
const POOL = { addresses: ['203.0.113.10-203.0.113.13'], directors: { selector: {} } };
const DIRECTOR = {
  address: '192.0.2.11',
  hostKeys: [HOST_KEY],
  credentials: { secretName: 'director-ssh' },
  tableOwner: 'prod',
};

type Kind = 'LoadBalancerPool' | 'Director';
type Refusal = readonly [what: string, change: object, message: RegExp];

const blocks = (...addresses: readonly string[]) => ({ addresses });

const badPools: readonly Refusal[] = [
  ['no address', blocks(), /spec\.addresses.*at least 1 items/],
  [
    'an unparsable address',
    blocks('nonsense'),
    /spec\.addresses\[0\].*'nonsense' is not an address, a CIDR or a range a-b: write for example/,
  ],
  ['the second address', blocks('203.0.113.1', '203.0.113.300'), /spec\.addresses\[1\].*'203\.0\.113\.300' is not/],
  ['leading zeros', blocks('203.0.113.010'), /is not an address/],
  ['a prefix that is too long', blocks('203.0.113.0/33'), /is not an address, a CIDR/],
  ['bits behind the prefix', blocks('203.0.113.5/24'), /'203\.0\.113\.5\/24' has bits set behind its prefix/],
  [
    'a reversed range',
    blocks('203.0.113.13-203.0.113.9'),
    /reversed, its first address lies behind its last: exchange them/,
  ],
  ['a range without an end', blocks('203.0.113.10-'), /is not an address, a CIDR or a range/],
  ['a range of three', blocks('203.0.113.1-203.0.113.2-203.0.113.3'), /is not an address, a CIDR or a range/],
  ['a range over two families', blocks('203.0.113.1-2001:db8::1'), /different families: write one range per family/],
  ['the same address twice', blocks('203.0.113.1', '203.0.113.1'), /spec\.addresses\[1\]: Duplicate/],
  ['a loopback address', blocks('127.0.0.1'), /cannot be VIPs: use unicast/],
  ['a multicast block', blocks('224.0.0.0/4'), /cannot be VIPs/],
  ['a link-local range', blocks('fe80::1-fe80::5'), /cannot be VIPs/],
  ['an unparsable exclusion', { excludedAddresses: ['x.y'] }, /spec\.excludedAddresses\[0\].*'x\.y' is not an address/],
  [
    'an unknown scheduler',
    { scheduler: 'best' },
    /spec\.scheduler: Unsupported value: "best": supported values: .*"mh"/,
  ],
  ['an unknown flag', { schedulerFlags: ['mh-magic'] }, /spec\.schedulerFlags\[0\]: Unsupported value: "mh-magic"/],
  [
    'a flag of another scheduler',
    { scheduler: 'rr', schedulerFlags: ['mh-port'] },
    /mh-\* flags belong to scheduler mh.*remove the flag or change the scheduler/,
  ],
  ['a flag of sh with the default scheduler', { schedulerFlags: ['sh-port'] }, /sh-\* flags to scheduler sh/],
  [
    'a lower threshold above the upper',
    { connectionThresholds: { upper: 1, lower: 2 } },
    /spec\.connectionThresholds.*lower must not exceed upper/,
  ],
  [
    'ipMode Proxy with direct routing',
    { ipMode: 'Proxy' },
    /ipMode: with DirectRouting.*remove ipMode or use Masquerading/,
  ],
  ['a netmask with holes', { persistenceNetmask: '255.0.255.0' }, /spec\.persistenceNetmask: Unsupported value/],
  [
    'a drain timeout without a unit',
    { drain: { timeout: '30' } },
    /spec\.drain\.timeout.*'30' is not a duration: write/,
  ],
  ['a drain timeout in days', { drain: { timeout: '1d' } }, /'1d' is not a duration/],
  ['a negative drain timeout', { drain: { timeout: '-5s' } }, /'-5s' is not a duration/],
  ['a drain timeout above a day', { drain: { timeout: '24h1s' } }, /drain\.timeout: at most 24h/],
  ['an unknown forwarding method', { forwardingMethod: 'Teleporting' }, /spec\.forwardingMethod: Unsupported value/],
  ['a tunnel without Tunneling', { tunnel: { type: 'ipip' } }, /tunnel: belongs to forwardingMethod Tunneling/],
  ['gue without a port', { forwardingMethod: 'Tunneling', tunnel: { type: 'gue' } }, /type gue needs the UDP port/],
  ['a port for gre', { forwardingMethod: 'Tunneling', tunnel: { type: 'gre', port: 6080 } }, /no other type has one/],
  [
    'checksums for ipip',
    { forwardingMethod: 'Tunneling', tunnel: { type: 'ipip', checksum: true } },
    /tunnel\.*.*type ipip has none; use gue or gre/,
  ],
  [
    'remote checksums for gre',
    { forwardingMethod: 'Tunneling', tunnel: { type: 'gre', remoteChecksum: true } },
    /tunnel\.*.*only a tunnel of type gue has it; use gue/,
  ],
  [
    'both checksums',
    { forwardingMethod: 'Tunneling', tunnel: { type: 'gue', port: 6080, checksum: true, remoteChecksum: true } },
    /tunnel\.*.*makes the checksum of the tunnel header as well; remove checksum/,
  ],
  [
    'tiny segments',
    { forwardingMethod: 'Tunneling', tunnel: { mssClamp: 500 } },
    /spec\.tunnel\.mssClamp.*greater than or equal to 536/,
  ],
  [
    'a subset of nodes for pods',
    { backends: 'Pods', forwardingMethod: 'Masquerading', nodeSubset: 3 },
    /nodeSubset: with backends Pods/,
  ],
  ['a subset of no node', { nodeSubset: 0 }, /spec\.nodeSubset.*greater than or equal to 1/],
  ['a timeout without a unit', { timeouts: { tcp: '900' } }, /spec\.timeouts\.tcp.*'900' is not a duration/],
  ['a timeout of nothing', { timeouts: { udp: '0s' } }, /timeouts: each at least 1s and at most 744h/],
  ['pods by direct routing', { backends: 'Pods' }, /backends: pods are on no layer-2 network/],
  [
    'weights of pods',
    { backends: 'Pods', forwardingMethod: 'Masquerading', weights: 'ReadyPods' },
    /weights: ReadyPods counts the pods of a node/,
  ],
  [
    'pods of some nodes',
    { backends: 'Pods', forwardingMethod: 'Masquerading', nodeSelector: {} },
    /nodeSelector: with backends Pods/,
  ],
  ['snat with direct routing', { snat: true }, /snat: with DirectRouting and Tunneling replies bypass the director/],
  ['no directors', { directors: undefined }, /spec\.directors: Required value/],
  [
    'a selector without values',
    { nodeSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
    /In and NotIn need at least one value/,
  ],
  [
    'a priority below zero',
    { serviceAllocation: { priority: -1 } },
    /spec\.serviceAllocation\.priority.*greater than or equal to 0/,
  ],
  ['a field that does not exist', { adresses: ['203.0.113.1'] }, /unknown field "spec\.adresses"/],
];

const badDirectors: readonly Refusal[] = [
  ['a host name', { address: 'lb-1.example' }, /spec\.address.*not an IP address; write for example 192\.0\.2\.2/],
  ['an address with a prefix', { address: '192.0.2.1/24' }, /not an IP address/],
  ['a multicast address', { address: '224.0.0.1' }, /not a unicast address of a host/],
  ['no host key', { hostKeys: [] }, /spec\.hostKeys.*at least 1 items/],
  ['no host keys at all', { hostKeys: undefined }, /spec\.hostKeys: Required value/],
  [
    'a fingerprint in place of a key',
    { hostKeys: ['SHA256:AAAA'] },
    /spec\.hostKeys\[0\].*not a public host key: write algorithm and base64/,
  ],
  ['a key cut off', { hostKeys: ['ssh-ed25519 AAAA'] }, /not a public host key/],
  ['a private key', { hostKeys: ['-----BEGIN OPENSSH PRIVATE KEY-----'] }, /not a public host key/],
  ['no credentials', { credentials: undefined }, /spec\.credentials: Required value/],
  [
    'a Secret name that is none',
    { credentials: { secretName: 'Director_SSH' } },
    /credentials\.secretName: not a name of a Secret/,
  ],
  ['port 0', { port: 0 }, /spec\.port.*greater than or equal to 1/],
  ['port 65536', { port: 65536 }, /spec\.port.*less than or equal to 65535/],
  ['a user that is none', { user: 'root; reboot' }, /user: not a user name/],
  ['an interface that is none', { interface: 'a/b' }, /interface: not a name of a network interface/],
  ['an interface name that is too long', { interface: 'abcdefghijklmnop' }, /spec\.interface.*may not be more than 15/],
  ['no owner', { tableOwner: undefined }, /spec\.tableOwner: Required value/],
  ['an owner that is none', { tableOwner: '../prod' }, /tableOwner: not an owner name/],
  ['an unknown state', { state: 'Gone' }, /spec\.state: Unsupported value: "Gone"/],
  ['an unknown drift policy', { driftPolicy: 'Ignore' }, /spec\.driftPolicy: Unsupported value/],
];

describe('our resources on a real API server', function () {
  this.timeout(120_000);
  let plane: ControlPlane;

  before(async () => {
    plane = await startControlPlane();
    await plane.kubectl(['apply', '-k', CRDS]);
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  });
  after(() => plane?.stop());

  const create = (kind: Kind, name: string, spec: object, ...flags: readonly string[]) =>
    plane.kubectl(
      ['create', '-f', '-', ...flags],
      JSON.stringify({ apiVersion: `${API_GROUP}/${API_VERSION}`, kind, metadata: { name }, spec }),
    );
  const read = async (kind: Kind, name: string): Promise<KubeObject> => {
    const object: unknown = JSON.parse(await plane.kubectl(['get', kind, name, '-o', 'json']));
    assert.ok(isKubeObject(object));
    return object;
  };
  const refusal = async (kind: Kind, spec: object): Promise<string> => {
    const failure = await create(kind, 'bad', spec, '--dry-run=server').then(
      () => undefined,
      (error: Error & { readonly stderr?: string }) => error.stderr ?? error.message,
    );
    assert.ok(failure !== undefined, 'the API server accepted it');
    return failure;
  };

  for (const [what, change, message] of badPools) {
    it(`refuses a pool with ${what}`, async () =>
      assert.match(await refusal('LoadBalancerPool', { ...POOL, ...change }), message));
  }
  for (const [what, change, message] of badDirectors) {
    it(`refuses a director with ${what}`, async () =>
      assert.match(await refusal('Director', { ...DIRECTOR, ...change }), message));
  }

  it('fills a pool in as the operator does', async () => {
    await create('LoadBalancerPool', 'defaults', POOL);
    const stored = await read('LoadBalancerPool', 'defaults');
    const unfilled = parseLoadBalancerPool({ ...stored, spec: POOL });
    assert.ok(unfilled.ok);
    assert.deepEqual(parseLoadBalancerPool(stored), unfilled);
  });

  it('fills a director in as the operator does', async () => {
    await create('Director', 'defaults', DIRECTOR);
    const stored = await read('Director', 'defaults');
    const unfilled = parseDirector({ ...stored, spec: DIRECTOR });
    assert.ok(unfilled.ok);
    assert.deepEqual(parseDirector(stored), unfilled);
  });

  it('takes a pool and a director with every field set', async () => {
    await create('LoadBalancerPool', 'everything', {
      addresses: ['203.0.113.0/24', '198.51.100.7', '2001:db8::1 - 2001:db8::ff', '2001:db8:1::/64'],
      excludedAddresses: ['203.0.113.1'],
      avoidBuggyIPs: true,
      autoAssign: false,
      paused: true,
      serviceAllocation: {
        priority: 1,
        namespaces: ['prod'],
        namespaceSelectors: [{ matchLabels: { a: 'b' } }],
        serviceSelectors: [{ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['b'] }] }],
      },
      directors: { selector: { matchExpressions: [{ key: 'a', operator: 'Exists' }] } },
      forwardingMethod: 'Masquerading',
      scheduler: 'mh',
      schedulerFlags: ['mh-port', 'flag-1'],
      connectionThresholds: { upper: 10, lower: 5 },
      udpOnePacket: true,
      persistenceNetmask: '255.255.255.0',
      weights: 'ReadyPods',
      drain: { timeout: '1h30m' },
      nodeSelector: { matchLabels: { rack: '1' } },
      ipMode: 'Proxy',
    });
    await create('Director', 'everything', {
      ...DIRECTOR,
      address: '2001:db8::b',
      port: 2222,
      user: 'lb_1',
      hostKeys: [`${HOST_KEY} root@lb-1`, `ecdsa-sha2-nistp256 ${'A'.repeat(120)}==`],
      interface: 'eth0.100',
      state: 'Drained',
      driftPolicy: 'Report',
    });
    assert.equal(parseLoadBalancerPool(await read('LoadBalancerPool', 'everything')).ok, true);
    assert.equal(parseDirector(await read('Director', 'everything')).ok, true);
  });

  const patchStatus = async (kind: Kind, name: string, status: object): Promise<unknown> => {
    const patch = JSON.stringify({ status });
    await plane.kubectl(['patch', kind, name, '--subresource=status', '--type=merge', '-p', patch]);
    return (await read(kind, name)).status;
  };
  const stamped = <T extends { readonly conditions: readonly object[] }>(status: T) => ({
    ...status,
    conditions: status.conditions.map((condition) => ({ ...condition, lastTransitionTime: '2026-11-23T11:20:00Z' })),
  });

  it('stores every field of a status', async () => {
    const pool = stamped(
      poolStatus({
        pool: { ok: true, value: aPool() },
        usage: { assignedIPv4: 1, assignedIPv6: 2, availableIPv4: 3n, availableIPv6: 1n << 64n, outside: 1 },
        held: [
          { address: '203.0.113.10' as IpAddress, service: serviceKey('shop', 'web'), until: Date.UTC(2026, 0, 2) },
        ],
        directors: [
          {
            name: 'lb-1',
            ready: true,
            appliedGeneration: 4,
            tableHash: 'abc',
            virtualServers: 1,
            realServers: 2,
            lastSyncTime: '2026-11-23T11:20:00Z',
            message: 'In sync.',
          },
        ],
        virtualServers: 1,
      }),
    );
    assert.deepEqual(await patchStatus('LoadBalancerPool', 'defaults', pool), pool);
    const director = stamped(
      directorStatus({
        director: { ok: true, value: aDirector() },
        link: { kind: 'up', since: '2026-11-23T11:20:00Z' },
        table: { kind: 'inSync' },
        hello: {
          version: '0.1.0',
          protocol: { min: 1, max: 1 },
          kernel: '6.1.0',
          bootId: 'boot',
          capabilities: { ipvs: true, netAdmin: true, schedulers: ['mh'], forwardingMethods: [], families: ['IPv4'] },
          problems: [],
        },
        counts: {
          virtualServers: 1,
          realServers: 2,
          draining: 1,
          foreign: 3,
          orphans: 4,
          activeConnections: 5,
          inactiveConnections: 6,
        },
        totalWrites: 7,
        lastSyncTime: '2026-11-23T11:20:00Z',
      }),
    );
    assert.deepEqual(await patchStatus('Director', 'defaults', director), director);
  });

  it('shows what matters in columns, by short name', async () => {
    const lines = async (...args: readonly string[]) =>
      (await plane.kubectl(['get', ...args]))
        .trim()
        .split('\n')
        .map((line) => line.split(/\s{2,}/));
    const [poolHeads, poolRow] = await lines('lbpool', 'defaults');
    assert.deepEqual(poolHeads, ['NAME', 'READY', 'DIRECTORS', 'VIPS', 'USED', 'FREE', 'METHOD', 'SCHEDULER', 'AGE']);
    assert.deepEqual(poolRow?.slice(0, -1), ['defaults', 'True', '1/1', '1', '3', '~2^64', 'DirectRouting', 'mh']);
    const [directorHeads, directorRow] = await lines('dir', 'defaults');
    assert.deepEqual(directorHeads, ['NAME', 'READY', 'ADDRESS', 'STATE', 'KERNEL', 'VIPS', 'INSYNC', 'AGE']);
    assert.deepEqual(directorRow?.slice(0, -1), ['defaults', 'True', '192.0.2.11', 'Active', '6.1.0', '1', 'True']);
  });

  it('explains its fields', async () => {
    assert.match(await plane.kubectl(['explain', 'lbpool.spec.addresses']), /Addresses to hand out: CIDR, range a-b/);
    assert.match(await plane.kubectl(['explain', 'director.spec.hostKeys']), /not\s+trusted/);
  });
});
