import assert from 'node:assert/strict';
import { DirectorLane } from '../../../operator/controllers/director-lane.ts';
import { laneSpec } from '../../../operator/controllers/lane-target.ts';
import type { Director } from '../../../operator/model/director.ts';
import { type ServiceKey, serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { formatVirtualServerKey, type VirtualServer } from '../../../operator/model/virtual-server.ts';
import { aDirector } from '../../builders/a-director.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';
import { FakeLease } from '../../builders/a-world.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeDirector, fakeDialer } from '../../fakes/fake-director.ts';
import { FakeLog } from '../../fakes/fake-log.ts';

const WEB = serviceKey('default', 'web');
const DNS = serviceKey('default', 'dns');
const KEY = { ok: true, privateKey: 'a private key' } as const;
const CAPABILITIES = {
  ipvs: true,
  netAdmin: true,
  schedulers: [],
  forwardingMethods: ['DirectRouting', 'Tunneling', 'Masquerading'],
  families: ['IPv4', 'IPv6'],
};

describe('DirectorLane', () => {
  let clock: FakeClock;
  let host: FakeDirector;
  let lease: FakeLease;
  let lane: DirectorLane;
  let touched: ServiceKey[];
  let repaired: string[];
  const web = at('203.0.113.10', 80);
  const dns = { ...at('203.0.113.11', 53), protocol: 'UDP' as const };

  beforeEach(() => {
    clock = new FakeClock();
    host = new FakeDirector({ address: '192.0.2.11', clock, answerDelayMs: 5 });
    lease = new FakeLease(3);
    touched = [];
    repaired = [];
    lane = aLane();
  });
  afterEach(() => lane.stop());

  function aLane(): DirectorLane {
    return new DirectorLane({
      director: 'lb-1',
      dialer: fakeDialer([host]),
      leadership: lease,
      clock,
      log: new FakeLog(),
      listener: {
        onServices: (services) => touched.push(...services),
        onReadiness: () => undefined,
        onReport: () => undefined,
        onApplied: () => undefined,
        onRepaired: (changes) => repaired.push(changes),
      },
    });
  }

  async function started(overrides: Partial<Director> & { address?: never } = {}): Promise<void> {
    lane.configure(laneSpec(aDirector(overrides), KEY));
    lane.start();
    await clock.advance(1_000);
  }

  const table = () => host.table.virtualServers().map(formatVirtualServerKey);
  const requests = () =>
    host.applies.map(({ scope, virtualServers, absent }) =>
      [
        scope,
        ...virtualServers.map(formatVirtualServerKey),
        ...absent.map((key) => `-${formatVirtualServerKey(key)}`),
      ].join(' '),
    );

  describe('what its pools need of the host', () => {
    const conntrack = { sysctls: { 'net.ipv4.vs.conntrack': '1' } };
    const grant = { sysctls: ['*'], timeouts: true };

    it('goes with the whole table, and again when it changes, and no more', async () => {
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

  describe('in good times', () => {
    it('first makes the whole table equal, and then sends only what changes', async () => {
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
      await started();
      lane.assign(WEB, [web]);
      assert.deepEqual(lane.confirmation(WEB), { kind: 'Pending' });
      await clock.advance(100);
      assert.deepEqual(lane.confirmation(WEB), { kind: 'Programmed' });
      assert.ok(touched.includes(WEB));
    });

    it('says that a Service is absent only when the director has said so', async () => {
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
      lane.assign(WEB, [web]);
      await started();
      const applies = host.applies.length;
      lane.assign(WEB, [{ ...web }]);
      await clock.advance(10_000);
      assert.equal(host.applies.length, applies);
    });

    it('counts generations up within its epoch', async () => {
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
      await started();
      lane.assign(WEB, [web]);
      assert.throws(() => lane.assign(DNS, [web]), /default\/dns and default\/web both claim TCP 203\.0\.113\.10:80/);
      await clock.advance(100);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });

    it('fills the other interface when the Director names another one', async () => {
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

  describe('when a connection fails', () => {
    it('tries again, ever less often, and at once when the target changes', async () => {
      host.fail('Unreachable');
      await started();
      await clock.advance(300_000);
      const dials = host.dials;
      assert.ok(dials > 8 && dials < 40, `${dials} dials in 5 minutes`);
      assert.equal(lane.ready, false);
      assert.equal(lane.trouble?.reason, 'Unreachable');
      host.recover();
      lane.configure(laneSpec(aDirector(), { ok: true, privateKey: 'another key' }));
      await clock.advance(100);
      assert.equal(lane.ready, true);
    });

    it('does not dial at all without a key, and does so when there is one', async () => {
      lane.configure(
        laneSpec(aDirector(), { ok: false, reason: 'SecretMissing', message: 'Secret director-ssh does not exist.' }),
      );
      lane.start();
      await clock.advance(100_000);
      assert.equal(host.dials, 0);
      assert.equal(lane.trouble?.reason, 'SecretMissing');
      lane.configure(laneSpec(aDirector(), KEY));
      await clock.advance(100);
      assert.equal(lane.ready, true);
    });

    for (const fault of ['cutBeforeApplying', 'answerLost', 'timeout'] as const) {
      it(`repairs everything by asking again after an apply that ended with ${fault}`, async () => {
        await started();
        host.failNextApply(fault);
        lane.assign(WEB, [web]);
        await clock.advance(100);
        assert.notEqual(lane.confirmation(WEB).kind, 'Programmed');
        await clock.advance(5_000);
        assert.equal(lane.confirmation(WEB).kind, 'Programmed');
        assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
      });
    }

    it('does not call a Service absent that an unanswered request may have put there', async () => {
      await started();
      host.failNextApply('answerLost');
      lane.assign(WEB, [web]);
      await clock.advance(20);
      host.fail('Unreachable');
      lane.withdraw(WEB, []);
      await clock.advance(100_000);
      assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
      assert.equal(lane.absent(WEB), false);
      host.recover();
      await clock.advance(60_000);
      assert.deepEqual(table(), []);
      assert.equal(lane.absent(WEB), true);
    });

    it('fills the table of a rebooted director again', async () => {
      lane.assign(WEB, [web]);
      await started();
      host.reboot();
      assert.deepEqual(table(), []);
      await clock.advance(5_000);
      assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
      assert.equal(lane.report().hello?.bootId, 'boot-2');
    });

    it('stops counting as ready when an answer takes too long, and counts again when it comes', async () => {
      await started();
      host.freeze();
      lane.assign(WEB, [web]);
      await clock.advance(2_900);
      assert.equal(lane.ready, true);
      await clock.advance(200);
      assert.equal(lane.ready, false);
      assert.equal(lane.trouble?.reason, 'NotAnswering');
      host.thaw();
      await clock.advance(100);
      assert.equal(lane.ready, true);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });

    it('leaves no session and no timer behind when it is stopped', async () => {
      await started();
      lane.assign(WEB, [web]);
      await lane.stop();
      await clock.advance(100_000);
      assert.equal(host.openSessions, 0);
      assert.equal(clock.pending, 0);
      assert.equal(host.dials, 1);
    });

    it('can be stopped while a host that is dialled stays silent', async () => {
      host.freeze();
      lane.configure(laneSpec(aDirector(), KEY));
      lane.start();
      await clock.settle();
      await lane.stop();
      host.thaw();
      await clock.advance(100_000);
      assert.equal(host.openSessions, 0);
    });
  });

  describe('when the host is not what it should be', () => {
    it('does nothing on a host whose helper serves another owner', async () => {
      host.hello = { owner: 'staging' };
      lane.assign(WEB, [web]);
      await started();
      assert.equal(lane.trouble?.reason, 'OwnerMismatch');
      assert.match(lane.trouble?.message ?? '', /serves owner staging, but spec\.tableOwner is prod/);
      assert.deepEqual(host.applies, []);
    });

    it('tells what makes a host unfit, and works when that is mended', async () => {
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

  describe('with other writers', () => {
    it('raises its epoch over one that the director has seen, while it holds the Lease', async () => {
      host.table.epoch = 9;
      host.table.generation = 40;
      lane.assign(WEB, [web]);
      await started();
      assert.equal(host.applies.at(-1)?.epoch, 10);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });

    it('continues behind the generation of a process before it in the same epoch', async () => {
      host.table.epoch = 3;
      host.table.generation = 40;
      lane.assign(WEB, [web]);
      await started();
      assert.equal(host.applies[0]?.generation, 41);
    });

    it('overtakes when it is fenced in the middle, while it holds the Lease', async () => {
      await started();
      host.table.epoch = 5;
      lane.assign(WEB, [web]);
      await clock.advance(5_000);
      assert.equal(lease.epoch(), 6);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });

    it('writes nothing without the Lease, and says so', async () => {
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

  describe('when single objects are refused', () => {
    const outside = at('198.51.100.7', 80);

    it('fails the one Service with the reason and serves the others', async () => {
      lane.assign(WEB, [outside]);
      lane.assign(DNS, [dns]);
      await started();
      const refused = lane.confirmation(WEB);
      assert.equal(refused.kind, 'Failed');
      assert.match(refused.kind === 'Failed' ? refused.message : '', /198\.51\.100\.7/);
      assert.equal(lane.confirmation(DNS).kind, 'Programmed');
      assert.equal(lane.ready, true);
    });

    it('tries a refused object again now and then, and at once when its definition changes', async () => {
      lane.assign(WEB, [outside]);
      await started();
      const applies = host.applies.length;
      await clock.advance(20_000);
      assert.equal(host.applies.length, applies);
      await clock.advance(25_000);
      assert.equal(host.applies.length, applies + 1);
      lane.assign(WEB, [web]);
      await clock.advance(100);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });

    it('leaves an entry alone that somebody else made, and has nothing to take back there', async () => {
      host.table.addBehindOurBack({ ...web, scheduler: 'rr' });
      lane.assign(WEB, [web]);
      await started();
      assert.equal(lane.confirmation(WEB).kind, 'Failed');
      lane.withdraw(WEB, []);
      await clock.advance(100);
      assert.equal(lane.absent(WEB), true);
      assert.equal(host.table.virtualServer(web)?.scheduler, 'rr');
    });

    it('has nothing to take back of a Service that policy has forbidden', async () => {
      lane.assign(WEB, [outside]);
      await started();
      lane.withdraw(WEB, []);
      await clock.advance(100);
      assert.equal(lane.absent(WEB), true);
    });

    it('names what cannot be removed', async () => {
      lane.assign(WEB, [web]);
      await started();
      host.table.refusals.set(formatVirtualServerKey(web), { class: 'object', message: 'device or resource busy' });
      lane.withdraw(WEB, []);
      await clock.advance(100);
      assert.equal(lane.absent(WEB), false);
      assert.match(lane.absenceProblem(WEB) ?? '', /busy/);
      host.table.refusals.clear();
      await clock.advance(60_000);
      assert.equal(lane.absent(WEB), true);
    });

    it('stays ready when a request is refused in passing, and not when that goes on', async () => {
      await started();
      const busy = { refuse: { class: 'retry', message: 'another process holds the lock' } } as const;
      host.failNextApply(busy);
      lane.assign(WEB, [web]);
      await clock.advance(100);
      assert.equal(lane.ready, true);
      await clock.advance(5_000);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
      for (let times = 0; times < 4; times += 1) host.failNextApply(busy);
      lane.assign(DNS, [dns]);
      await clock.advance(3_000);
      assert.equal(lane.ready, false);
      assert.match(lane.trouble?.message ?? '', /another process holds the lock/);
      await clock.advance(60_000);
      assert.equal(lane.ready, true);
    });

    it('is not ready while the host refuses every request, and comes back by itself', async () => {
      await started();
      host.failNextApply({ refuse: { class: 'permanent', message: 'the ledger cannot be written' } });
      lane.assign(WEB, [web]);
      await clock.advance(100);
      assert.equal(lane.ready, false);
      assert.match(lane.trouble?.message ?? '', /the ledger cannot be written/);
      await clock.advance(60_000);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    });
  });

  describe('with what it finds on the director', () => {
    const many = (count: number): VirtualServer[] =>
      Array.from({ length: count }, (_, index) => at('203.0.113.99', 1_000 + index));

    /** A process before us has written these. */
    async function leftBehind(servers: readonly VirtualServer[]): Promise<void> {
      const before = aLane();
      before.assign(serviceKey('default', 'before'), servers);
      before.configure(laneSpec(aDirector(), KEY));
      before.start();
      await clock.advance(1_000);
      await before.stop();
      host.applies.length = 0;
    }

    it('removes a few leftovers of nobody', async () => {
      await leftBehind(many(3));
      lane.assign(WEB, [web]);
      await started();
      assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
    });

    it('holds back the removal of many that nobody asked for, and serves what is wanted', async () => {
      await leftBehind(many(8));
      lane.assign(WEB, [web]);
      await started();
      assert.equal(table().length, 9);
      assert.equal(lane.report().held?.count, 8);
      assert.equal(lane.confirmation(WEB).kind, 'Programmed');
      assert.equal(lane.ready, true);
    });

    it('removes many when a deletion explains them, also one that is seen later', async () => {
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

  describe('when somebody else changes the table', () => {
    it('puts it right within about a minute, and says what', async () => {
      lane.assign(WEB, [web]);
      await started();
      host.table.removeBehindOurBack(web);
      await clock.advance(70_000);
      assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
      assert.match(repaired.join(), /add virtual server TCP 203\.0\.113\.10:80/);
    });

    it('notices also what a change of ours in between would hide', async () => {
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
      host = new FakeDirector({ address: '192.0.2.11', clock, answerDelayMs: 1_000 });
      lane = aLane();
      lane.assign(WEB, [web]);
      await started();
      await clock.advance(5_000);
      host.table.removeBehindOurBack(web);
      for (let tenth = 0; tenth < 1_500; tenth += 1) {
        lane.assign(DNS, [at('203.0.113.11', 53 + (tenth % 2))]);
        await clock.advance(100);
      }
      assert.equal(table()[0], 'TCP 203.0.113.10:80');
      assert.match(repaired.join(), /add virtual server TCP 203\.0\.113\.10:80/);
      assert.doesNotMatch(repaired.join(), /203\.0\.113\.11/);
    });

    it('only reports it when told so, until it is gone', async () => {
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

    it('only reads while nothing changes', async () => {
      lane.assign(WEB, [web]);
      await started();
      const applies = host.applies.length;
      await clock.advance(600_000);
      assert.equal(host.applies.length, applies);
      assert.ok(host.reads >= 10, `${host.reads} reads in 10 minutes`);
    });
  });
});

/** A TCP virtual server with one real server, by direct routing, which cannot translate ports. */
function at(address: string, port: number): VirtualServer {
  return aVirtualServer({ address, port, realServers: [aRealServer({ port })] });
}
