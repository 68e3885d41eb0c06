import assert from 'node:assert/strict';
import { createEventRecorder, type StoppableEventRecorder } from '../../../operator/kube/event-recorder.ts';
import { asRecord } from '../../../operator/kube/kube-object.ts';
import { FakeApiClient, NO_ANSWER } from '../../fakes/fake-api-client.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';

const WEB = { kind: 'Service', namespace: 'shop', name: 'web', uid: 'u1' } as const;
const EVENTS = '/apis/events.k8s.io/v1/namespaces/shop/events';

describe('the event recorder in fake time', () => {
  let clock: FakeClock;
  let api: FakeApiClient;
  let log: FakeLog;
  let recorder: StoppableEventRecorder;
  let unwritten: { folded: number; dropped: number; failed: number };

  beforeEach(() => {
    clock = new FakeClock();
    api = new FakeApiClient();
    log = new FakeLog();
    unwritten = { folded: 0, dropped: 0, failed: 0 };
    recorder = createEventRecorder({
      api,
      clock,
      log,
      instance: 'operator-0',
      onUnwritten: (why) => {
        unwritten[why] += 1;
      },
    });
  });

  it('writes six digits, who, what and about whom', async () => {
    recorder.record(WEB, 'Normal', 'IPAllocated', 'Assigned 203.0.113.10.');
    await clock.settle();
    const [event] = api.store.list(EVENTS);
    const { metadata: _, ...rest } = event ?? {};
    assert.deepEqual(rest, {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'ipvs-operator.io/ipvs-operator',
      reportingInstance: 'operator-0',
      action: 'Reconcile',
      reason: 'IPAllocated',
      type: 'Normal',
      note: 'Assigned 203.0.113.10.',
      regarding: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web', uid: 'u1' },
    });
  });

  it('writes a count at most once a minute, and a new event after six quiet minutes', async () => {
    for (let second = 0; second < 180; second++) {
      recorder.record(WEB, 'Warning', 'PoolExhausted', 'No free address.');
      await clock.advance(1_000);
    }
    assert.equal(api.calls.filter((call) => call.startsWith('POST')).length, 1);
    const patches = api.calls.filter((call) => call.startsWith('PATCH')).length;
    assert.ok(patches >= 2 && patches <= 3, `${patches} patches`);
    await clock.advance(6 * 60_000);
    const [event] = api.store.list(EVENTS);
    assert.equal(asRecord(event?.series).count, 180);
    recorder.record(WEB, 'Warning', 'PoolExhausted', 'No free address.');
    await clock.settle();
    assert.equal(api.store.list(EVENTS).length, 2);
  });

  it('keeps events apart that differ in anything', async () => {
    recorder.record(WEB, 'Normal', 'A', 'x');
    recorder.record(WEB, 'Normal', 'A', 'y');
    recorder.record(WEB, 'Normal', 'B', 'x');
    recorder.record(WEB, 'Warning', 'A', 'x');
    recorder.record({ ...WEB, uid: 'u2' }, 'Normal', 'A', 'x');
    await clock.settle();
    assert.equal(api.store.list(EVENTS).length, 5);
  });

  it('spreads a flood, drops what is too much, counts it, and says so once', async () => {
    for (let i = 0; i < 3_000; i++) recorder.record({ ...WEB, uid: `u${i}` }, 'Normal', 'Flood', `number ${i}`);
    await clock.settle();
    assert.ok(api.calls.length <= 60, `${api.calls.length} at once`);
    await clock.advance(300_000);
    assert.equal(api.store.list(EVENTS).length, 3_000 - unwritten.dropped);
    assert.ok(unwritten.dropped >= 900);
    const said = log.lines.filter(({ message }) => message.startsWith('Too many events'));
    assert.deepEqual(
      said.map(({ fields }) => fields?.dropped),
      [unwritten.dropped],
    );
  });

  it('lets one namespace that floods delay no other', async () => {
    for (let i = 0; i < 3_000; i++) recorder.record({ ...WEB, uid: `u${i}` }, 'Normal', 'Flood', `number ${i}`);
    await clock.advance(1_000);
    recorder.record({ ...WEB, namespace: 'quiet' }, 'Warning', 'AllocationFailed', 'No free address.');
    await clock.advance(500);
    assert.equal(api.store.list('/apis/events.k8s.io/v1/namespaces/quiet/events').length, 1);
  });

  it('tells a trouble that changes its words all the time five times, then once a minute with the newest', async () => {
    for (let second = 0; second < 600; second++) {
      recorder.record(WEB, 'Warning', 'SyncLoadBalancerFailed', `attempt ${second}`);
      await clock.advance(1_000);
    }
    await clock.advance(60_000);
    const notes = api.store.list(EVENTS).map(({ note }) => note);
    assert.deepEqual(notes.slice(0, 5), ['attempt 0', 'attempt 1', 'attempt 2', 'attempt 3', 'attempt 4']);
    assert.ok(notes.length >= 14 && notes.length <= 16, `${notes.length} events in eleven minutes`);
    assert.equal(notes.at(-1), 'attempt 599');
    assert.equal(unwritten.folded, 600 - notes.length);
  });

  it('writes the next of its kind anew when the first could not be written', async () => {
    api.before = () => NO_ANSWER;
    recorder.record(WEB, 'Normal', 'A', 'x');
    await clock.settle();
    api.before = () => undefined;
    recorder.record(WEB, 'Normal', 'A', 'x');
    await clock.settle();
    assert.equal(api.store.list(EVENTS).length, 1);
    assert.equal(log.lines.length, 1);
  });

  it('writes what waits when stopped, leaves no timer, and takes no more', async () => {
    for (let i = 0; i < 80; i++) recorder.record({ ...WEB, uid: `u${i}` }, 'Normal', 'A', `number ${i}`);
    const stopped = recorder.stop();
    await clock.advance(500);
    await stopped;
    assert.equal(api.store.list(EVENTS).length, 80);
    recorder.record(WEB, 'Normal', 'A', 'late');
    await clock.settle();
    assert.equal(api.store.list(EVENTS).length, 80);
    assert.equal(clock.pending, 0);
  });
});
