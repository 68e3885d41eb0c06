import assert from 'node:assert/strict';
import { laneSpec } from '../../../operator/controllers/lane-target.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import type { VirtualServer } from '../../../operator/model/virtual-server.ts';
import { aDirector } from '../../builders/a-director.ts';
import { at, DNS, dns, eachInALaneWorld, KEY, WEB, web } from '../../builders/a-lane-world.ts';

describe('DirectorLane and leftovers', () => {
  const world = eachInALaneWorld();

  const many = (count: number): VirtualServer[] =>
    Array.from({ length: count }, (_, index) => at('203.0.113.99', 1_000 + index));

  /** A process before us has written these. */
  async function leftBehind(servers: readonly VirtualServer[]): Promise<void> {
    const { clock, host, aLane } = world();
    const before = aLane();
    before.assign(serviceKey('default', 'before'), servers);
    before.configure(laneSpec(aDirector(), KEY));
    before.start();
    await clock.advance(1_000);
    await before.stop();
    host.applies.length = 0;
  }

  it('removes a few leftovers of nobody', async () => {
    const { lane, started, table } = world();
    await leftBehind(many(3));
    lane.assign(WEB, [web]);
    await started();
    assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
  });

  it('holds back the removal of many that nobody asked for, and serves what is wanted', async () => {
    const { lane, started, table } = world();
    await leftBehind(many(8));
    lane.assign(WEB, [web]);
    await started();
    assert.equal(table().length, 9);
    assert.equal(lane.report().held?.count, 8);
    assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    assert.equal(lane.ready, true);
  });

  it('removes many when a deletion explains them, also one that is seen later', async () => {
    const { clock, lane, started, table } = world();
    await leftBehind(many(8));
    await started();
    assert.equal(lane.report().held?.count, 8);
    lane.withdraw(WEB, [many(1)[0]?.address as never]);
    await clock.advance(70_000);
    assert.deepEqual(table(), []);
    assert.equal(lane.absent(WEB), true);
    assert.equal(lane.report().held, undefined);
  });

  it('touches nothing of a frozen Service, wanted or not', async () => {
    const { clock, lane, started, table, requests } = world();
    await leftBehind([web]);
    lane.freeze(WEB, [web.address]);
    lane.assign(DNS, [dns]);
    await started();
    assert.deepEqual(table(), ['TCP 203.0.113.10:80', 'UDP 203.0.113.11:53']);
    assert.deepEqual(requests(), ['listed UDP 203.0.113.11:53']);
    lane.assign(WEB, [at('203.0.113.10', 81)]);
    await clock.advance(100);
    assert.deepEqual(table(), ['TCP 203.0.113.10:81', 'UDP 203.0.113.11:53']);
  });

  it('does not even try again what was refused before, while it is frozen', async () => {
    const { clock, host, lane, started, table } = world();
    const { policy } = host.table;
    host.table.policy = { ...policy, addresses: ['198.51.100.0/24'] };
    lane.assign(WEB, [web]);
    await started();
    lane.freeze(WEB, [web.address]);
    host.table.policy = policy;
    await clock.advance(100_000);
    assert.deepEqual(table(), []);
    lane.assign(WEB, [web]);
    await clock.advance(60_000);
    assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
  });

  it('does not offer an address at which something is left, and clears it', async () => {
    const { clock, lane, touched, started } = world();
    await leftBehind([at('203.0.113.10', 81)]);
    assert.equal(lane.offers(WEB, [web.address]), false, 'before anything is known');
    lane.freeze(DNS, [web.address]);
    await started();
    lane.forget(DNS);
    assert.equal(lane.offers(WEB, [web.address]), false);
    await clock.advance(100);
    assert.equal(lane.offers(WEB, [web.address]), true);
    assert.ok(touched.includes(WEB));
  });
});
