import assert from 'node:assert/strict';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const WEB = serviceKey('default', 'web');

describe('The operator with pools that change', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  it('changes nothing on the directors while a pool is paused, and catches up afterwards', async () => {
    await world.serve('a', 'b');
    world.api.putPool({ ok: true, value: aPool({ paused: true }) });
    world.api.putNode(aNode({ name: 'node-3', internalIPs: ['192.0.2.23'] }));
    world.api.deleteService(serviceKey('default', 'b'));
    world.api.putService(aService({ name: 'a', ports: [aServicePort({ port: 81 })] }));
    const writes = ['lb-1', 'lb-2'].map((name) => world.host(name).table.totalWrites);
    await world.run(200_000);
    await world.stop();
    world.start();
    await world.run(200_000);
    assert.deepEqual(
      ['lb-1', 'lb-2'].map((name) => world.host(name).table.totalWrites),
      writes,
    );
    world.api.putPool({ ok: true, value: aPool() });
    await world.run();
    assert.deepEqual(world.tables(), [['TCP 203.0.113.10:81'], ['TCP 203.0.113.10:81']]);
    assert.equal(world.api.services.get(serviceKey('default', 'b')), undefined);
  });

  it('leaves the Services of a deleted pool as they are', async () => {
    await world.serve('web');
    world.api.poolFinalizers.clear(); // somebody has taken our finalizer off
    world.api.deletePool('web');
    await world.run(100_000);
    await world.stop();
    world.start();
    await world.run(100_000);
    assert.deepEqual(world.tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
    assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    assert.match(world.condition(WEB, 'Programmed') ?? '', /LoadBalancerPool web does not exist any more/);
  });

  it('serves waiting Services when a pool is made', async () => {
    world = new World({ pools: [] });
    await world.serve('web');
    assert.match(world.condition(WEB, 'AddressAssigned') ?? '', /^False NoPool: /);
    world.api.putPool({ ok: true, value: aPool() });
    await world.run();
    assert.deepEqual(world.published(WEB), ['203.0.113.10']);
  });

  it('says in its status what is wrong with a pool that cannot be read', async () => {
    const problems = ['spec.addresses[0]: 203.0.113.9-203.0.113.1 is reversed.'];
    world.api.putPool({ ok: false, name: 'bad', generation: 1, problems });
    await world.serve('web');
    assert.match(JSON.stringify(world.writer.poolStatuses.get('bad')?.conditions), /is reversed/);
    assert.deepEqual(world.published(WEB), ['203.0.113.10']);
  });

  it('counts addresses and directors in the status of the pool, with few writes', async () => {
    await world.serve('a', 'b', 'c');
    await world.run(10_000);
    const status = world.writer.poolStatuses.get('web');
    assert.equal(status?.assignedIPv4, 3);
    assert.equal(status?.availableIPv4, '1');
    assert.equal(status?.directorsReady, '2/2');
    assert.equal(status?.virtualServers, 3);
    const writes = world.writer.writes.filter(({ verb }) => verb === 'poolStatus').length;
    assert.ok(writes <= 6, `${writes} writes of the status of one pool`);
  });

  it('writes the status of a pool once a second at most, and of a director too, while a thousand Services are created', async () => {
    const addresses = ['198.18.0.0/16'];
    world = new World({ pools: [aPool({ addresses })] });
    for (const { table } of world.hosts.values()) table.policy = { ...table.policy, addresses };
    world.start();
    await world.run(10_000);
    const before = world.writer.writes.length;
    for (let index = 0; index < 1_000; index += 1) {
      world.api.putService(aService({ name: `one-of-many-${index}` }));
      if (index % 100 === 99) await world.run(1_000);
    }
    await world.run(10_000);
    const writes = world.writer.writes.slice(before);
    const count = (verb: string) => writes.filter((write) => write.verb === verb).length;
    assert.deepEqual([count('claim'), count('serviceStatus')], [1_000, 1_000]);
    assert.equal(world.writer.poolStatuses.get('web')?.used, 1_000);
    assert.ok(count('poolStatus') <= 20, `${count('poolStatus')} writes of the status of the pool in 20 s`);
    assert.ok(
      count('directorStatus') <= 40,
      `${count('directorStatus')} writes of the status of two directors in 20 s`,
    );
  });
});
