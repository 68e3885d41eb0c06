import assert from 'node:assert/strict';
import { laneSpec } from '../../../operator/controllers/lane-target.ts';
import { aDirector } from '../../builders/a-director.ts';
import { DNS, dns, eachInALaneWorld, KEY, WEB, web } from '../../builders/a-lane-world.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';

describe('DirectorLane', () => {
  const world = eachInALaneWorld();

  describe('in good times', () => {
    it('first makes the whole table equal, and then sends only what changes', async () => {
      const { clock, lane, started, table, requests } = world();
      lane.assign(WEB, [web]);
      await started();
      lane.assign(DNS, [dns]);
      await clock.advance(100);
      lane.withdraw(DNS, []);
      await clock.advance(100);
      assert.deepEqual(requests(), [
        'all TCP 203.0.113.10:80',
        'listed UDP 203.0.113.11:53',
        'listed -UDP 203.0.113.11:53',
      ]);
      assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
    });

    it('confirms a Service when its virtual servers were read back, and tells so', async () => {
      const { clock, lane, touched, started } = world();
      await started();
      lane.assign(WEB, [web]);
      assert.deepEqual(lane.confirmation(WEB), { kind: 'Pending' });
      await clock.advance(100);
      assert.deepEqual(lane.confirmation(WEB), { kind: 'Programmed' });
      assert.ok(touched.includes(WEB));
    });

    it('says that a Service is absent only when the director has said so', async () => {
      const { clock, lane, started, table } = world();
      await started();
      lane.assign(WEB, [web]);
      await clock.advance(100);
      lane.withdraw(WEB, []);
      assert.equal(lane.absent(WEB), false);
      await clock.advance(100);
      assert.equal(lane.absent(WEB), true);
      assert.deepEqual(table(), []);
    });

    it('has one request in flight at most, and what changes meanwhile goes into the next one', async () => {
      const { clock, host, lane, started, requests } = world();
      await started();
      lane.assign(WEB, [web]);
      await clock.advance(4);
      for (let weight = 2; weight < 6; weight += 1) {
        lane.assign(WEB, [aVirtualServer({ realServers: [aRealServer({ weight })] })]);
        lane.assign(DNS, [dns]);
      }
      await clock.advance(100);
      assert.deepEqual(requests().slice(1), [
        'listed TCP 203.0.113.10:80',
        'listed TCP 203.0.113.10:80 UDP 203.0.113.11:53',
      ]);
      assert.equal(host.table.virtualServer(web)?.realServers[0]?.weight, 5);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });

    it('sees that a real server has drained, and writes nothing for it', async () => {
      const { clock, host, lane, repaired, started } = world();
      const both = { ...web, drainSeconds: 30, realServers: [aRealServer(), aRealServer({ address: '192.0.2.22' })] };
      lane.assign(WEB, [both]);
      await started();
      lane.assign(WEB, [{ ...both, realServers: [aRealServer()] }]);
      await clock.advance(100);
      assert.deepEqual(lane.report().counts?.draining, 1);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
      const sent = host.applies.length;
      await clock.advance(120_000);
      assert.equal(lane.report().counts?.draining, 0);
      assert.deepEqual(
        host.applies.slice(sent).filter(({ dryRun }) => !dryRun),
        [],
      );
      assert.deepEqual(repaired, []);
    });

    it('writes nothing when it is told again what it knows', async () => {
      const { clock, host, lane, started } = world();
      lane.assign(WEB, [web]);
      await started();
      const applies = host.applies.length;
      lane.assign(WEB, [{ ...web }]);
      await clock.advance(10_000);
      assert.equal(host.applies.length, applies);
    });

    it('counts generations up within its epoch', async () => {
      const { clock, host, lane, started } = world();
      await started();
      lane.assign(WEB, [web]);
      await clock.advance(100);
      assert.deepEqual(
        host.applies.map(({ epoch, generation }) => [epoch, generation]),
        [
          [3, 1],
          [3, 2],
        ],
      );
    });

    it('never lets two Services claim one virtual server', async () => {
      const { clock, lane, started } = world();
      await started();
      lane.assign(WEB, [web]);
      assert.throws(() => lane.assign(DNS, [web]), /default\/dns and default\/web both claim TCP 203\.0\.113\.10:80/);
      await clock.advance(100);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });

    it('fills the other interface when the Director names another one', async () => {
      const { clock, host, lane, started } = world();
      lane.assign(WEB, [web]);
      await started();
      lane.configure(laneSpec(aDirector({ interface: 'dummy0' }), KEY));
      await clock.advance(100);
      assert.deepEqual(
        host.applies.map((request) => request.interface),
        ['lo', 'dummy0'],
      );
    });
  });

  describe('with other writers', () => {
    it('raises its epoch over one that the director has seen, while it holds the Lease', async () => {
      const { host, lane, started } = world();
      host.table.epoch = 9;
      host.table.generation = 40;
      lane.assign(WEB, [web]);
      await started();
      assert.equal(host.applies.at(-1)?.epoch, 10);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });

    it('continues behind the generation of a process before it in the same epoch', async () => {
      const { host, lane, started } = world();
      host.table.epoch = 3;
      host.table.generation = 40;
      lane.assign(WEB, [web]);
      await started();
      assert.equal(host.applies[0]?.generation, 41);
    });

    it('overtakes when it is fenced in the middle, while it holds the Lease', async () => {
      const { clock, host, lease, lane, started } = world();
      await started();
      host.table.epoch = 5;
      lane.assign(WEB, [web]);
      await clock.advance(5_000);
      assert.equal(lease.epoch(), 6);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });

    it('writes nothing without the Lease, and says so', async () => {
      const { clock, host, lease, lane, started } = world();
      lease.hold(undefined);
      lane.assign(WEB, [web]);
      await started();
      assert.deepEqual(host.applies, []);
      assert.equal(lane.trouble?.reason, 'NotLeading');
      lease.hold(4);
      await clock.advance(5_000);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });
  });
});
