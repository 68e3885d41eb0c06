import assert from 'node:assert/strict';
import { DepartedServices } from '../../../operator/kube/departed-services.ts';
import { parseService } from '../../../operator/kube/parse-service.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { FINALIZER } from '../../../operator/model/names.ts';
import { aRawService } from '../../builders/a-raw-service.ts';
import { FakeApiClient, NO_ANSWER } from '../../fakes/fake-api-client.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';

const KEY = serviceKey('shop', 'web');
const SERVICES = '/api/v1/namespaces/shop/services';
const parse = (object: Parameters<typeof parseService>[0]) => parseService(object, { claimUnclassed: false });

describe('DepartedServices', () => {
  let clock: FakeClock;
  let api: FakeApiClient;
  let departed: DepartedServices;
  let changes: number;

  beforeEach(() => {
    clock = new FakeClock();
    api = new FakeApiClient();
    changes = 0;
    departed = new DepartedServices({
      api,
      clock,
      log: new FakeLog(),
      parse,
      isWatched: () => false,
      onChange: () => {
        changes += 1;
      },
    });
  });

  afterEach(() => departed.stop());

  function store(finalizers: string[]): void {
    const raw = aRawService({ metadata: { finalizers }, spec: { type: 'ClusterIP', loadBalancerClass: undefined } });
    api.store.create(SERVICES, JSON.parse(JSON.stringify(raw)));
  }

  it('believes that a Service is gone when the API server says so', async () => {
    void departed.look(KEY, parse(aRawService()));
    assert.equal(departed.get(KEY)?.wanted, true);
    await clock.settle();
    assert.equal(departed.get(KEY), undefined);
    assert.equal(changes, 1);
  });

  it('keeps it as last seen while the API server does not answer', async () => {
    api.before = () => NO_ANSWER;
    void departed.look(KEY, parse(aRawService()));
    await clock.advance(60_000);
    assert.equal(departed.get(KEY)?.wanted, true);
    assert.equal(changes, 0);
    api.before = () => undefined;
    await clock.advance(60_000);
    assert.equal(departed.get(KEY), undefined);
  });

  it('keeps it, not wanted, until our finalizer is off', async () => {
    store([FINALIZER]);
    void departed.look(KEY, parse(aRawService()));
    await clock.settle();
    assert.equal(departed.get(KEY)?.wanted, false);
    assert.equal([...departed.values()].length, 1);
    api.store.mergePatch(SERVICES, 'web', { metadata: { finalizers: null } });
    departed.reread(KEY);
    await clock.settle();
    assert.equal(departed.get(KEY), undefined);
    assert.equal(changes, 2);
    assert.equal(clock.pending, 0);
  });

  it('sees by itself that somebody else took it off', async () => {
    store([FINALIZER]);
    void departed.look(KEY, parse(aRawService()));
    await clock.advance(300_000);
    const reads = api.calls.length;
    assert.ok(reads < 20, `${reads} reads in five minutes`);
    api.store.mergePatch(SERVICES, 'web', { metadata: { finalizers: null } });
    await clock.advance(60_000);
    assert.equal(departed.get(KEY), undefined);
  });

  it('does not lose a wish to reread that comes during a read', async () => {
    store([FINALIZER]);
    let answer = (): void => {};
    api.before = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    void departed.look(KEY, parse(aRawService()));
    await clock.settle();
    api.store.mergePatch(SERVICES, 'web', { metadata: { finalizers: null } });
    departed.reread(KEY);
    api.before = () => undefined;
    answer();
    await clock.settle();
    assert.equal(departed.get(KEY), undefined);
  });

  it('forgets it when the watch shows it again, also during a read', async () => {
    store([FINALIZER]);
    let answer = (): void => {};
    api.before = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    void departed.look(KEY, parse(aRawService()));
    await clock.settle();
    departed.forget(KEY);
    answer();
    await clock.settle();
    assert.equal(departed.get(KEY), undefined);
    assert.equal(changes, 0);
    assert.equal(clock.pending, 0);
  });
});
