import assert from 'node:assert/strict';
import { type ApiClient, createApiClient } from '../../../operator/kube/api-client.ts';
import type { OpKubeConfig } from '../../../operator/kube/kube-config.ts';
import { FakeApiServer } from '../../fakes/fake-api-server.ts';
import { until } from '../until.ts';

const THING = '/api/v1/things/a';

describe('the API client on real sockets', function () {
  this.timeout(60_000);
  let server: FakeApiServer;
  let config: OpKubeConfig;
  let api: ApiClient;

  beforeEach(async () => {
    server = await FakeApiServer.start();
    config = server.config();
    api = createApiClient(config);
    server.store.create('/api/v1/things', { metadata: { name: 'a' } });
  });

  afterEach(async () => {
    await config.close();
    await server.stop();
  });

  it('keeps its connection for calls in a row', async () => {
    for (let i = 0; i < 50; i++) assert.ok((await api.get(THING)).ok);
    // The next call may begin a moment before the connection of the last one is free again.
    assert.ok(server.connections <= 2, `${server.connections} connections`);
  });

  it('uses at most 16 connections for a burst', async () => {
    const answers = await Promise.all(Array.from({ length: 300 }, () => api.get(THING)));
    assert.ok(answers.every(({ ok }) => ok));
    assert.ok(server.connections <= 16, `${server.connections} connections`);
  });

  it('holds nothing back: with the limit of client-go (5 calls a second) this would take seven minutes', async () => {
    const answers = await Promise.all(Array.from({ length: 2_000 }, () => api.get(THING)));
    assert.equal(answers.filter(({ ok }) => ok).length, 2_000);
  });

  it('recovers with the next call when its connections froze', async () => {
    await Promise.all(Array.from({ length: 16 }, () => api.get(THING)));
    server.freezeConnections();
    const frozen = await api.get(THING, { timeoutMs: 200 });
    assert.equal(frozen.ok ? undefined : frozen.status, 0);
    assert.ok((await api.get(THING, { timeoutMs: 5_000 })).ok);
  });

  it('never lets a call wait for a watch', async () => {
    const life = new AbortController();
    const watches = await Promise.all(Array.from({ length: 40 }, () => api.watch('/api/v1/things', {}, life.signal)));
    assert.ok(watches.every(({ ok }) => ok));
    assert.ok((await api.get(THING, { timeoutMs: 5_000 })).ok);
    life.abort();
    await until('the watches are closed', () => server.openWatches === 0);
  });

  it('tells a refusal from silence', async () => {
    server.fail(/GET/, { kind: 'status', code: 429, retryAfterSeconds: 7 });
    assert.deepEqual(await api.get(THING), {
      ok: false,
      status: 429,
      reason: 'Injected',
      message: `GET ${THING}: injected fault`,
      retryAfterMs: 7_000,
    });
    server.fail(/GET/, { kind: 'reset' });
    const reset = await api.get(THING);
    assert.ok(!reset.ok && reset.status === 0);
    assert.match(reset.message, /GET \/api\/v1\/things\/a: no answer from the API server/);
    await server.stop();
    // The first finds that the idle connection is gone, the second that there is none to be had.
    await api.get(THING);
    const refused = await api.get(THING);
    assert.ok(!refused.ok && refused.status === 0 && refused.reason === 'ECONNREFUSED', JSON.stringify(refused));
    server = await FakeApiServer.start();
  });

  it('says who asks, with which token', async () => {
    await api.get(THING);
    const [headers = {}] = server.headers;
    assert.equal(headers['user-agent'], 'test');
    assert.equal(headers.authorization, 'Bearer a-token');
  });
});
