import assert from 'node:assert/strict';
import type { WriteResult } from '../../../operator/controllers/ports.ts';
import { type ApiClient, createApiClient } from '../../../operator/kube/api-client.ts';
import { loadKubeConfig, type OpKubeConfig } from '../../../operator/kube/kube-config.ts';
import type { KubeObject } from '../../../operator/kube/kube-object.ts';
import { parseService } from '../../../operator/kube/parse-service.ts';
import { createClusterWriter } from '../../../operator/kube/write-status.ts';
import type { AllocationRecord } from '../../../operator/model/allocation-record.ts';
import type { Condition } from '../../../operator/model/condition.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import type { Ingress, LoadBalancedService } from '../../../operator/model/load-balanced-service.ts';
import { ANNOTATION, CORE_FINALIZER, FINALIZER, SERVICE_CONDITION } from '../../../operator/model/names.ts';
import { systemClock } from '../../../operator/observe/system-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';

const VIP: Ingress = { ip: '203.0.113.10' as IpAddress, ipMode: 'VIP' };
const RECORD: AllocationRecord = { pool: 'public', addresses: ['203.0.113.10' as IpAddress] };
const PROGRAMMED: Condition = {
  type: SERVICE_CONDITION.programmed,
  status: 'True',
  reason: 'Programmed',
  message: 'On 2 of 2 directors.',
  observedGeneration: 1,
};

describe('writing to Services of a real API server', function () {
  this.timeout(120_000);
  let plane: ControlPlane;
  let config: OpKubeConfig;
  let api: ApiClient;
  const cache = { stored: () => undefined, reread: () => {} };
  let now = Date.UTC(2026, 0, 2);
  const clock = { ...systemClock, now: () => now };
  const writer = () => createClusterWriter({ api, clock, log: new FakeLog(), cache });

  before(async () => {
    plane = await startControlPlane();
    config = loadKubeConfig({ kubeconfig: plane.kubeconfig, userAgent: 'test' });
    api = createApiClient(config);
  });

  after(async () => {
    await config?.close();
    await plane?.stop();
  });

  it('claims with both finalizers and the annotation, and leaves those of others', async () => {
    await makeService('claim', { finalizers: ['example.com/other'], annotations: { 'example.com/note': 'kept' } });
    assert.deepEqual(await writer().claimService(await read('claim'), RECORD), written);
    const { finalizers, annotations } = (await raw('claim')).metadata;
    assert.deepEqual(finalizers, ['example.com/other', CORE_FINALIZER, FINALIZER]);
    assert.equal(annotations?.[ANNOTATION.allocatedFromPool], 'public');
    assert.equal(annotations?.[ANNOTATION.allocatedAddresses], '203.0.113.10');
    assert.deepEqual((await read('claim')).record, RECORD);
    assert.equal(annotations?.['example.com/note'], 'kept');
  });

  it('claims again without a write', async () => {
    const before = (await raw('claim')).metadata.resourceVersion;
    assert.deepEqual(await writer().claimService(await read('claim'), RECORD), { kind: 'unchanged' });
    assert.equal((await raw('claim')).metadata.resourceVersion, before);
  });

  it('removes a record that is not true, and leaves the rest', async () => {
    await makeService('forged', { finalizers: ['example.com/other'] });
    await writer().claimService(await read('forged'), RECORD);
    await plane.kubectl(['annotate', 'service', 'forged', 'example.com/note=kept']);
    assert.deepEqual(await writer().disclaimService(await read('forged')), written);
    const { finalizers, annotations } = (await raw('forged')).metadata;
    assert.deepEqual(finalizers, ['example.com/other', CORE_FINALIZER, FINALIZER]);
    assert.deepEqual(annotations, { 'example.com/note': 'kept' });
    assert.deepEqual(await writer().disclaimService(await read('forged')), { kind: 'unchanged' });
  });

  it('answers conflict when somebody else wrote meanwhile', async () => {
    await makeService('contended');
    const seen = await read('contended');
    await plane.kubectl(['label', 'service', 'contended', 'touched=yes']);
    assert.deepEqual(await writer().claimService(seen, RECORD), { kind: 'conflict' });
    assert.deepEqual((await raw('contended')).metadata.finalizers ?? [], []);
  });

  it('answers gone for a Service that no longer exists, or is another of the same name', async () => {
    await makeService('gone');
    const seen = await read('gone');
    await plane.kubectl(['delete', 'service', 'gone']);
    assert.deepEqual(await writer().claimService(seen, RECORD), { kind: 'gone' });
    const told = { ...seen, conditions: [PROGRAMMED] };
    const none = { ingress: [VIP], conditions: [] };
    // Without a look before, the uid is what the server refuses: the object would have to be made.
    assert.deepEqual(await writer().writeServiceStatus(seen, none), { kind: 'conflict' });
    assert.deepEqual(await writer().writeServiceStatus(told, none), { kind: 'gone' });
    await makeService('gone');
    assert.deepEqual(await writer().writeServiceStatus(seen, none), { kind: 'gone' });
    assert.deepEqual(await writer().writeServiceStatus(told, none), { kind: 'gone' });
    assert.deepEqual(await writer().releaseService({ ...seen, ingress: [VIP] }), { kind: 'conflict' });
  });

  it('publishes address and condition, and nothing the second time', async () => {
    await makeService('status');
    const status = { ingress: [VIP], conditions: [PROGRAMMED] };
    assert.deepEqual(await writer().writeServiceStatus(await read('status'), status), written);
    const stored = await raw('status');
    assert.deepEqual((await read('status')).ingress, [VIP]);
    assert.deepEqual((await read('status')).conditions, [PROGRAMMED]);
    assert.deepEqual(await writer().writeServiceStatus(await read('status'), status), { kind: 'unchanged' });
    assert.equal((await raw('status')).metadata.resourceVersion, stored.metadata.resourceVersion);
  });

  it('finds by reading what a stale view would have written again', async () => {
    await makeService('stale');
    await writer().writeServiceStatus(await read('stale'), { ingress: [], conditions: [PROGRAMMED] });
    const stale = await read('stale');
    const status = { ingress: [VIP], conditions: [PROGRAMMED] };
    await writer().writeServiceStatus(stale, status);
    const before = (await raw('stale')).metadata.resourceVersion;
    assert.deepEqual(await writer().writeServiceStatus(stale, status), { kind: 'unchanged' });
    assert.equal((await raw('stale')).metadata.resourceVersion, before);
  });

  it('keeps conditions of others, and lastTransitionTime until the status of a condition changes', async () => {
    await makeService('conditions');
    await patchStatus('conditions', { conditions: [foreignCondition] });
    await writer().writeServiceStatus(await read('conditions'), { ingress: [], conditions: [PROGRAMMED] });
    const since = await transitionTime('conditions');
    now += 60_000;
    const reworded = { ...PROGRAMMED, message: 'On 1 of 2 directors.' };
    await writer().writeServiceStatus(await read('conditions'), { ingress: [], conditions: [reworded] });
    assert.equal(await transitionTime('conditions'), since);
    const failed: Condition = { ...PROGRAMMED, status: 'False', reason: 'NoDirector' };
    await writer().writeServiceStatus(await read('conditions'), { ingress: [], conditions: [failed] });
    assert.notEqual(await transitionTime('conditions'), since);
    const types = (await conditionsOf('conditions')).map(({ type }) => type);
    assert.deepEqual(types.sort(), ['example.com/Other', PROGRAMMED.type].sort());
  });

  it('takes an address over that somebody else wrote', async () => {
    await makeService('foreign');
    await patchStatus('foreign', { loadBalancer: { ingress: [{ ip: '192.0.2.99' }] } });
    await writer().writeServiceStatus(await read('foreign'), { ingress: [VIP], conditions: [] });
    assert.deepEqual((await read('foreign')).ingress, [VIP]);
    await patchStatus('foreign', { loadBalancer: { ingress: [{ ip: '192.0.2.99' }] } });
    await writer().writeServiceStatus(await read('foreign'), { ingress: [], conditions: [] });
    assert.deepEqual((await read('foreign')).ingress, []);
  });

  it('names the field manager that had written to what is ours, unless it has only removed something', async () => {
    await makeService('fought');
    const status = { ingress: [VIP], conditions: [PROGRAMMED] };
    assert.deepEqual(await writer().writeServiceStatus(await read('fought'), status), written);
    const condition = { ...PROGRAMMED, status: 'False', lastTransitionTime: '2026-01-01T00:00:00Z' };
    const named = { kind: 'written', otherWriter: 'other-lb' };
    for (const [overwrite, expected] of [
      [{ loadBalancer: { ingress: [{ ip: '192.0.2.99' }] } }, named],
      [{ conditions: [condition] }, named],
      [{ loadBalancer: null }, written],
    ] as const) {
      await patchStatus('fought', overwrite, 'other-lb');
      assert.deepEqual(await writer().writeServiceStatus(await read('fought'), status), expected);
      const { ingress, conditions } = await read('fought');
      assert.deepEqual({ ingress, conditions }, status);
    }
  });

  it('keeps the ipMode that was asked for', async () => {
    await makeService('proxy');
    const ingress: Ingress[] = [{ ...VIP, ipMode: 'Proxy' }];
    await writer().writeServiceStatus(await read('proxy'), { ingress, conditions: [] });
    assert.deepEqual((await read('proxy')).ingress, ingress);
  });

  it('releases: finalizers, annotation, address and conditions go, those of others stay', async () => {
    await makeService('release', { finalizers: ['example.com/other'] });
    await patchStatus('release', { conditions: [foreignCondition] });
    await writer().claimService(await read('release'), RECORD);
    await writer().writeServiceStatus(await read('release'), { ingress: [VIP], conditions: [PROGRAMMED] });
    const seen: string[] = [];
    const noting: ApiClient = {
      ...api,
      patch: async (...of) => {
        const answer = await api.patch(...of);
        if (answer.ok) seen.push((answer.body as KubeObject).metadata.resourceVersion);
        return answer;
      },
    };
    const service = await read('release');
    const released = await createClusterWriter({ api: noting, clock, log: new FakeLog(), cache }).releaseService(
      service,
    );
    assert.equal(seen.length, 2);
    assert.deepEqual(released, { kind: 'written', between: seen[0] }, 'the version between the two writes is told');
    const { metadata } = await raw('release');
    assert.deepEqual(metadata.finalizers, ['example.com/other']);
    assert.equal(metadata.annotations, undefined);
    assert.deepEqual(await conditionsOf('release'), [foreignCondition]);
    assert.deepEqual((await raw('release')).status, { loadBalancer: {}, conditions: [foreignCondition] });
  });

  it('lets a deleted Service go', async () => {
    await makeService('deleted');
    await writer().claimService(await read('deleted'), RECORD);
    await plane.kubectl(['delete', 'service', 'deleted', '--wait=false']);
    assert.deepEqual(await writer().releaseService(await read('deleted')), written);
    const answer = await api.get('/api/v1/namespaces/default/services/deleted');
    assert.equal(answer.ok ? 200 : answer.status, 404);
  });

  it('releases what was never claimed without a write', async () => {
    await makeService('unclaimed');
    assert.deepEqual(await writer().releaseService(await read('unclaimed')), { kind: 'unchanged' });
  });

  const written: WriteResult = { kind: 'written' };
  const foreignCondition = {
    type: 'example.com/Other',
    status: 'True',
    reason: 'Theirs',
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  };

  async function makeService(name: string, metadata: object = {}): Promise<void> {
    const spec = {
      type: 'LoadBalancer',
      loadBalancerClass: 'ipvs-operator.io/ipvs',
      ports: [{ port: 80, protocol: 'TCP' }],
    };
    const body = { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default', ...metadata }, spec };
    const answer = await api.create('/api/v1/namespaces/default/services', body);
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
  }

  async function raw(name: string): Promise<KubeObject> {
    const answer = await api.get(`/api/v1/namespaces/default/services/${name}`);
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
    return answer.body as KubeObject;
  }

  async function read(name: string): Promise<LoadBalancedService> {
    const service = parseService(await raw(name), { claimUnclassed: false });
    assert.ok(service);
    return service;
  }

  async function patchStatus(name: string, status: object, fieldManager = 'somebody'): Promise<void> {
    const path = `/api/v1/namespaces/default/services/${name}/status`;
    const answer = await api.patch(path, 'application/merge-patch+json', { status }, { query: { fieldManager } });
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
  }

  async function conditionsOf(name: string): Promise<(Condition & { lastTransitionTime: string })[]> {
    const { conditions } = (await raw(name)).status as { conditions?: (Condition & { lastTransitionTime: string })[] };
    return conditions ?? [];
  }

  async function transitionTime(name: string): Promise<string | undefined> {
    return (await conditionsOf(name)).find(({ type }) => type === PROGRAMMED.type)?.lastTransitionTime;
  }
});
