import assert from 'node:assert/strict';
import { ResumedWatch } from '../../bench/resumed-watch.ts';
import { FakeApiServer } from '../../fakes/fake-api-server.ts';
import { until } from '../until.ts';

const PATH = '/api/v1/things';

describe('the watch of a measurement', function () {
  this.timeout(30_000);
  let server: FakeApiServer;
  let watch: ResumedWatch;
  const seen: string[] = [];

  beforeEach(async () => {
    seen.length = 0;
    server = await FakeApiServer.start();
    put('before');
    watch = new ResumedWatch(server.config(), PATH, (phase, { metadata }) => seen.push(`${phase} ${metadata.name}`));
    await watch.open();
    await until('the watch is open', () => server.openWatches === 1);
  });

  afterEach(async () => {
    watch.stop();
    await server.stop();
  });

  for (const [what, end] of [
    ['ended by the server', () => server.endWatches()],
    ['reset', () => server.resetConnections()],
  ] as const) {
    it(`goes on where it was after it was ${what}`, async () => {
      put('first');
      await until('the first is seen', () => seen.length === 2);
      end();
      await until('the watch is closed', () => server.openWatches === 0);
      put('meanwhile');
      await until('the watch has told what came meanwhile', () => seen.length === 3);
      assert.deepEqual(seen, ['ADDED before', 'ADDED first', 'ADDED meanwhile']);
    });
  }

  it('begins with everything there is when its version has expired', async () => {
    server.endWatches();
    await until('the watch is closed', () => server.openWatches === 0);
    server.store.compact();
    put('after');
    await until('the watch has told of everything', () => seen.includes('ADDED after'));
    assert.deepEqual(seen, ['ADDED before', 'ADDED before', 'ADDED after']);
  });

  function put(name: string): void {
    server.store.create(PATH, { metadata: { name } });
  }
});
