import assert from 'node:assert/strict';
import { type HealthServer, startHealthServer } from '../../../operator/observe/health-server.ts';
import { createMetrics } from '../../../operator/observe/metrics.ts';
import { FakeLog } from '../../fakes/fake-log.ts';

describe('the health server', () => {
  let server: HealthServer;
  let unhealthy: string | undefined;
  let unready: string | undefined;
  const metrics = createMetrics();

  beforeEach(async () => {
    unhealthy = undefined;
    unready = 'The cluster has not been read yet.';
    server = await startHealthServer({
      host: '127.0.0.1',
      port: 0,
      unhealthy: () => unhealthy,
      unready: () => unready,
      metrics,
      log: new FakeLog(),
    });
  });

  afterEach(() => server.close());

  async function get(path: string): Promise<[number, string]> {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return [response.status, await response.text()];
  }

  it('answers as it is asked', async () => {
    assert.deepEqual(await get('/healthz'), [200, 'ok\n']);
    assert.deepEqual(await get('/readyz?verbose'), [503, 'The cluster has not been read yet.\n']);
    unready = undefined;
    unhealthy = 'Stuck.';
    assert.deepEqual(await get('/readyz'), [200, 'ok\n']);
    assert.deepEqual(await get('/healthz'), [503, 'Stuck.\n']);
    assert.equal((await get('/other'))[0], 404);
  });

  it('serves the metrics', async () => {
    metrics.vipsInUse('public', 3);
    const [status, text] = await get('/metrics');
    assert.equal(status, 200);
    assert.match(text, /ipvs_operator_vips_in_use\{pool="public"\} 3/);
  });

  it('says so when the port is taken', async () => {
    const options = { host: '127.0.0.1', port: server.port, unhealthy: () => undefined, unready: () => undefined };
    await assert.rejects(startHealthServer({ ...options, metrics, log: new FakeLog() }), /EADDRINUSE/);
  });
});
