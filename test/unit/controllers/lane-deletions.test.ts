import assert from 'node:assert/strict';
import { laneSpec } from '../../../operator/controllers/lane-target.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import type { VirtualServer } from '../../../operator/model/virtual-server.ts';
import { aDirector } from '../../builders/a-director.ts';
import { eachInALaneWorld, KEY } from '../../builders/a-lane-world.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';

describe('DirectorLane and a limit of deletions per request', () => {
  const world = eachInALaneWorld();
  const SERVICES = 40;
  const keyOf = (index: number) => serviceKey('default', `service-${index}`);
  const serverOf = (index: number, ...hosts: number[]): VirtualServer =>
    aVirtualServer({
      address: `203.0.113.${index + 1}`,
      drainSeconds: 60,
      realServers: hosts.map((host) => aRealServer({ address: `192.0.2.${host}`, port: 80 })),
    });
  const indexes = Array.from({ length: SERVICES }, (_, index) => index);

  function assignAll(lane = world().lane, ...hosts: number[]): void {
    for (const index of indexes) lane.assign(keyOf(index), [serverOf(index, ...hosts)]);
  }

  function limitTo(maxDeletions: number): void {
    const { table } = world().host;
    table.policy = { ...table.policy, maxDeletions };
  }

  const kinds = () => indexes.map((index) => world().lane.confirmation(keyOf(index)).kind);
  const isOnAll = (host: number) =>
    world()
      .host.table.virtualServers()
      .some(({ realServers }) => realServers.some(({ address }) => address === `192.0.2.${host}`));

  it('takes a node that leaves out of many virtual servers in requests that keep to it, at once, and fails nobody', async () => {
    const { clock, host, lane, started } = world();
    limitTo(10);
    assignAll(lane, 1, 2);
    await started();
    host.applies.length = 0;
    assignAll(lane, 1);
    for (let passed = 0; passed < 200; passed += 2) {
      await clock.advance(2);
      assert.ok(!kinds().includes('Failed'));
    }
    assert.equal(isOnAll(2), false);
    assert.deepEqual(new Set(kinds()), new Set(['Programmed']));
    assert.deepEqual(
      host.applies.map(({ virtualServers }) => virtualServers.length),
      [40, 10, 10, 10, 10],
    );
  });

  it('removes many virtual servers so as well', async () => {
    const { clock, host, lane, started, table } = world();
    limitTo(15);
    assignAll(lane, 1);
    await started();
    host.applies.length = 0;
    for (const index of indexes) lane.withdraw(keyOf(index), []);
    await clock.advance(200);
    assert.deepEqual(table(), []);
    assert.ok(indexes.every((index) => lane.absent(keyOf(index))));
    assert.deepEqual(
      host.applies.map(({ absent }) => absent.length),
      [40, 15, 15, 10],
    );
  });

  it('counts each real server that leaves, and does not hold up what means no deletion', async () => {
    const { clock, host, lane, started } = world();
    limitTo(10);
    assignAll(lane, 1, 2, 3);
    await started();
    assignAll(lane, 1);
    await clock.advance(400);
    assert.deepEqual(new Set(kinds()), new Set(['Programmed']));
    host.applies.length = 0;
    assignAll(lane, 4);
    lane.assign(serviceKey('default', 'new'), [aVirtualServer({ address: '203.0.113.200' })]);
    await clock.advance(10);
    assert.ok(host.applies[0]?.virtualServers.some(({ address }) => address === '203.0.113.200'));
    assert.equal(host.applies[0]?.virtualServers.length, 11);
  });

  it('finds what may be sent also when it does not know what is there', async () => {
    const { clock, host, lane, started, aLane } = world();
    const before = aLane();
    assignAll(before, 1, 2, 3, 4);
    before.configure(laneSpec(aDirector(), KEY));
    before.start();
    await clock.advance(1_000);
    await before.stop();
    limitTo(7);
    host.applies.length = 0;
    assignAll(lane, 1);
    await started();
    assert.equal(isOnAll(3), false);
    assert.deepEqual(new Set(kinds()), new Set(['Programmed']));
    assert.ok(host.applies.length < 50, `${host.applies.length} requests`);
  });

  it('fails a Service that alone needs more, and no other', async () => {
    const { clock, host, lane, started } = world();
    limitTo(2);
    assignAll(lane, 1, 2);
    const fat = serviceKey('default', 'fat');
    const fatServer = (...hosts: number[]) => ({ ...serverOf(0, ...hosts), address: '203.0.113.100' as const });
    lane.assign(fat, [fatServer(1, 2, 3, 4) as VirtualServer]);
    await started();
    lane.assign(fat, [fatServer(1) as VirtualServer]);
    assignAll(lane, 1);
    await clock.advance(1_000);
    assert.deepEqual(new Set(kinds()), new Set(['Programmed']));
    const refused = lane.confirmation(fat);
    assert.match(refused.kind === 'Failed' ? refused.message : '', /maxDeletionsPerRequest \(2\)/);
    const applies = host.applies.length;
    await clock.advance(20_000);
    assert.equal(host.applies.length, applies);
    limitTo(3);
    await clock.advance(25_000);
    assert.equal(lane.confirmation(fat).kind, 'Programmed');
  });
});
