import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type DesiredInput, desiredVirtualServers } from '../../../operator/core/desired-virtual-servers.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import {
  compareRealServers,
  compareVirtualServerKeys,
  formatVirtualServerKey,
  type RealServer,
  type VirtualServer,
} from '../../../operator/model/virtual-server.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort, endpoints } from '../../builders/a-service.ts';

const V4 = '203.0.113.10' as IpAddress;
const V6 = '2001:db8::10' as IpAddress;
const NODES = [
  aNode({ name: 'node-1', internalIPs: ['192.0.2.21', '2001:db8:2::21'] }),
  aNode({ name: 'node-2', internalIPs: ['192.0.2.22', '2001:db8:2::22'] }),
];
const MASQUERADING = aPool({ balancing: { forwardingMethod: 'Masquerading' } });
const LOCAL = { externalTrafficPolicy: 'Local' } as const;

function desired(overrides: Partial<DesiredInput> = {}) {
  return desiredVirtualServers({
    service: aService(),
    endpoints: endpoints({ 'node-1': 1, 'node-2': 2 }),
    nodes: NODES,
    pool: aPool(),
    addresses: [V4],
    reserved: () => new Map(),
    ...overrides,
  });
}

function only(overrides: Partial<DesiredInput> = {}): VirtualServer {
  const { virtualServers, problems } = desired(overrides);
  assert.deepEqual(problems, []);
  assert.equal(virtualServers.length, 1);
  return virtualServers[0] as VirtualServer;
}

const texts = (servers: readonly VirtualServer[]) => servers.map(formatVirtualServerKey);
const weights = (server: VirtualServer) => server.realServers.map(({ address, weight }) => `${address} ${weight}`);

describe('desiredVirtualServers', () => {
  it('is one virtual server per address and port, whole', () => {
    const real = (address: string): RealServer => ({
      address: address as IpAddress,
      port: 80,
      weight: 1,
      forwardingMethod: 'DirectRouting',
      upperThreshold: 0,
      lowerThreshold: 0,
    });
    assert.deepEqual(desired(), {
      virtualServers: [
        {
          address: V4,
          port: 80,
          protocol: 'TCP',
          scheduler: 'mh',
          schedulerFlags: ['mh-fallback', 'mh-port'],
          onePacket: false,
          drainSeconds: 30,
          realServers: [real('192.0.2.21'), real('192.0.2.22')],
        },
      ],
      problems: [],
      portProblems: [],
      notes: [],
    });
  });

  it('gives leaving real servers the time of the pool, or of the Service', () => {
    const pool = aPool({ balancing: { drainSeconds: 90 } });
    assert.equal(only({ pool }).drainSeconds, 90);
    assert.equal(only({ pool, service: aService({ overrides: { drainSeconds: 0 } }) }).drainSeconds, 0);
  });

  it('sorts by address, port, protocol', () => {
    const ports = [
      aServicePort({ port: 443 }),
      aServicePort({ port: 53, protocol: 'UDP' }),
      aServicePort({ port: 53, protocol: 'TCP' }),
    ];
    const { virtualServers } = desired({ service: aService({ ports }), addresses: [V6, V4] });
    assert.deepEqual(texts(virtualServers), [
      'TCP 203.0.113.10:53',
      'UDP 203.0.113.10:53',
      'TCP 203.0.113.10:443',
      'TCP [2001:db8::10]:53',
      'UDP [2001:db8::10]:53',
      'TCP [2001:db8::10]:443',
    ]);
  });

  it('takes the InternalIP of the family of the address', () => {
    assert.deepEqual(weights(only({ addresses: [V6] })), ['2001:db8:2::21 1', '2001:db8:2::22 1']);
  });

  it('leaves out a node without an address of the family, and says so when none has one', () => {
    const nodes = [aNode({ name: 'a' }), aNode({ name: 'b', internalIPs: ['2001:db8:2::22'] })];
    assert.deepEqual(weights(only({ nodes })), ['192.0.2.21 1']);
    const { virtualServers, problems } = desired({ nodes: [aNode()], addresses: [V6] });
    assert.deepEqual(virtualServers[0]?.realServers, []);
    assert.match(problems.join(), /None of the 1 eligible nodes has an IPv6 InternalIP/);
  });

  it('uses one of two nodes that report the same address, and says which', () => {
    const nodes = [aNode({ name: 'b' }), aNode({ name: 'a' })];
    const { virtualServers, problems, notes } = desired({ nodes });
    assert.deepEqual(virtualServers[0]?.realServers.length, 1);
    assert.deepEqual(problems, []);
    assert.match(notes.join(), /Nodes a and b both report InternalIP 192\.0\.2\.21; only a is used/);
  });

  it('keeps the nodes while no endpoint is ready', () => {
    assert.deepEqual(weights(only({ endpoints: endpoints() })), ['192.0.2.21 1', '192.0.2.22 1']);
  });

  it('goes to node ports with Masquerading', () => {
    const server = only({ pool: MASQUERADING });
    assert.deepEqual(
      server.realServers.map(({ port, forwardingMethod }) => [port, forwardingMethod]),
      [
        [30_080, 'Masquerading'],
        [30_080, 'Masquerading'],
      ],
    );
    assert.equal(server.port, 80);
  });

  it('cannot masquerade to a port that has no node port; the others work', () => {
    const ports = [aServicePort(), aServicePort({ name: 'x', port: 81, nodePort: 0 })];
    const { virtualServers, problems, portProblems } = desired({
      pool: MASQUERADING,
      service: aService({ ports, allocatesNodePorts: false }),
    });
    assert.deepEqual(texts(virtualServers), ['TCP 203.0.113.10:80']);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      portProblems.map(({ port, error }) => [port, error]),
      [[81, 'ipvs-operator.io/NoNodePort']],
    );
  });

  it('has nothing to program when every port is impossible', () => {
    const { virtualServers, problems } = desired({
      pool: MASQUERADING,
      service: aService({ ports: [aServicePort({ nodePort: 0 })], allocatesNodePorts: false }),
    });
    assert.deepEqual(virtualServers, []);
    assert.match(problems.join(), /Port 80\/TCP has no node port because spec\.allocateLoadBalancerNodePorts is false/);
  });

  it('needs no node port with DirectRouting', () => {
    only({ service: aService({ ports: [aServicePort({ nodePort: 0 })], allocatesNodePorts: false }) });
  });

  it('makes clients stick with sessionAffinity ClientIP, per family', () => {
    const pool = aPool({ balancing: { scheduler: 'rr', persistencePrefixLength: 24 } });
    const service = aService({ clientIpAffinitySeconds: 10_800 });
    const { virtualServers } = desired({ pool, service, addresses: [V4, V6] });
    assert.deepEqual(
      virtualServers.map(({ scheduler, schedulerFlags, persistence }) => [scheduler, schedulerFlags, persistence]),
      [
        ['mh', ['mh-fallback'], { timeoutSeconds: 10_800, prefixLength: 24 }],
        ['mh', ['mh-fallback'], { timeoutSeconds: 10_800, prefixLength: 128 }],
      ],
    );
  });

  it('uses one-packet scheduling for UDP ports only', () => {
    const ports = [aServicePort({ port: 53, protocol: 'UDP' }), aServicePort({ port: 53 })];
    const { virtualServers } = desired({
      service: aService({ ports }),
      pool: aPool({ balancing: { udpOnePacket: true } }),
    });
    assert.deepEqual(
      virtualServers.map(({ protocol, onePacket }) => [protocol, onePacket]),
      [
        ['TCP', false],
        ['UDP', true],
      ],
    );
  });

  it('sets the connection thresholds', () => {
    const server = only({ pool: aPool({ balancing: { connectionThresholds: { upper: 100, lower: 80 } } }) });
    assert.deepEqual(
      server.realServers.map(({ upperThreshold, lowerThreshold }) => [upperThreshold, lowerThreshold]),
      [
        [100, 80],
        [100, 80],
      ],
    );
  });

  const byPods = aPool({ balancing: { weights: 'ReadyPods' } });
  const rows: readonly [what: string, input: Partial<DesiredInput>, expected: readonly string[]][] = [
    ['equal', {}, ['192.0.2.21 1', '192.0.2.22 1']],
    ['by ready pods', { pool: byPods }, ['192.0.2.21 1', '192.0.2.22 2']],
    [
      'by ready pods, none there',
      { pool: byPods, endpoints: endpoints({ 'node-2': 3 }) },
      ['192.0.2.21 0', '192.0.2.22 3'],
    ],
    ['by ready pods, none anywhere', { pool: byPods, endpoints: endpoints() }, ['192.0.2.21 1', '192.0.2.22 1']],
    [
      'Local: where the pods are',
      { service: aService(LOCAL), endpoints: endpoints({ 'node-2': 2 }) },
      ['192.0.2.22 1'],
    ],
    [
      'Local: nothing new for a node whose pods all terminate',
      { service: aService(LOCAL), endpoints: endpoints({ 'node-2': 2 }, { 'node-1': 1 }) },
      ['192.0.2.21 0', '192.0.2.22 1'],
    ],
    [
      'Local: terminating pods serve while there are no others',
      { service: aService(LOCAL), endpoints: endpoints({}, { 'node-1': 1 }) },
      ['192.0.2.21 1'],
    ],
    ['Local: no pod, no real server', { service: aService(LOCAL), endpoints: endpoints() }, []],
    [
      'Local, by ready pods',
      { service: aService({ ...LOCAL, overrides: { weights: 'ReadyPods' } }) },
      ['192.0.2.21 1', '192.0.2.22 2'],
    ],
  ];
  for (const [what, input, expected] of rows) {
    it(`weights: ${what}`, () => assert.deepEqual(weights(only(input)), expected));
  }

  it('is the same for any order of nodes and ports, and always in the order of directors', () => {
    const ports = [80, 443, 8080].map((port) => aServicePort({ port }));
    const nodes = [9, 10, 100, 21].map((host) => aNode({ name: `node-${host}`, internalIPs: [`192.0.2.${host}`] }));
    const expected = desired({ service: aService({ ports }), nodes }).virtualServers;
    fc.assert(
      fc.property(
        fc.shuffledSubarray(ports, { minLength: 3 }),
        fc.shuffledSubarray(nodes, { minLength: 4 }),
        (p, n) => {
          assert.deepEqual(desired({ service: aService({ ports: p }), nodes: n }).virtualServers, expected);
        },
      ),
    );
    assert.deepEqual(expected, [...expected].sort(compareVirtualServerKeys));
    for (const { realServers } of expected) assert.deepEqual(realServers, [...realServers].sort(compareRealServers));
  });
});
