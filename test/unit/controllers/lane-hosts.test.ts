import assert from 'node:assert/strict';
import { laneSpec } from '../../../operator/controllers/lane-target.ts';
import { aDirector } from '../../builders/a-director.ts';
import { DNS, dns, eachInALaneWorld, KEY, WEB, web } from '../../builders/a-lane-world.ts';
import { aRealServer } from '../../builders/a-virtual-server.ts';

const CAPABILITIES = {
  ipvs: true,
  netAdmin: true,
  schedulers: [],
  forwardingMethods: ['DirectRouting', 'Tunneling', 'Masquerading'],
  families: ['IPv4', 'IPv6'],
};

describe('DirectorLane and the host', () => {
  const world = eachInALaneWorld();

  describe('what its pools need of the host', () => {
    const conntrack = { sysctls: { 'net.ipv4.vs.conntrack': '1' } };
    const grant = { sysctls: ['*'], timeouts: true };

    it('goes with the whole table, and again when it changes, and no more', async () => {
      const { clock, host, lane, requests } = world();
      host.table.policy = { ...host.table.policy, host: grant };
      lane.assign(WEB, [web]);
      lane.configure(laneSpec(aDirector(), KEY, conntrack));
      lane.start();
      await clock.advance(1_000);
      assert.equal(host.table.host.sysctl('net.ipv4.vs.conntrack'), '1');
      assert.deepEqual(requests(), ['all TCP 203.0.113.10:80']);
      lane.configure(laneSpec(aDirector(), KEY, conntrack));
      await clock.advance(1_000);
      assert.equal(requests().length, 1);
      const timeouts = { tcpSeconds: 60, tcpFinSeconds: 30, udpSeconds: 10 };
      lane.configure(laneSpec(aDirector(), KEY, { ...conntrack, timeouts }));
      await clock.advance(1_000);
      assert.deepEqual(host.table.host.timeouts, timeouts);
      assert.equal(requests().length, 2);
      assert.deepEqual(lane.report().hostRefusals, []);
    });

    it('is told when it is not granted, and the table is filled all the same', async () => {
      const { clock, lane, table } = world();
      lane.assign(WEB, [web]);
      lane.configure(laneSpec(aDirector(), KEY, conntrack));
      lane.start();
      await clock.advance(1_000);
      assert.equal(lane.ready, true);
      assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
      assert.match(
        lane.report().hostRefusals?.join() ?? '',
        /^sysctl net\.ipv4\.vs\.conntrack: policy rule .* does not grant/,
      );
    });

    it('goes by itself where the table does not go in one request', async () => {
      const { clock, host, lane, requests } = world();
      host.table.policy = { ...host.table.policy, host: grant };
      lane.assign(WEB, [web]);
      lane.freeze(DNS, []);
      lane.configure(laneSpec(aDirector(), KEY, conntrack));
      lane.start();
      await clock.advance(1_000);
      assert.deepEqual(requests(), ['listed', 'listed TCP 203.0.113.10:80']);
      assert.equal(host.table.host.sysctl('net.ipv4.vs.conntrack'), '1');
    });
  });

  it('has the helper look at its host before it counts as ready, and once in each later session, and tells what it found', async () => {
    const { clock, host, lane, started } = world();
    await started();
    assert.equal(lane.ready, true);
    assert.deepEqual(lane.report().preflight, host.checks);
    host.checks = [];
    await clock.advance(3_600_000);
    assert.notDeepEqual(lane.report().preflight, []);
    host.dropSessions();
    await clock.advance(10_000);
    assert.deepEqual(lane.report().preflight, []);
  });

  describe('what the director cannot do', () => {
    it('is not sent but told, and the rest goes on', async () => {
      const { clock, host, lane, started, table, requests } = world();
      host.hello = { capabilities: { ...CAPABILITIES, schedulers: ['mh', 'rr'] } };
      lane.assign(WEB, [web]);
      lane.assign(DNS, [{ ...dns, scheduler: 'twos', schedulerFlags: [] }]);
      await started();
      assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
      assert.deepEqual(requests(), ['listed TCP 203.0.113.10:80']);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
      const answer = lane.confirmation(DNS);
      assert.ok(answer.kind === 'Failed');
      assert.match(answer.message, /^UDP 203\.0\.113\.11:53: its kernel has no scheduler twos: install the module/);
      lane.assign(DNS, [dns]);
      await clock.advance(100);
      assert.equal(lane.confirmation(DNS).kind, 'Programmed');
    });

    it('leaves its older definition in place', async () => {
      const { clock, host, lane, started } = world();
      host.hello = { capabilities: { ...CAPABILITIES, tunnelTypes: ['ipip'] } };
      lane.assign(WEB, [web]);
      await started();
      const tunnel = { type: 'gre', checksum: false } as const;
      lane.assign(WEB, [{ ...web, realServers: [aRealServer({ forwardingMethod: 'Tunneling', tunnel })] }]);
      await clock.advance(100);
      const answer = lane.confirmation(WEB);
      assert.ok(answer.kind === 'Failed');
      assert.match(answer.message, /its kernel has no tunnels of type gre/);
      host.dropSessions();
      await clock.advance(60_000);
      assert.deepEqual(host.table.virtualServer(web), web);
      assert.equal(host.table.totalWrites, 3);
    });
  });

  describe('when the host is not what it should be', () => {
    it('does nothing on a host whose helper serves another owner', async () => {
      const { host, lane, started } = world();
      host.hello = { owner: 'staging' };
      lane.assign(WEB, [web]);
      await started();
      assert.equal(lane.trouble?.reason, 'OwnerMismatch');
      assert.match(lane.trouble?.message ?? '', /serves owner staging, but spec\.tableOwner is prod/);
      assert.deepEqual(host.applies, []);
    });

    it('tells what makes a host unfit, and works when that is mended', async () => {
      const { clock, host, lane, started, table } = world();
      host.hello = { problems: ['The kernel has no IPVS: load the module ip_vs.'] };
      lane.assign(WEB, [web]);
      await started();
      assert.equal(lane.trouble?.reason, 'HostUnfit');
      assert.match(lane.trouble?.message ?? '', /load the module ip_vs/);
      host.hello = {};
      await clock.advance(60_000);
      assert.equal(lane.ready, true);
      assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
    });
  });
});
