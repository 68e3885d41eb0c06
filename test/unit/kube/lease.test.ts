import assert from 'node:assert/strict';
import { createLease, type Lease } from '../../../operator/kube/lease.ts';
import { FakeApiClient, NO_ANSWER } from '../../fakes/fake-api-client.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/ops/leases';

describe('the lease in fake time', () => {
  let clock: FakeClock;
  let api: FakeApiClient;
  let told: string[];

  beforeEach(() => {
    clock = new FakeClock();
    api = new FakeApiClient();
    told = [];
  });

  it('is taken when its holder has not renewed it for as long as it promised, by our clock', async () => {
    api.store.create(LEASES, { metadata: { name: 'operator' }, spec: held('other', 4) });
    const lease = candidate('a');
    await clock.advance(14_000);
    assert.equal(lease.epoch(), undefined);
    await clock.advance(3_000);
    assert.equal(lease.epoch(), 5);
    assert.deepEqual(told, ['a acquired 5']);
  });

  it('is left to a holder that renews, however wrong its clock is', async () => {
    api.store.create(LEASES, { metadata: { name: 'operator' }, spec: held('other', 4) });
    const lease = candidate('a');
    for (let second = 0; second < 120; second += 10) {
      api.store.mergePatch(LEASES, 'operator', { spec: { renewTime: `1999-01-01T00:00:${second % 60}.000000Z` } });
      await clock.advance(10_000);
    }
    assert.equal(lease.epoch(), undefined);
  });

  it('is kept through failures shorter than the renew deadline', async () => {
    const lease = candidate('a');
    await clock.advance(0);
    api.before = () => NO_ANSWER;
    await clock.advance(7_000);
    assert.equal(lease.epoch(), 1);
    api.before = () => undefined;
    await clock.advance(30_000);
    assert.equal(lease.epoch(), 1);
    assert.deepEqual(told, ['a acquired 1']);
  });

  it('is lost before anybody else may take it, when it cannot be renewed', async () => {
    const lease = candidate('a');
    const other = candidate('b');
    await clock.advance(0);
    api.before = (line) => (line.startsWith('PUT') ? NO_ANSWER : undefined);
    await clock.advance(10_500);
    assert.equal(lease.epoch(), undefined);
    assert.equal(other.epoch(), undefined);
    assert.deepEqual(told, ['a acquired 1', 'a lost: the lease operator could not be renewed in time']);
  });

  it('is lost although the renewal hangs, and its late success is not a new term', async () => {
    const lease = candidate('a');
    await clock.advance(0);
    let answer = (): void => {};
    api.before = (line) =>
      line.startsWith('PUT')
        ? new Promise((resolve) => {
            answer = resolve;
          })
        : undefined;
    await clock.advance(11_000);
    assert.equal(lease.epoch(), undefined);
    answer();
    await clock.settle();
    assert.equal(lease.epoch(), undefined);
    api.before = () => undefined;
    await clock.advance(4_000);
    assert.equal(lease.epoch(), 2);
    assert.deepEqual(told.slice(1), ['a lost: the lease operator could not be renewed in time', 'a acquired 2']);
  });

  it('is not ours any more when the process slept past the deadline, even before the timer fires', async () => {
    const asleep = { ...bound(clock), monotonic: () => clock.monotonic() + slept };
    let slept = 0;
    const lease = candidate('a', asleep);
    await clock.advance(0);
    assert.equal(lease.epoch(), 1);
    slept = 10_000;
    assert.equal(lease.epoch(), undefined);
  });

  it('has never two holders, whatever fails', async () => {
    const leases = [candidate('a'), candidate('b'), candidate('c')];
    const epochs = new Set<number>();
    api.before = () => (clock.random() < 0.4 ? NO_ANSWER : undefined);
    for (let step = 0; step < 500; step++) {
      await clock.advance(1_000);
      const held = leases.map((lease) => lease.epoch()).filter((epoch) => epoch !== undefined);
      assert.ok(held.length <= 1, `${held.length} holders after ${step} s`);
      for (const epoch of held) epochs.add(epoch);
    }
    assert.ok(epochs.size >= 1);
  });

  it('is given up when stopped, and writes nothing afterwards', async () => {
    const lease = candidate('a');
    await clock.advance(0);
    await lease.stop();
    const stored = api.store.get(LEASES, 'operator');
    assert.ok(stored.ok);
    assert.equal((stored.object.spec as { holderIdentity: string }).holderIdentity, '');
    const { length } = api.calls;
    await clock.advance(60_000);
    assert.equal(api.calls.length, length);
    assert.equal(clock.pending, 0);
    assert.deepEqual(told, ['a acquired 1']);
  });

  it('raises its epoch in turn with the renewals', async () => {
    const lease = candidate('a');
    await clock.advance(0);
    const raised = Promise.all([lease.raiseEpoch(7), lease.raiseEpoch(20)]);
    await clock.advance(4_000);
    assert.deepEqual(await raised, [true, true]);
    assert.equal(lease.epoch(), 21);
  });

  function candidate(identity: string, ticking = bound(clock)): Lease {
    const lease = createLease({
      api,
      namespace: 'ops',
      name: 'operator',
      identity,
      clock: ticking,
      log: new FakeLog(),
      onAcquired: (epoch) => told.push(`${identity} acquired ${epoch}`),
      onLost: (cause) => told.push(`${identity} lost: ${cause}`),
    });
    lease.start();
    return lease;
  }
});

function bound(clock: FakeClock) {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    schedule: (delayMs: number, callback: () => void) => clock.schedule(delayMs, callback),
    random: () => clock.random(),
  };
}

function held(holderIdentity: string, leaseTransitions: number): object {
  return { holderIdentity, leaseTransitions, leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.000000Z' };
}
