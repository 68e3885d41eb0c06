import assert from 'node:assert/strict';
import { laneSpec } from '../../../operator/controllers/lane-target.ts';
import { aDirector } from '../../builders/a-director.ts';
import { DNS, dns, eachInALaneWorld, KEY, LaneWorld, WEB, web } from '../../builders/a-lane-world.ts';

describe('DirectorLane and connections', () => {
  const world = eachInALaneWorld();

  it('tries again, ever less often, and at once when the target changes', async () => {
    const { clock, host, lane, started } = world();
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
    const { clock, host, lane } = world();
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
      const { clock, host, lane, started, table } = world();
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
    const { clock, host, lane, started, table } = world();
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

  for (const [what, other] of [
    ['address', { address: '192.0.2.99' }],
    ['port', { port: 2222 }],
    ['owner', { tableOwner: 'test' }],
  ] as const) {
    it(`believes nothing that it has read before when the ${what} changes`, async () => {
      const { clock, lane, started } = world();
      lane.assign(WEB, [web]);
      lane.withdraw(DNS, [dns.address]);
      await started();
      assert.deepEqual([lane.confirmation(WEB).kind, lane.absent(DNS)], ['Programmed', true]);
      lane.configure(laneSpec(aDirector(), { ok: false, reason: 'SecretMissing', message: 'There is no Secret.' }));
      lane.configure(laneSpec(aDirector(other), KEY));
      const known = () => [lane.confirmation(WEB).kind, lane.absent(DNS), lane.holds(WEB)];
      assert.deepEqual(known(), ['Pending', false, undefined]);
      assert.equal(lane.offers(DNS, [dns.address]), false, 'it may have something there');
      await clock.advance(60_000);
      assert.deepEqual(known(), ['Pending', false, undefined]);
      lane.configure(laneSpec(aDirector(), KEY));
      await clock.advance(1_000);
      assert.deepEqual(known(), ['Programmed', true, true]);
    });
  }

  for (const request of ['readKeys', 'apply'] as const) {
    it(`takes in no answer to ${request} that comes while the address changes`, async () => {
      for (let turns = 0; turns < 30; turns += 1) {
        const { clock, host, lane, started } = new LaneWorld();
        const { table } = host;
        const answer = table[request].bind(table) as (...args: unknown[]) => never;
        table[request] = (...args: unknown[]): never => {
          void changeAfter(turns);
          return answer(...args);
        };
        const changeAfter = async (left: number): Promise<void> => {
          for (let turn = 0; turn < left; turn += 1) await Promise.resolve();
          lane.configure(laneSpec(aDirector({ address: '192.0.2.99' }), KEY));
        };
        lane.assign(WEB, [web]);
        lane.withdraw(DNS, [dns.address]);
        await started();
        await clock.advance(1_000);
        assert.deepEqual([lane.confirmation(WEB).kind, lane.absent(DNS)], ['Pending', false], `after ${turns} turns`);
        await lane.stop();
      }
    });
  }

  it('fills the table of a rebooted director again', async () => {
    const { clock, host, lane, started, table } = world();
    lane.assign(WEB, [web]);
    await started();
    host.reboot();
    assert.deepEqual(table(), []);
    await clock.advance(5_000);
    assert.deepEqual(table(), ['TCP 203.0.113.10:80']);
    assert.equal(lane.report().hello?.bootId, 'boot-2');
  });

  it('stops counting as ready when an answer takes too long, and counts again when it comes', async () => {
    const { clock, host, lane, started } = world();
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
    const { clock, host, lane, started } = world();
    await started();
    lane.assign(WEB, [web]);
    await lane.stop();
    await clock.advance(100_000);
    assert.equal(host.openSessions, 0);
    assert.equal(clock.pending, 0);
    assert.equal(host.dials, 1);
  });

  it('can be stopped while a host that is dialled stays silent', async () => {
    const { clock, host, lane } = world();
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
