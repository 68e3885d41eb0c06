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

  it('tells a trouble whose counts change once a minute, in its newest words and with how often', async () => {
    for (let second = 0; second < 600; second++) {
      recorder.record(
        WEB,
        'Warning',
        'SyncLoadBalancerFailed',
        `director lb-1 refuses 203.0.113.10 (attempt ${second})`,
      );
      await clock.advance(1_000);
    }
    assert.equal(api.calls.length, 11, 'the first, and one in each of ten minutes');
    await clock.advance(60_000);
    const newest = api.store.list(EVENTS).at(-1);
    assert.equal(newest?.note, 'director lb-1 refuses 203.0.113.10 (attempt 599)');
    assert.equal(asRecord(newest?.series).count, 600);
    assert.equal(newest?.eventTime, '2026-01-01T00:00:00.000000Z');
  });

  it('tells a different trouble at once', async () => {
    recorder.record(WEB, 'Warning', 'SyncLoadBalancerFailed', 'director lb-1 refuses 203.0.113.10 (attempt 1)');
    recorder.record(WEB, 'Warning', 'SyncLoadBalancerFailed', 'director lb-2 refuses 203.0.113.10 (attempt 1)');
    recorder.record(WEB, 'Warning', 'SyncLoadBalancerFailed', 'director lb-1 refuses 203.0.113.11 (attempt 1)');
    await clock.settle();
    assert.equal(api.store.list(EVENTS).length, 3);
  });

  it('lets no two words of one reason take turns for more than one a minute each', async () => {
    for (let second = 0; second < 600; second++) {
      recorder.record(WEB, 'Warning', 'UnAvailableLoadBalancer', second % 2 === 0 ? 'no route' : 'no answer');
      await clock.advance(1_000);
    }
    await clock.advance(60_000);
    const counts = api.store.list(EVENTS).map(({ series }) => asRecord(series).count);
    assert.deepEqual(counts, [300, 300]);
    assert.ok(api.calls.length <= 22, `${api.calls.length} writes`);
  });

  it('tells a trouble that is new in every word five times, then once a minute the newest', async () => {
    for (let second = 0; second < 600; second++) {
      recorder.record(WEB, 'Warning', 'SyncLoadBalancerFailed', `refused by "${second}"`);
      await clock.advance(1_000);
    }
    await clock.advance(60_000);
    const notes = api.store.list(EVENTS).map(({ note }) => note);
    assert.deepEqual(
      notes.slice(0, 5),
      [0, 1, 2, 3, 4].map((number) => `refused by "${number}"`),
    );
    assert.ok(notes.length >= 14 && notes.length <= 16, `${notes.length} events in eleven minutes`);
    assert.equal(notes.at(-1), 'refused by "599"');
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
