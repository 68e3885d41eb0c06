import assert from 'node:assert/strict';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aDirector } from '../../builders/a-director.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService, aServicePort } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const LAST = { name: 'last', uid: 'uid-of-pool-last' };
const SIZES = [10, 100, 1_000];

/** What happens to a site that is served and at rest, and must cost the same however many Services there are. */
const EVENTS: Readonly<Record<string, (world: World) => void>> = {
  'a Service is created': (world) => world.api.putService(aService({ name: 'new' })),
  'a Service is deleted': (world) => world.api.deleteService(serviceKey('default', 'service-3')),
  'a port is changed': (world) =>
    world.api.putService(publishedService(4, { ports: [aServicePort({ port: 8_080 })], generation: 2 })),
  'an endpoint changes': (world) => world.api.putEndpoints(serviceKey('default', 'service-5'), { 'node-2': 3 }),
  'a node says that it is alive': (world) => world.api.putNode(nodeOne()),
  'a node gets a label that no pool asks for': (world) => world.api.putNode(nodeOne({ labels: { rack: 'b' } })),
  'a node is cordoned': (world) => world.api.putNode(nodeOne({ taintKeys: ['node.kubernetes.io/unschedulable'] })),
  'a namespace is labelled': (world) => world.api.putNamespace('shop', { team: 'a' }),
  'the key of the directors is written again': (world) => world.api.putSecret('director-ssh', 'the private key'),
  'a pool without Services is made': (world) => world.api.putPool({ ok: true, value: otherPool(1) }),
  'a director goes away': (world) => world.host('lb-2').fail('Unreachable'),
};

describe('The work for one event', () => {
  const reads = new Map<string, number[]>();
  let world: World;
  afterEach(() => world.stop());

  for (const size of SIZES) {
    it(`is counted with ${size} Services`, async () => {
      world = await siteWith(size);
      for (const [name, event] of Object.entries(EVENTS)) {
        const before = world.serviceReads;
        event(world);
        await world.run(10_000);
        reads.set(name, [...(reads.get(name) ?? []), world.serviceReads - before]);
      }
    });
  }

  for (const name of Object.keys(EVENTS)) {
    it(`is the same with ${SIZES.join(', ')} when ${name}`, () => {
      const counts = reads.get(name) ?? [];
      assert.equal(counts.length, SIZES.length);
      assert.equal(new Set(counts).size, 1, `Services looked at: ${counts.join(', ')}`);
      assert.ok((counts[0] ?? 0) < 40, `Services looked at: ${counts[0]}`);
    });
  }

  it('is one waiting Service within 100 ms when an address it can use comes free, and none that waits for another pool', async () => {
    world = await siteWith(10, [
      otherPool(0, { addresses: ['203.0.113.128'] }),
      otherPool(0, { ...LAST, addresses: ['203.0.113.129'] }),
    ]);
    const asking = (name: string, pool: string) => world.api.putService(aService({ name, request: { pool } }));
    for (const pool of ['other', 'last']) asking(`holds-${pool}`, pool);
    await world.run(1_000);
    for (let index = 0; index < 50; index += 1) asking(`waits-${index}`, 'other');
    asking('waits', 'last');
    await world.run(10_000);
    const before = world.serviceReads;
    world.api.deleteService(serviceKey('default', 'holds-last'));
    await world.run(100);
    assert.deepEqual(world.published(serviceKey('default', 'waits')), ['203.0.113.129']);
    assert.ok(world.serviceReads - before < 40, `Services looked at: ${world.serviceReads - before}`);
  });

  it('is done in slices when a director joins a thousand Services, and nothing else waits for all of it', async function () {
    this.timeout(120_000);
    world = await siteWith(1_000);
    const before = world.serviceReads;
    const host = world.addDirector(aDirector({ name: 'lb-3', address: '192.0.2.13' }));
    host.table.policy = { ...host.table.policy, addresses: ['198.18.0.0/16'] };
    await world.clock.settle();
    const atOnce = world.serviceReads - before;
    await world.run(1);
    assert.ok(world.serviceReads - before > 1.3 * atOnce, 'others had their turn in between');
    await world.run(10_000);
    assert.equal(host.table.virtualServers().length, 1_000);
  });

  it('concerns only the Services of the pool whose nodes change, and with externalTrafficPolicy Local only those with an endpoint there', async () => {
    world = await siteWith(100, [otherPool(0, { nodeSelector: { matchLabels: { zone: 'a' }, matchExpressions: [] } })]);
    for (const index of [1, 2]) {
      world.api.putEndpoints(serviceKey('default', `service-${index}`), { [`node-${index}`]: 1 });
      world.api.putService(publishedService(index, { externalTrafficPolicy: 'Local' }));
    }
    await world.run();
    const local = world.serviceReads;
    world.api.putNode(nodeOne({ internalIPs: ['192.0.2.31'] }));
    await world.run();
    const servers = (index: number) =>
      world
        .host('lb-1')
        .table.virtualServers()
        .find(({ address }) => address === addressOf(index))
        ?.realServers.map(({ address }) => String(address));
    assert.deepEqual(servers(1), ['192.0.2.31']);
    assert.deepEqual(servers(2), ['192.0.2.22']);
    assert.deepEqual(servers(3), ['192.0.2.22', '192.0.2.31'].sort());
    assert.ok(world.serviceReads - local > 100, 'the others of the pool were looked at');
    const before = world.serviceReads;
    world.api.putNode(nodeOne({ internalIPs: ['192.0.2.31'], labels: { zone: 'a' } }));
    await world.run();
    assert.equal(world.serviceReads, before, 'the label matters to a pool without Services only');
  });

  it('is a glance at each Service while a new node settles that nobody needs', async () => {
    world = await siteWith(100);
    world.api.putEndpoints(serviceKey('default', 'service-1'), { 'node-1': 1 });
    world.api.putService(publishedService(1, { externalTrafficPolicy: 'Local' }));
    await world.run();
    const before = world.serviceReads;
    world.api.putNode(aNode({ name: 'node-3', internalIPs: ['192.0.2.23'] }));
    await world.run(5_000);
    assert.ok(world.serviceReads - before <= 101, 'each is asked for its policy, and no more');
    await world.run(6_000);
    assert.ok(world.serviceReads - before > 200, 'the others were looked at when it had settled');
  });
});

async function siteWith(size: number, pools = [] as ReturnType<typeof aPool>[]): Promise<World> {
  const world = new World({ pools: [aPool({ addresses: ['198.18.0.0/16'] }), ...pools] });
  for (const { table } of world.hosts.values())
    table.policy = { ...table.policy, addresses: ['198.18.0.0/16', '203.0.113.0/24'] };
  for (let index = 0; index < size; index += 1) world.api.putService(publishedService(index));
  world.start();
  await world.run(20_000);
  return world;
}

function publishedService(index: number, overrides: Parameters<typeof aService>[0] = {}) {
  return aPublishedService({ name: `service-${index}`, ingress: [addressOf(index)], ...overrides });
}

function addressOf(index: number): IpAddress {
  return `198.18.${100 + Math.floor(index / 250)}.${1 + (index % 250)}` as IpAddress;
}

function nodeOne(overrides: Parameters<typeof aNode>[0] = {}) {
  return aNode({ name: 'node-1', internalIPs: ['192.0.2.21'], ...overrides });
}

function otherPool(generation: number, overrides: Parameters<typeof aPool>[0] = {}) {
  return aPool({ name: 'other', addresses: ['203.0.113.128/25'], generation, ...overrides });
}
