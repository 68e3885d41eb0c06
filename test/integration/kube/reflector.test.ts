import assert from 'node:assert/strict';
import { type ApiClient, createApiClient } from '../../../operator/kube/api-client.ts';
import type { OpKubeConfig } from '../../../operator/kube/kube-config.ts';
import { createReflector, type ObjectChange, type Reflector } from '../../../operator/kube/reflector.ts';
import { FakeApiServer, type Fault } from '../../fakes/fake-api-server.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { HurriedClock } from '../../fakes/hurried-clock.ts';
import { until } from '../until.ts';

const PATH = '/api/v1/things';
const LIST = /^GET \/api\/v1\/things\?limit/;
const WATCH = /watch=true/;

describe('the reflector against a server that misbehaves', function () {
  this.timeout(60_000);
  let server: FakeApiServer;
  let config: OpKubeConfig;
  let api: ApiClient;
  let reflector: Reflector<string>;
  let log: FakeLog;
  const changes: string[] = [];

  beforeEach(async () => {
    server = await FakeApiServer.start();
    config = server.config();
    api = createApiClient(config);
    log = new FakeLog();
    changes.length = 0;
    reflector = createReflector<string>({
      api,
      path: PATH,
      clock: new HurriedClock(100),
      log,
      parse: ({ metadata, value }) => `${metadata.name}=${String(value)}`,
      onChange: ({ before, now }: ObjectChange<string>) => changes.push(`${before ?? ''}>${now ?? ''}`),
    });
  });

  afterEach(async () => {
    await reflector.stop();
    await config.close();
    await server.stop();
  });

  it('lists, then follows', async () => {
    put('a', 1);
    await started();
    put('b', 1);
    put('a', 2);
    server.store.remove(PATH, 'b');
    await holds(['a=2']);
    assert.deepEqual(changes, ['>a=1', '>b=1', 'a=1>a=2', 'b=1>']);
  });

  it('lists in pages of 500, and not again while the watch lives', async () => {
    for (let i = 0; i < 1_200; i++) put(`thing-${i}`, 1);
    await started();
    assert.equal([...reflector.values()].length, 1_200);
    assert.equal(server.requests.filter((line) => LIST.test(line)).length, 3);
    assert.ok(server.requests.every((line) => line.includes('limit=500') || WATCH.test(line)));
  });

  it('begins again when the pages expire half-way, without losing or removing anything', async () => {
    for (let i = 0; i < 1_200; i++) put(`thing-${i}`, 1);
    server.fail(/continue=/, { kind: 'status', code: 410 });
    await started();
    assert.equal([...reflector.values()].length, 1_200);
    assert.ok(changes.every((change) => change.startsWith('>')));
  });

  it('asks for bookmarks and resumes from the last one, not from the list', async () => {
    put('a', 1);
    await started();
    await until('the watch is open', () => server.openWatches === 1);
    server.store.compact();
    const lists = server.requests.filter((line) => LIST.test(line)).length;
    server.bookmark();
    server.endWatches();
    put('a', 2);
    await holds(['a=2']);
    assert.equal(server.requests.filter((line) => LIST.test(line)).length, lists);
    assert.ok(server.requests.some((line) => line.includes('allowWatchBookmarks=true')));
  });

  it('lists again after 410, and tells only what differs', async () => {
    put('a', 1);
    put('b', 1);
    await started();
    await until('the watch is open', () => server.openWatches === 1);
    server.fail(WATCH, { kind: 'silence' }, 1);
    server.resetConnections();
    server.store.remove(PATH, 'b');
    put('c', 1);
    server.store.compact();
    changes.length = 0;
    await holds(['a=1', 'c=1']);
    assert.deepEqual(changes.sort(), ['>c=1', 'b=1>']);
  });

  it('lists again after an ERROR event with code 410', async () => {
    server.fail(WATCH, { kind: 'error event', code: 410 });
    await started();
    await survives();
    assert.equal(server.requests.filter((line) => LIST.test(line)).length, 2);
  });

  it('tells a delete and recreate behind its back as two', async () => {
    put('a', 1);
    await started();
    await until('the watch is open', () => server.openWatches === 1);
    server.fail(WATCH, { kind: 'status', code: 500 });
    server.resetConnections();
    server.store.remove(PATH, 'a');
    put('a', 1);
    server.store.compact();
    await until('the second a is told', () => changes.length === 3);
    assert.deepEqual(changes, ['>a=1', 'a=1>', '>a=1']);
  });

  const faults: [string, Fault][] = [
    ['429 with Retry-After', { kind: 'status', code: 429, retryAfterSeconds: 1 }],
    ['503', { kind: 'status', code: 503 }],
    ['500', { kind: 'status', code: 500 }],
    ['401', { kind: 'status', code: 401 }],
    ['a reset connection', { kind: 'reset' }],
  ];
  for (const [name, fault] of faults) {
    it(`survives ${name} on the list`, async () => {
      server.fail(LIST, fault, 3);
      await started();
      await survives();
    });

    it(`survives ${name} on the watch`, async () => {
      server.fail(WATCH, fault, 3);
      await started();
      await survives();
    });
  }

  it('survives ERROR events that are not 410, and watches that end without a word', async () => {
    server.fail(WATCH, { kind: 'error event', code: 500 }, 2);
    server.fail(WATCH, { kind: 'empty watch' }, 2);
    await started();
    await survives();
  });

  it('notices a watch that is half-open, and recovers', async () => {
    put('a', 1);
    await started();
    await until('the watch is open', () => server.openWatches === 1);
    server.freezeConnections();
    put('a', 2);
    await holds(['a=2']);
    assert.ok(log.lines.some(({ fields }) => /WATCH .* broke off/.test(String(fields.cause))));
  });

  it('survives a parser and a listener that throw', async () => {
    await reflector.stop();
    let throwing = true;
    reflector = createReflector<string>({
      api,
      path: PATH,
      clock: new HurriedClock(100),
      log,
      parse: ({ metadata, value }) => {
        if (value === 'bad') throw new Error('cannot parse');
        return `${metadata.name}=${String(value)}`;
      },
      onChange: () => {
        if (throwing) throw new Error('cannot listen');
      },
    });
    put('a', 1);
    await started();
    throwing = false;
    server.store.update(PATH, { metadata: { name: 'a' }, value: 'bad' });
    put('b', 1);
    await holds(['a=1', 'b=1']);
    assert.deepEqual(
      log.lines.filter(({ level }) => level === 'error').map(({ message }) => message),
      ['A listener of the cluster cache threw', 'An object could not be parsed; it is kept as it was before'],
    );
  });

  it('does not press a server that says 410 to everything', async () => {
    server.fail(WATCH, { kind: 'status', code: 410 }, 1_000);
    reflector.start();
    await until('several lists were tried', () => server.requests.length >= 6);
    assert.ok(log.lines.some(({ fields }) => /expired \(410\)/.test(String(fields.cause))));
  });

  describe('that is older than the collection', () => {
    const NOT_FOUND: Fault = { kind: 'status', code: 404 };
    const DONE_WITHOUT = 'The API server does not serve a resource that is not needed; it is done without';
    const told = () => log.lines.map(({ level, message }) => `${level} ${message}`);

    /** @param factor how much faster the clock runs. */
    async function begin(factor: number): Promise<void> {
      await reflector.stop();
      reflector = createReflector<string>({
        api,
        path: PATH,
        since: 'Kubernetes 1.33',
        clock: new HurriedClock(factor),
        log,
        parse: ({ metadata, value }) => `${metadata.name}=${String(value)}`,
        onChange: ({ before, now }: ObjectChange<string>) => changes.push(`${before ?? ''}>${now ?? ''}`),
      });
      await started();
    }

    it('is done without: that is said once, and it is not asked again and again', async () => {
      server.fail(LIST, NOT_FOUND, Number.POSITIVE_INFINITY);
      await begin(100);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.deepEqual([...reflector.values()], []);
      assert.deepEqual(told(), [`info ${DONE_WITHOUT}`]);
      assert.equal(server.requests.length, 1);
    });

    it('is read when a newer one has taken its place, hours later', async () => {
      put('a', 1);
      server.fail(LIST, NOT_FOUND, 3);
      await begin(100_000);
      await holds(['a=1']);
      assert.deepEqual(changes, ['>a=1']);
      assert.equal(told().filter((line) => line === `info ${DONE_WITHOUT}`).length, 1);
    });

    it('holds nobody up when it may not be read, and is read when it may', async () => {
      put('a', 1);
      server.fail(LIST, { kind: 'status', code: 403 }, 3);
      await begin(1_000);
      assert.ok(reflector.hasSynced());
      await holds(['a=1']);
      assert.equal(told().filter((line) => line.startsWith('warn ')).length, 3);
    });

    it('takes nothing away: what was served before stays', async () => {
      put('a', 1);
      await begin(100);
      await until('the watch is open', () => server.openWatches === 1);
      server.fail(LIST, NOT_FOUND, 2);
      server.fail(WATCH, { kind: 'status', code: 410 });
      server.resetConnections();
      put('b', 1);
      await holds(['a=1', 'b=1']);
      assert.ok(!changes.includes('a=1>'));
      assert.ok(!told().includes(`info ${DONE_WITHOUT}`));
    });
  });

  const moments: [string, () => void, () => boolean][] = [
    ['during a list', () => server.fail(LIST, { kind: 'silence' }), () => server.requests.length === 1],
    [
      'during a back-off',
      () => server.fail(LIST, { kind: 'status', code: 503, retryAfterSeconds: 100 }),
      () => log.lines.length === 1,
    ],
    [
      'while a watch is being opened',
      () => server.fail(WATCH, { kind: 'silence' }),
      () => server.requests.length === 2,
    ],
    ['during a watch', () => {}, () => server.openWatches === 1],
  ];
  for (const [moment, prepare, reached] of moments) {
    it(`leaves no request and no watch when stopped ${moment}`, async () => {
      prepare();
      reflector.start();
      await until(`the reflector is there: ${moment}`, reached);
      await reflector.stop();
      await until('no watch is open', () => server.openWatches === 0);
      const { length } = server.requests;
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(server.requests.length, length);
      put('late', 1);
      assert.deepEqual(changes, []);
    });
  }

  function put(name: string, value: unknown): void {
    const draft = { metadata: { name }, value };
    const answer = server.store.get(PATH, name).ok
      ? server.store.update(PATH, draft)
      : server.store.create(PATH, draft);
    assert.ok(answer.ok);
  }

  async function started(): Promise<void> {
    reflector.start();
    await until('the reflector has synced', () => reflector.hasSynced());
  }

  async function holds(values: readonly string[]): Promise<void> {
    await until(
      `the reflector holds ${values.join(', ')}`,
      () => String([...reflector.values()].sort()) === String(values),
    );
  }

  /** A change made now still arrives, over the watch. */
  async function survives(): Promise<void> {
    await until('a watch is open', () => server.openWatches === 1);
    put('after', 1);
    await holds(['after=1']);
  }
});
