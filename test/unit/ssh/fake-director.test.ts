import assert from 'node:assert/strict';
import type { ApplyRequest, DirectorSession, DirectorTarget } from '../../../operator/controllers/ports.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { aVirtualServer } from '../../builders/a-virtual-server.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeDirector, fakeDialer } from '../../fakes/fake-director.ts';

const target: DirectorTarget = {
  name: 'd1',
  address: '192.0.2.11' as IpAddress,
  port: 22,
  user: 'ipvs',
  hostKeys: [],
  owner: 'prod',
  privateKey: '',
};
const request: ApplyRequest = {
  epoch: 1,
  generation: 1,
  dryRun: false,
  scope: 'listed',
  interface: 'lo',
  virtualServers: [aVirtualServer()],
  absent: [],
};

async function opened(director: FakeDirector): Promise<DirectorSession> {
  const result = await fakeDialer([director]).dial(target);
  assert.ok(result.ok);
  return result.session;
}

describe('a fake director', () => {
  const clock = new FakeClock();
  let director: FakeDirector;
  beforeEach(() => {
    director = new FakeDirector({ address: target.address, clock });
  });

  it('is not reached at another address', async () => {
    const result = await fakeDialer([director]).dial({ ...target, address: '192.0.2.12' as IpAddress });
    assert.equal(!result.ok && result.failure.reason, 'Unreachable');
  });

  it('refuses another owner', async () => {
    const result = await fakeDialer([director]).dial({ ...target, owner: 'staging' });
    assert.equal(!result.ok && result.failure.reason, 'NotADirector');
  });

  it('fails dials and ends sessions until it recovers', async () => {
    const session = await opened(director);
    director.fail('HostKeyMismatch');
    assert.equal((await session.ended).reason, 'HostKeyMismatch');
    const result = await fakeDialer([director]).dial(target);
    assert.equal(!result.ok && result.failure.reason, 'HostKeyMismatch');
    director.recover();
    assert.equal((await (await opened(director)).ping()).kind, 'ok');
    assert.deepEqual([director.dials, director.openSessions], [3, 1]);
  });

  it('answers after its delay', async () => {
    const slow = new FakeDirector({ address: target.address, clock, answerDelayMs: 100 });
    const dialing = fakeDialer([slow]).dial(target);
    await clock.advance(100);
    const result = await dialing;
    assert.ok(result.ok);
    let answered = false;
    const answer = result.session.ping().then(() => {
      answered = true;
    });
    await clock.advance(99);
    assert.equal(answered, false);
    await clock.advance(1);
    await answer;
  });

  it('ends its sessions with Timeout when it stands still for 10 s', async () => {
    const session = await opened(director);
    director.freeze();
    const answer = session.apply(request);
    const dialing = fakeDialer([director]).dial(target);
    await clock.advance(10_000);
    assert.equal((await session.ended).reason, 'Timeout');
    assert.equal((await answer).kind, 'broken');
    const dialed = await dialing;
    assert.equal(!dialed.ok && dialed.failure.reason, 'Timeout');
    director.thaw();
    assert.deepEqual(director.table.virtualServers(), [], 'a request of an ended session was carried out');
  });

  it('answers late when it moves again in time', async () => {
    const session = await opened(director);
    director.freeze();
    const answer = session.ping();
    await clock.advance(5_000);
    director.thaw();
    assert.equal((await answer).kind, 'ok');
    await clock.advance(10_000);
    assert.equal((await session.ping()).kind, 'ok');
  });

  it('forgets everything at a reboot, under a new boot id', async () => {
    const session = await opened(director);
    await session.apply(request);
    director.reboot();
    assert.equal((await session.ended).reason, 'Closed');
    const next = await opened(director);
    assert.notEqual(next.hello.bootId, session.hello.bootId);
    assert.deepEqual([next.hello.epoch, director.table.virtualServers(), director.table.totalWrites], [0, [], 0]);
  });

  it('loses a request before it is carried out', async () => {
    const session = await opened(director);
    director.failNextApply('cutBeforeApplying');
    assert.equal((await session.apply(request)).kind, 'broken');
    assert.equal((await session.ended).reason, 'Unreachable');
    assert.deepEqual(director.table.virtualServers(), []);
  });

  it('loses an answer after the request was carried out', async () => {
    const session = await opened(director);
    director.failNextApply('answerLost');
    assert.equal((await session.apply(request)).kind, 'broken');
    assert.equal(director.table.virtualServers().length, 1);
    const again = await (await opened(director)).apply(request);
    assert.equal(again.kind === 'ok' && again.value.writes, 0);
  });

  it('gives no answer in time', async () => {
    const session = await opened(director);
    director.failNextApply('timeout');
    const answer = await session.apply(request);
    assert.equal(answer.kind === 'broken' && answer.failure.reason, 'Timeout');
  });

  it('refuses a whole request once', async () => {
    const session = await opened(director);
    director.failNextApply({ refuse: { class: 'retry', message: 'busy' } });
    assert.deepEqual(await session.apply(request), { kind: 'refused', error: { class: 'retry', message: 'busy' } });
    assert.equal((await session.apply(request)).kind, 'ok');
  });

  it('refuses one object as long as its kernel does', async () => {
    const session = await opened(director);
    director.table.refusals.set('TCP 203.0.113.10:80', {
      class: 'object',
      message: 'invalid argument',
      errno: 'EINVAL',
    });
    const other = aVirtualServer({ port: 443, realServers: [] });
    const answer = await session.apply({ ...request, virtualServers: [aVirtualServer(), other] });
    assert.ok(answer.kind === 'ok');
    assert.deepEqual(answer.value.failed, [{ address: '203.0.113.10', port: 80, protocol: 'TCP' }]);
    assert.deepEqual(
      director.table.virtualServers().map(({ port }) => port),
      [443],
    );
    director.table.refusals.clear();
    const again = await session.apply(request);
    assert.ok(again.kind === 'ok' && again.value.failed.length === 0);
  });

  it('keeps the requests that arrived', async () => {
    const session = await opened(director);
    await session.apply(request);
    await session.readKeys();
    assert.deepEqual([director.applies, director.reads], [[request], 1]);
  });
});
