import assert from 'node:assert/strict';
import type { DirectorStatus, PoolStatus } from '../../../operator/controllers/ports.ts';
import { type ApiClient, createApiClient } from '../../../operator/kube/api-client.ts';
import { type ClusterCache, createClusterCache } from '../../../operator/kube/cluster-cache.ts';
import { createEventRecorder } from '../../../operator/kube/event-recorder.ts';
import { loadKubeConfig, type OpKubeConfig } from '../../../operator/kube/kube-config.ts';
import { asRecord } from '../../../operator/kube/kube-object.ts';
import { createLease } from '../../../operator/kube/lease.ts';
import { createClusterWriter } from '../../../operator/kube/write-status.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { LOAD_BALANCER_CLASS } from '../../../operator/model/names.ts';
import { systemClock } from '../../../operator/observe/system-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { until } from '../until.ts';

const NAMESPACE = 'ipvs-system';
const INSTALLATION = new URL('../../../config/default', import.meta.url).pathname;
const WEB = serviceKey('default', 'web');

describe('the role that the operator is installed with', function () {
  this.timeout(120_000);
  let plane: ControlPlane;
  let config: OpKubeConfig;
  let api: ApiClient;
  let cache: ClusterCache;
  const log = new FakeLog();

  before(async () => {
    plane = await startControlPlane();
    await plane.kubectl(['apply', '-k', INSTALLATION]);
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
    await plane.kubectl(['apply', '-f', '-'], JSON.stringify(OBJECTS));
    const token = await plane.kubectl(['create', 'token', 'ipvs-operator', '--namespace', NAMESPACE]);
    config = loadKubeConfig({ kubeconfig: plane.kubeconfigFor(token.trim()), userAgent: 'test' });
    api = createApiClient(config);
    const onEvent = (): void => {};
    cache = createClusterCache({ api, namespace: NAMESPACE, claimUnclassed: true, clock: systemClock, log, onEvent });
  });

  after(async () => {
    await cache?.stop();
    await config?.close();
    await plane?.stop();
  });

  it('may read all that the cache reads', async () => {
    cache.start();
    await until('the cache has read everything', () => cache.synced());
    assert.ok(cache.service(WEB) && cache.pool('public')?.ok && cache.director('front-1')?.ok);
    await until('the service range is read', () => [...cache.serviceRanges()].length > 0);
    assert.deepEqual(
      log.lines.filter(({ level }) => level !== 'info'),
      [],
    );
  });

  it('may write all that the writer writes', async () => {
    const writer = createClusterWriter({ api, clock: systemClock, log, cache });
    const service = () => {
      const found = cache.service(WEB);
      assert.ok(found);
      return found;
    };
    const written = { kind: 'written' };
    assert.deepEqual(
      await writer.claimService(service(), { pool: 'public', addresses: ['203.0.113.10' as IpAddress] }),
      written,
    );
    await until('the claim is in the cache', () => service().allocatedFromPool === 'public');
    const ingress = [{ ip: '203.0.113.1' as IpAddress, ipMode: 'VIP' }] as const;
    assert.deepEqual(await writer.writeServiceStatus(service(), { ingress, conditions: [] }), written);
    await until('the address is in the cache', () => service().ingress.length === 1);
    assert.deepEqual(await writer.writePoolStatus('public', poolStatus), written);
    assert.deepEqual(await writer.writePoolStatus('public', poolStatus), { kind: 'unchanged' });
    assert.deepEqual(await writer.writeDirectorStatus('front-1', directorStatus), written);
    assert.deepEqual(await writer.writeDirectorStatus('front-1', directorStatus), { kind: 'unchanged' });
    assert.equal((await writer.releaseService(service())).kind, 'written');
    assert.deepEqual(await writer.markPool('public', true), written);
    assert.deepEqual(await writer.markPool('public', false), written);
  });

  it('may record events about Services, pools and directors, and count them', async () => {
    const recorder = createEventRecorder({ api, clock: systemClock, log, instance: 'test' });
    const uid = cache.service(WEB)?.uid ?? '';
    recorder.record(
      { kind: 'Service', namespace: 'default', name: 'web', uid },
      'Normal',
      'Seen',
      'The role is enough.',
    );
    recorder.record({ kind: 'Director', name: 'front-1', uid }, 'Normal', 'Seen', 'The role is enough.');
    await recorder.stop();
    const events = await plane.kubectl(['get', 'events.events.k8s.io', '--output=name']);
    assert.equal(events.trim().split('\n').length, 2);
    const series = { count: 2, lastObservedTime: '2026-01-01T00:00:00.000000Z' };
    const [name] = events.trim().split('\n');
    const path = `/apis/events.k8s.io/v1/namespaces/default/events/${name?.split('/')[1]}`;
    assert.ok((await api.patch(path, 'application/merge-patch+json', { series })).ok);
  });

  it('may lead, and give the lease up', async () => {
    const lease = createLease({
      api,
      namespace: NAMESPACE,
      name: 'ipvs-operator',
      identity: 'test',
      clock: systemClock,
      log,
      onAcquired: () => {},
      onLost: () => {},
    });
    lease.start();
    await until('the lease is ours', () => lease.epoch() !== undefined);
    assert.equal(await lease.raiseEpoch(5), true);
    await lease.stop();
    const holder = [
      'get',
      'lease',
      'ipvs-operator',
      '--namespace',
      NAMESPACE,
      '--output=jsonpath={.spec.holderIdentity}',
    ];
    assert.equal(await plane.kubectl(holder), '');
    assert.deepEqual(
      log.lines.filter(({ level }) => level === 'warn' || level === 'error'),
      [],
    );
  });

  it('may read no Secret of another namespace', async () => {
    for (const path of ['/api/v1/secrets', '/api/v1/namespaces/default/secrets']) {
      const answer = await api.get(path);
      assert.equal(answer.ok ? 200 : answer.status, 403, path);
    }
  });

  it('may not change a Director, nor delete anything', async () => {
    const patch = { spec: { state: 'Drained' } };
    const path = '/apis/ipvs-operator.io/v1alpha1/directors/front-1';
    const answer = await api.patch(path, 'application/merge-patch+json', patch);
    assert.equal(answer.ok ? 200 : answer.status, 403);
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb: 'delete', resource: 'services' } },
    };
    const reviewed = await api.create('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review);
    assert.equal(asRecord(asRecord(reviewed.ok && reviewed.body).status).allowed, false);
  });
});

const conditions = [{ type: 'Ready', status: 'True', reason: 'InSync', message: 'All is well.' }] as const;

const poolStatus: PoolStatus = {
  observedGeneration: 1,
  conditions,
  assignedIPv4: 1,
  assignedIPv6: 0,
  availableIPv4: '15',
  availableIPv6: '0',
  used: 1,
  free: '15',
  directors: [
    {
      name: 'front-1',
      ready: true,
      appliedGeneration: 3,
      tableHash: 'abc',
      virtualServers: 1,
      realServers: 2,
      lastSyncTime: '2026-01-01T00:00:00Z',
      message: '',
    },
  ],
  directorsReady: '1/1',
  virtualServers: 1,
};

const directorStatus: DirectorStatus = {
  observedGeneration: 1,
  conditions,
  helper: { version: '0.1.0', protocol: '1', capabilities: ['rr'] },
  kernel: '6.1.0',
  bootID: 'b',
  virtualServers: 1,
  realServers: 2,
  draining: 0,
  foreign: 0,
  orphans: 0,
  connections: 0,
  totalWrites: 3,
  lastSyncTime: '2026-01-01T00:00:00Z',
  message: '',
};

const OURS = 'ipvs-operator.io/v1alpha1';
const OBJECTS = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default' },
      spec: { type: 'LoadBalancer', loadBalancerClass: LOAD_BALANCER_CLASS, ports: [{ port: 80 }] },
    },
    {
      apiVersion: OURS,
      kind: 'LoadBalancerPool',
      metadata: { name: 'public' },
      spec: { addresses: ['203.0.113.0/28'], directors: { selector: {} } },
    },
    {
      apiVersion: OURS,
      kind: 'Director',
      metadata: { name: 'front-1' },
      spec: {
        address: '192.0.2.2',
        hostKeys: [`ssh-ed25519 ${'A'.repeat(68)}`],
        credentials: { secretName: 'front' },
        tableOwner: 'prod',
      },
    },
  ],
};
