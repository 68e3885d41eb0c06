import assert from 'node:assert/strict';
import { laneSpec } from '../../../operator/controllers/lane-target.ts';
import type { VirtualServer } from '../../../operator/model/virtual-server.ts';
import { aDirector } from '../../builders/a-director.ts';
import { at, DNS, dns, eachInALaneWorld, KEY, LaneWorld, WEB, web } from '../../builders/a-lane-world.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';

describe('DirectorLane and drift', () => {
  const world = eachInALaneWorld();

  it('puts it right within about a minute, and says what', async () => {
    const { clock, host, lane, repaired, started, table } = world();
    lane.assign(WEB, [web]);
    await started();
    host.table.removeBehindOurBack(web);
    await clock.advance(70_000);
    assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
    assert.match(repaired.join(), /add virtual server TCP 203\.0\.113\.10:80/);
  });

  it('notices also what a change of ours in between would hide', async () => {
    const { clock, host, lane, started, table } = world();
    lane.assign(WEB, [web]);
    await started();
    host.table.removeBehindOurBack(web);
    lane.assign(DNS, [dns]);
    await clock.advance(100);
    assert.deepEqual(table(), ['UDP 203.0.113.11:53']);
    await clock.advance(70_000);
    assert.deepEqual(table(), ['TCP 203.0.113.10:80', 'UDP 203.0.113.11:53']);
  });

  it('notices it although changes of ours never cease', async () => {
    const { clock, host, lane, repaired, started, table } = world();
    lane.assign(WEB, [web]);
    await started();
    host.table.removeBehindOurBack(web);
    for (let second = 0; second < 70; second += 1) {
      lane.assign(DNS, [at('203.0.113.11', 53 + (second % 2))]);
      await clock.advance(1_000);
    }
    assert.deepEqual(table(), ['TCP 203.0.113.10:80', 'TCP 203.0.113.11:54']);
    assert.match(repaired.join(), /add virtual server TCP 203\.0\.113\.10:80/);
    assert.doesNotMatch(repaired.join(), /203\.0\.113\.11/);
  });

  it('notices it although there is always something to send, and does not take that for a change of others', async () => {
    const { clock, host, lane, repaired, started, table } = new LaneWorld({ answerDelayMs: 1_000 });
    lane.assign(WEB, [web]);
    await started();
    await clock.advance(5_000);
    host.table.removeBehindOurBack(web);
    for (let tenth = 0; tenth < 1_500; tenth += 1) {
      lane.assign(DNS, [at('203.0.113.11', 53 + (tenth % 2))]);
      await clock.advance(100);
    }
    await lane.stop();
    assert.equal(table()[0], 'TCP 203.0.113.10:80');
    assert.match(repaired.join(), /add virtual server TCP 203\.0\.113\.10:80/);
    assert.doesNotMatch(repaired.join(), /203\.0\.113\.11/);
  });

  it('only reports it when told so, until it is gone', async () => {
    const { clock, host, lane, started, table } = world();
    lane.assign(WEB, [web]);
    await started({ driftPolicy: 'Report' });
    host.table.removeBehindOurBack(web);
    await clock.advance(70_000);
    assert.deepEqual(table(), []);
    assert.match(lane.report().drift ?? '', /TCP 203\.0\.113\.10:80/);
    assert.equal(lane.ready, true);
    lane.configure(laneSpec(aDirector({ driftPolicy: 'Repair' }), KEY));
    await clock.advance(70_000);
    assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
    assert.equal(lane.report().drift, undefined);
  });

  it('only reports it also of a table that needs several requests', async () => {
    const { clock, host, lane, started, table } = world();
    const realServers = Array.from({ length: 250 }, (_, index) =>
      aRealServer({ address: `192.0.2.${index + 1}`, port: 80 }),
    );
    const large = Array.from({ length: 90 }, (_, index) =>
      aVirtualServer({ address: `203.0.113.${index + 20}`, port: 80, realServers }),
    );
    lane.assign(WEB, large);
    await started({ driftPolicy: 'Report' });
    const written = host.applies.length;
    host.table.removeBehindOurBack(large[0] as VirtualServer);
    await clock.advance(70_000);
    assert.ok(host.applies.slice(written).every(({ dryRun }) => dryRun));
    assert.equal(table().length, 89);
    assert.match(lane.report().drift ?? '', /TCP 203\.0\.113\.20:80/);
  });

  /** The director counts it as ours, and we do not know it. */
  function addAsOurs(virtualServer: VirtualServer): void {
    const { table } = world().host;
    const { epoch, generation } = table;
    const request = { epoch, generation, dryRun: false, scope: 'listed', interface: 'lo', absent: [] } as const;
    assert.ok('ok' in table.apply({ ...request, virtualServers: [virtualServer] }));
  }

  it('removes what the director calls ours and we do not know, also when a change of ours would hide it', async () => {
    const { clock, lane, repaired, started, table } = world();
    lane.assign(WEB, [web]);
    await started();
    addAsOurs(at('203.0.113.50', 80));
    lane.assign(DNS, [dns]);
    await clock.advance(100);
    assert.equal(table().length, 3);
    await clock.advance(70_000);
    assert.deepEqual(table(), ['TCP 203.0.113.10:80', 'UDP 203.0.113.11:53']);
    assert.deepEqual(repaired, ['delete virtual server TCP 203.0.113.50:80']);
  });

  it('only reports such a one when told so', async () => {
    const { clock, lane, started, table } = world();
    lane.assign(WEB, [web]);
    await started({ driftPolicy: 'Report' });
    addAsOurs(at('203.0.113.50', 80));
    lane.assign(DNS, [dns]);
    await clock.advance(150_000);
    assert.equal(table().length, 3);
    assert.equal(lane.report().drift, 'delete virtual server TCP 203.0.113.50:80');
    assert.equal(lane.ready, true);
  });

  it('only reads while nothing changes', async () => {
    const { clock, host, lane, started } = world();
    lane.assign(WEB, [web]);
    await started();
    const applies = host.applies.length;
    await clock.advance(600_000);
    assert.equal(host.applies.length, applies);
    assert.ok(host.reads >= 10, `${host.reads} reads in 10 minutes`);
  });
});
