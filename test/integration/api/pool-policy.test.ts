import assert from 'node:assert/strict';
import { type ApiClient, createApiClient } from '../../../operator/kube/api-client.ts';
import type { ClusterCache } from '../../../operator/kube/cluster-cache.ts';
import { loadKubeConfig, type OpKubeConfig } from '../../../operator/kube/kube-config.ts';
import { asArray, asRecord } from '../../../operator/kube/kube-object.ts';
import { createClusterWriter } from '../../../operator/kube/write-status.ts';
import { POOL_FINALIZER } from '../../../operator/model/names.ts';
import { systemClock } from '../../../operator/observe/system-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { until } from '../until.ts';

const INSTALLATION = new URL('../../../config/default', import.meta.url).pathname;
const POOL = '/apis/ipvs-operator.io/v1alpha1/loadbalancerpools/public';
const MERGE_PATCH = 'application/merge-patch+json';
const OTHERS = 'example.com/kept';

describe('what the operator may change of a pool', function () {
  this.timeout(120_000);
  let plane: ControlPlane;
  let config: OpKubeConfig;
  let api: ApiClient;

  before(async () => {
    plane = await startControlPlane();
    await plane.kubectl(['apply', '-k', INSTALLATION]);
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
    await plane.kubectl(['apply', '-f', '-'], JSON.stringify(publicPool));
    const token = await plane.kubectl(['create', 'token', 'ipvs-operator', '--namespace', 'ipvs-system']);
    config = loadKubeConfig({ kubeconfig: plane.kubeconfigFor(token.trim()), userAgent: 'test' });
    api = createApiClient(config);
    // The API server reads a new policy within a second or so; until then it lets everything through.
    await until('the policy holds', async () => {
      const answer = await api.patch(POOL, MERGE_PATCH, { spec: { paused: true } });
      return !answer.ok && answer.message.includes('ipvs-operator-pools');
    });
    await plane.kubectl(['replace', '-f', '-'], JSON.stringify(publicPool));
  });

  after(async () => {
    await config?.close();
    await plane?.stop();
  });

  const refused: readonly { readonly what: string; readonly patch: object; readonly says: RegExp }[] = [
    { what: 'its addresses', patch: { spec: { addresses: ['203.0.113.0/24'] } }, says: /not its spec/ },
    { what: 'a field that is not set', patch: { spec: { paused: true } }, says: /not its spec/ },
    { what: 'its labels', patch: { metadata: { labels: { site: 'elsewhere' } } }, says: /not its labels/ },
    {
      what: 'its annotations',
      patch: { metadata: { annotations: { note: 'x' } } },
      says: /not its labels, annotations/,
    },
    {
      what: 'its owners, by which the garbage collector would delete it',
      patch: { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'gone', uid: 'gone' }] } },
      says: /annotations or owners/,
    },
    { what: 'the finalizer of somebody else', patch: { metadata: { finalizers: null } }, says: /and no other/ },
    {
      what: 'its finalizer and its spec together',
      patch: { metadata: { finalizers: [OTHERS, POOL_FINALIZER] }, spec: { paused: true } },
      says: /not its spec/,
    },
  ];
  for (const { what, patch, says } of refused) {
    it(`not ${what}`, async () => {
      const before = await plane.kubectl(['get', 'lbpool', 'public', '--output=json']);
      const answer = await api.patch(POOL, MERGE_PATCH, patch);
      assert.ok(!answer.ok);
      assert.match(answer.message, says);
      assert.equal(await plane.kubectl(['get', 'lbpool', 'public', '--output=json']), before);
    });
  }

  it('its own finalizer, there and back, as the writer does it', async () => {
    const cache = { stored: () => undefined, reread: () => undefined } satisfies Pick<
      ClusterCache,
      'stored' | 'reread'
    >;
    const writer = createClusterWriter({ api, clock: systemClock, log: new FakeLog(), cache });
    assert.deepEqual(await writer.markPool('public', true), { kind: 'written' });
    assert.deepEqual(await finalizers(), [OTHERS, POOL_FINALIZER]);
    assert.deepEqual(await writer.markPool('public', true), { kind: 'unchanged' });
    assert.deepEqual(await writer.markPool('public', false), { kind: 'written' });
    assert.deepEqual(await finalizers(), [OTHERS]);
  });

  it('its status', async () => {
    const status = { observedGeneration: 1 };
    const body = { apiVersion: publicPool.apiVersion, kind: publicPool.kind, metadata: { name: 'public' }, status };
    const query = { fieldManager: 'test', force: 'true' };
    const answer = await api.patch(`${POOL}/status`, 'application/apply-patch+yaml', body, { query });
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
  });

  it('the administrator may change everything', async () => {
    await plane.kubectl(['patch', 'lbpool', 'public', '--type=merge', '--patch={"spec":{"paused":true}}']);
  });

  async function finalizers(): Promise<readonly unknown[]> {
    const answer = await api.get(POOL);
    return asArray(asRecord(asRecord(answer.ok && answer.body).metadata).finalizers);
  }
});

const publicPool = {
  apiVersion: 'ipvs-operator.io/v1alpha1',
  kind: 'LoadBalancerPool',
  metadata: { name: 'public', finalizers: [OTHERS] },
  spec: { addresses: ['203.0.113.0/28'], directors: { selector: {} } },
};
