import assert from 'node:assert/strict';
import { type ApiClient, createApiClient } from '../../../operator/kube/api-client.ts';
import { createEventRecorder, type StoppableEventRecorder } from '../../../operator/kube/event-recorder.ts';
import { loadKubeConfig, type OpKubeConfig } from '../../../operator/kube/kube-config.ts';
import { asArray, asRecord, type KubeObject } from '../../../operator/kube/kube-object.ts';
import { systemClock } from '../../../operator/observe/system-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { HurriedClock } from '../../fakes/hurried-clock.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { until } from '../until.ts';

describe('events on a real API server', function () {
  this.timeout(120_000);
  let plane: ControlPlane;
  let config: OpKubeConfig;
  let api: ApiClient;
  let recorder: StoppableEventRecorder | undefined;
  const log = new FakeLog();

  before(async () => {
    plane = await startControlPlane();
    config = loadKubeConfig({ kubeconfig: plane.kubeconfig, userAgent: 'test' });
    api = createApiClient(config);
  });

  afterEach(() => recorder?.stop());

  after(async () => {
    await config?.close();
    await plane?.stop();
  });

  it('are shown by kubectl describe of a Service', async () => {
    const uid = await makeService('web');
    recorder = createEventRecorder({ api, clock: systemClock, log, instance: 'operator-0' });
    const about = { kind: 'Service', namespace: 'default', name: 'web', uid } as const;
    recorder.record(about, 'Normal', 'IPAllocated', 'Assigned 203.0.113.10 from the pool public.');
    recorder.record(about, 'Warning', 'NoDirector', 'The pool public selects no director.');
    const text = await until('both events are in the description', async () => {
      const description = await plane.kubectl(['describe', 'service', 'web']);
      return description.includes('IPAllocated') && description.includes('NoDirector') && description;
    });
    assert.match(
      text,
      /Normal +IPAllocated .*ipvs-operator.io\/ipvs-operator +Assigned 203.0.113.10 from the pool public\./,
    );
    assert.match(text, /Warning +NoDirector .*The pool public selects no director\./);
  });

  it('about objects without a namespace are in default, where kubectl looks', async () => {
    recorder = createEventRecorder({ api, clock: systemClock, log, instance: 'operator-0' });
    recorder.record(
      { kind: 'Director', name: 'front-1', uid: 'an-uid' },
      'Warning',
      'Unreachable',
      'No route to host.',
    );
    const [event] = await until('the event is stored', async () => {
      const found = await eventsAbout('front-1');
      return found.length > 0 && found;
    });
    assert.equal(event?.metadata.namespace, 'default');
    assert.equal(asRecord(event?.regarding).apiVersion, 'ipvs-operator.io/v1alpha1');
    assert.equal(asRecord(event?.regarding).kind, 'Director');
  });

  it('that repeat become one with a count', async () => {
    const uid = await makeService('again');
    recorder = createEventRecorder({ api, clock: new HurriedClock(100), log, instance: 'operator-0' });
    const about = { kind: 'Service', namespace: 'default', name: 'again', uid } as const;
    for (let i = 0; i < 5; i++) recorder.record(about, 'Warning', 'PoolExhausted', 'No free address.');
    const [event] = await until('the count is written', async () => {
      const found = await eventsAbout('again');
      return found.some(({ series }) => series !== undefined && series !== null) && found;
    });
    assert.equal(asRecord(event?.series).count, 5);
    assert.equal((await eventsAbout('again')).length, 1);
    assert.match(await plane.kubectl(['describe', 'service', 'again']), /PoolExhausted .*\(x5 over .*No free address/);
  });

  it('whose counts change become another with the newest words and how often', async () => {
    const uid = await makeService('counting');
    const clock = new HurriedClock(100);
    recorder = createEventRecorder({ api, clock, log, instance: 'operator-0' });
    const about = { kind: 'Service', namespace: 'default', name: 'counting', uid } as const;
    recorder.record(about, 'Warning', 'PoolExhausted', '1 of 9 waits.');
    await until('the first is stored', async () => (await eventsAbout('counting')).length === 1);
    for (let i = 2; i <= 5; i++) recorder.record(about, 'Warning', 'PoolExhausted', `${i} of 9 wait.`);
    for (let i = 2; i <= 5; i++) recorder.record(about, 'Warning', 'PoolExhausted', `${i} of 9 waits.`);
    await until('the newest words are stored', async () => (await eventsAbout('counting')).length === 3);
    const text = await plane.kubectl(['describe', 'service', 'counting']);
    assert.match(text, /PoolExhausted .*\(x5 over .*5 of 9 waits\./);
    assert.match(text, /PoolExhausted .*\(x4 over .*5 of 9 wait\./);
  });

  it('with long messages are cut to what the API takes', async () => {
    const uid = await makeService('long');
    recorder = createEventRecorder({ api, clock: systemClock, log, instance: 'operator-0' });
    recorder.record({ kind: 'Service', namespace: 'default', name: 'long', uid }, 'Normal', 'Long', 'ä'.repeat(2_000));
    const [event] = await until('the event is stored', async () => {
      const found = await eventsAbout('long');
      return found.length > 0 && found;
    });
    assert.ok(Buffer.byteLength(String(event?.note)) <= 1_024);
    assert.match(String(event?.note), /^ä+…$/);
  });

  it('that cannot be written are logged, nothing more', async () => {
    recorder = createEventRecorder({ api, clock: systemClock, log, instance: 'operator-0' });
    const about = { kind: 'Service', namespace: 'no-such-namespace', name: 'x', uid: 'x' } as const;
    recorder.record(about, 'Normal', 'Lost', 'Nobody reads this.');
    await until('the failure is logged', () =>
      log.lines.some(({ message }) => message === 'An event could not be written'),
    );
  });

  async function makeService(name: string): Promise<string> {
    const body = { metadata: { name }, spec: { ports: [{ port: 80 }] } };
    const answer = await api.create('/api/v1/namespaces/default/services', body);
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
    return (answer.body as KubeObject).metadata.uid;
  }

  async function eventsAbout(name: string): Promise<KubeObject[]> {
    const answer = await api.get('/apis/events.k8s.io/v1/namespaces/default/events');
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
    const events = asArray(asRecord(answer.body).items) as KubeObject[];
    return events.filter(({ regarding }) => asRecord(regarding).name === name);
  }
});
