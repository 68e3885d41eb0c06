import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import type { ClusterEvent, DirectorStatus } from '../../../operator/controllers/ports.ts';
import { type ApiClient, createApiClient, type PatchType } from '../../../operator/kube/api-client.ts';
import { type ClusterCache, createClusterCache } from '../../../operator/kube/cluster-cache.ts';
import { createEventRecorder } from '../../../operator/kube/event-recorder.ts';
import { loadKubeConfig, type OpKubeConfig } from '../../../operator/kube/kube-config.ts';
import { asArray, asRecord } from '../../../operator/kube/kube-object.ts';
import { createClusterWriter } from '../../../operator/kube/write-status.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { FINALIZER, LOAD_BALANCER_CLASS } from '../../../operator/model/names.ts';
import { systemClock } from '../../../operator/observe/system-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { type ControlPlane, SERVICE_RANGE, startControlPlane } from '../control-plane.ts';
import { until } from '../until.ts';

const SERVICES = '/api/v1/namespaces/default/services';
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const SECRETS = '/api/v1/namespaces/default/secrets';
const GROUP = '/apis/ipvs-operator.io/v1alpha1';
const CRDS = new URL('../../../crds', import.meta.url).pathname;

describe('the cluster cache on a real API server', function () {
  this.timeout(120_000);
  let plane: ControlPlane;
  let config: OpKubeConfig;
  let api: ApiClient;
  let cache: ClusterCache;
  const log = new FakeLog();
  const events: ClusterEvent[] = [];
  const privateKey = newPrivateKey();
  /** What was told while the cache started. */
  let told: string[] = [];

  before(async () => {
    plane = await startControlPlane();
    config = loadKubeConfig({ kubeconfig: plane.kubeconfig, userAgent: 'test' });
    api = createApiClient(config);
    await plane.kubectl(['apply', '-k', CRDS]);
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
    await makeService('early');
    await makeService('unclassed', { loadBalancerClass: undefined });
    await makeService('theirs', { loadBalancerClass: 'example.com/other' });
    await makeService('plain', { type: 'ClusterIP', loadBalancerClass: undefined });
    await makeService('changed-while-away', { type: 'ClusterIP', loadBalancerClass: undefined }, [FINALIZER]);
    cache = createClusterCache({
      api,
      namespace: 'default',
      claimUnclassed: false,
      clock: systemClock,
      log,
      onEvent: (event) => events.push(event),
    });
    cache.start();
    await until('the cache has read everything', () => cache.synced());
    told = events.map(({ kind }) => kind);
  });

  beforeEach(() => {
    events.length = 0;
  });

  after(async () => {
    await cache?.stop();
    await config?.close();
    await plane?.stop();
  });

  it('tells nothing before it has read everything, and that first', () => {
    assert.deepEqual(told, ['synced']);
  });

  it('holds our Services only, and one whose type changed while nobody watched', () => {
    const names = [...cache.services()].map(({ name, wanted }) => `${name} ${wanted}`);
    assert.deepEqual(names.sort(), ['changed-while-away false', 'early true']);
  });

  it('sees a Service come, change and go', async () => {
    const key = serviceKey('default', 'web');
    await makeService('web');
    await until('web is in the cache', () => cache.service(key));
    assert.deepEqual(events, [{ kind: 'service', key }]);
    await change(`${SERVICES}/web`, { spec: { externalTrafficPolicy: 'Local' } });
    await until('the policy is in the cache', () => cache.service(key)?.externalTrafficPolicy === 'Local');
    await plane.kubectl(['delete', 'service', 'web']);
    await until('web is out of the cache', () => cache.service(key) === undefined);
    assert.equal(events.length, 3);
  });

  it('keeps a Service whose type changed until our finalizer is off', async () => {
    const key = serviceKey('default', 'retyped');
    await makeService('retyped');
    const writer = newWriter();
    const seen = await until('retyped is in the cache', () => cache.service(key));
    assert.equal(
      (await writer.claimService(seen, { pool: 'public', addresses: ['203.0.113.10' as IpAddress] })).kind,
      'written',
    );
    await until('the claim is in the cache', () => cache.service(key)?.finalizers.includes(FINALIZER));
    await change(`${SERVICES}/retyped`, { spec: { type: 'ClusterIP' } });
    const left = await until('retyped is no longer wanted', () => {
      const service = cache.service(key);
      return service?.wanted === false && service;
    });
    assert.equal(left.deleting, false);
    assert.ok([...cache.services()].includes(left));
    assert.equal((await writer.releaseService(left)).kind, 'written');
    await until('retyped is out of the cache', () => cache.service(key) === undefined);
    assert.ok(events.filter((event) => event.kind === 'service' && event.key === key).length >= 4);
  });

  it('takes a Service back whose type became LoadBalancer again', async () => {
    const key = serviceKey('default', 'there-and-back');
    await makeService('there-and-back', {}, [FINALIZER]);
    await until('it is wanted', () => cache.service(key)?.wanted);
    await change(`${SERVICES}/there-and-back`, { spec: { type: 'ClusterIP' } });
    await until('it is not wanted', () => cache.service(key)?.wanted === false);
    await change(`${SERVICES}/there-and-back`, {
      spec: { type: 'LoadBalancer', loadBalancerClass: LOAD_BALANCER_CLASS },
    });
    await until('it is wanted again', () => cache.service(key)?.wanted);
    assert.equal([...cache.services()].filter((service) => service.key === key).length, 1);
  });

  it('sees a Service that was deleted and made again as two', async () => {
    const key = serviceKey('default', 'again');
    await makeService('again');
    const first = await until('it is in the cache', () => cache.service(key)?.uid);
    await plane.kubectl(['delete', 'service', 'again']);
    await makeService('again');
    await until('the second is in the cache', () => {
      const uid = cache.service(key)?.uid;
      return uid !== undefined && uid !== first;
    });
  });

  it('folds EndpointSlices, and tells only of the Service concerned', async () => {
    const key = serviceKey('default', 'early');
    await makeSlice('early-a', 'early', ['node1', 'node1', 'node2']);
    await makeSlice('early-b', 'early', ['node2']);
    await makeSlice('plain-a', 'plain', ['node1']);
    await until('both slices are folded', () => cache.endpoints(key).readyByNode.get('node2') === 2);
    assert.deepEqual(Object.fromEntries(cache.endpoints(key).readyByNode), { node1: 2, node2: 2 });
    assert.ok(events.every((event) => event.kind === 'endpoints' && event.key === key));
    await plane.kubectl(['delete', 'endpointslice', 'early-b']);
    await until('the slice is taken out', () => cache.endpoints(key).readyByNode.get('node2') === 1);
  });

  it('tells of nodes when something relevant changed, not on a heartbeat', async () => {
    const node = '/api/v1/nodes/node1';
    assert.ok((await api.create('/api/v1/nodes', { metadata: { name: 'node1' } })).ok);
    const addresses = [{ type: 'InternalIP', address: '192.0.2.21' }];
    await change(`${node}/status`, { status: { addresses } });
    await until('the address is in the cache', () => [...cache.nodes()][0]?.internalIPs[0] === '192.0.2.21');
    assert.equal([...cache.nodes()][0]?.hasBeenReady, false);
    const reportReady = (status: string, time: string) => {
      const conditions = [{ type: 'Ready', status, lastHeartbeatTime: time, lastTransitionTime: time }];
      return change(`${node}/status`, { status: { conditions } });
    };
    await reportReady('True', '2026-01-01T00:00:00Z');
    await until('the node has been Ready', () => [...cache.nodes()][0]?.hasBeenReady);
    events.length = 0;
    await reportReady('True', '2026-01-01T00:00:10Z');
    await reportReady('False', '2026-01-01T00:01:00Z');
    await change(node, { metadata: { labels: { zone: 'a' } } });
    await until('the label is in the cache', () => [...cache.nodes()][0]?.labels.zone === 'a');
    assert.deepEqual(events, [{ kind: 'nodes' }]);
    assert.equal([...cache.nodes()][0]?.hasBeenReady, true);
    events.length = 0;
    await reportReady('Unknown', '2026-01-01T00:02:00Z');
    await until('the node is silent', () => [...cache.nodes()][0]?.silent);
    assert.deepEqual(events, [{ kind: 'nodes' }]);
    assert.equal([...cache.nodes()][0]?.hasBeenReady, true);
  });

  it('reads namespaces for their labels', async () => {
    await plane.kubectl(['create', 'namespace', 'team']);
    await plane.kubectl(['label', 'namespace', 'team', 'tier=gold']);
    await until('the label is in the cache', () => cache.namespaceLabels('team')?.tier === 'gold');
    assert.ok(events.some((event) => event.kind === 'namespace' && event.name === 'team'));
    assert.equal(cache.namespaceLabels('no-such'), undefined);
  });

  it('reads from which ranges cluster IPs are taken', async () => {
    const found = () => [...cache.serviceRanges()].map(({ name, cidrs }) => `${name}: ${cidrs.join()}`).sort();
    await until('the range of the API server is in the cache', () => found().includes(`kubernetes: ${SERVICE_RANGE}`));
    events.length = 0;
    const object = { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata: { name: 'more' } };
    await plane.kubectl(['apply', '-f', '-'], JSON.stringify({ ...object, spec: { cidrs: ['198.51.100.0/24'] } }));
    await until('the second range is in the cache', () => found().includes('more: 198.51.100.0/24'));
    assert.ok(events.some(({ kind }) => kind === 'serviceRanges'));
  });

  it('hands out private keys, and says why it cannot', async () => {
    await until('there is no Secret yet', () => cache.privateKey('front').ok === false);
    await makeSecret('front', privateKey);
    await until('the key is in the cache', () => cache.privateKey('front').ok);
    assert.deepEqual(events, [{ kind: 'secret', name: 'front' }]);
    assert.deepEqual(cache.privateKey('front'), { ok: true, privateKey });
    await makeSecret('broken', 'not a key');
    const lookup = await until('the broken Secret is in the cache', () => {
      const found = cache.privateKey('broken');
      return !found.ok && found.reason === 'SecretUnreadable' && found;
    });
    assert.match(lookup.message, /default\/broken holds no private key under ssh-privatekey/);
    const missing = cache.privateKey('none');
    assert.ok(!missing.ok && missing.reason === 'SecretMissing');
    assert.match(missing.message, /There is no Secret default\/none of type kubernetes.io\/ssh-auth/);
  });

  it('reads pools and directors; our own status writes are no news', async () => {
    await makeOwn('loadbalancerpools', 'LoadBalancerPool', 'public', {
      addresses: ['203.0.113.0/28'],
      directors: { selector: {} },
    });
    await until('the pool is in the cache', () => cache.pool('public')?.ok);
    await makeOwn('directors', 'Director', 'front-1', directorSpec);
    await until('the director is in the cache', () => cache.director('front-1')?.ok);
    assert.deepEqual(events, [
      { kind: 'pool', name: 'public' },
      { kind: 'director', name: 'front-1' },
    ]);
    events.length = 0;
    assert.equal((await newWriter().writeDirectorStatus('front-1', directorStatus)).kind, 'written');
    await until('the status is in the cache', () => cache.stored('Director', 'front-1')?.status);
    assert.deepEqual(events, []);
  });

  it('writes a status once, and removes what is no longer there', async () => {
    const path = `${GROUP}/directors/front-1`;
    const before = await stored(path);
    assert.deepEqual(await newWriter().writeDirectorStatus('front-1', directorStatus), { kind: 'unchanged' });
    const blind = createClusterWriter({
      api,
      clock: systemClock,
      log,
      cache: { stored: () => undefined, reread: () => {} },
    });
    assert.deepEqual(await blind.writeDirectorStatus('front-1', directorStatus), { kind: 'unchanged' });
    assert.equal((await stored(path)).metadata.resourceVersion, before.metadata.resourceVersion);
    const { helper: _, ...without } = directorStatus;
    assert.equal((await newWriter().writeDirectorStatus('front-1', without)).kind, 'written');
    const { status } = await stored(path);
    assert.equal(status.helper, undefined);
    assert.equal(status.message, directorStatus.message);
    assert.deepEqual(await newWriter().writeDirectorStatus('no-such', directorStatus), { kind: 'gone' });
  });

  it('owns its status as field manager ipvs-operator, and leaves a condition of another manager alone', async () => {
    const path = `${GROUP}/directors/front-1`;
    const theirs = {
      type: 'example.com/Racked',
      status: 'True',
      reason: 'Racked',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    const { status } = await stored(path);
    const conditions = [...asArray(status.conditions), theirs];
    const patch = { status: { conditions } };
    const query = { fieldManager: 'inventory' };
    const answer = await api.patch(`${path}/status`, 'application/merge-patch+json', patch, { query });
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
    const changed = { ...directorStatus, message: 'Something else.' };
    const writer = newWriter();
    assert.equal((await writer.writeDirectorStatus('front-1', changed)).kind, 'written');
    assert.deepEqual(await writer.writeDirectorStatus('front-1', changed), { kind: 'unchanged' });
    const after = await stored(path);
    assert.deepEqual(asArray(after.status.conditions).at(-1), theirs);
    const managers = asArray(asRecord(after.metadata).managedFields).map(asRecord);
    const ours = managers.filter(({ manager }) => manager === 'ipvs-operator');
    assert.deepEqual(
      ours.map(({ operation, subresource }) => [operation, subresource]),
      [['Apply', 'status']],
    );
  });

  it('shows events about a director in kubectl describe', async () => {
    const recorder = createEventRecorder({ api, clock: systemClock, log, instance: 'operator-0' });
    const { uid } = (await stored(`${GROUP}/directors/front-1`)).metadata;
    recorder.record({ kind: 'Director', name: 'front-1', uid }, 'Warning', 'Unreachable', 'No route to 192.0.2.2.');
    await until('the event is described', async () =>
      (await plane.kubectl(['describe', 'director', 'front-1'])).includes('No route to 192.0.2.2.'),
    );
    await recorder.stop();
  });

  it('never logs a private key', () => {
    assert.ok(!JSON.stringify(log.lines).includes('PRIVATE KEY'));
  });

  const directorSpec = {
    address: '192.0.2.2',
    hostKeys: [`ssh-ed25519 ${'A'.repeat(68)}`],
    credentials: { secretName: 'front' },
    tableOwner: 'prod',
  };
  const directorStatus: DirectorStatus = {
    observedGeneration: 1,
    conditions: [{ type: 'Ready', status: 'True', reason: 'InSync', message: 'All is well.', observedGeneration: 1 }],
    helper: { version: '0.1.0', protocol: '1', capabilities: ['rr', 'mh'] },
    virtualServers: 1,
    realServers: 2,
    draining: 1,
    foreign: 0,
    orphans: 0,
    connections: 3,
    totalWrites: 4,
    message: 'Holds 1 virtual server.',
  };

  function newWriter() {
    return createClusterWriter({ api, clock: systemClock, log, cache });
  }

  async function made(path: string, body: unknown): Promise<void> {
    const answer = await api.create(path, body);
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
  }

  async function change(path: string, patch: unknown): Promise<void> {
    const strategic = 'application/strategic-merge-patch+json' as PatchType;
    const answer = await api.patch(path, strategic, patch);
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
  }

  async function stored(path: string): Promise<{
    metadata: { uid: string; resourceVersion: string };
    status: Record<string, unknown>;
  }> {
    const answer = await api.get(path);
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
    return answer.body as Awaited<ReturnType<typeof stored>>;
  }

  function makeService(name: string, spec: object = {}, finalizers: string[] = []): Promise<void> {
    const ours = { type: 'LoadBalancer', loadBalancerClass: LOAD_BALANCER_CLASS, ports: [{ port: 80 }] };
    return made(SERVICES, { metadata: { name, finalizers }, spec: { ...ours, ...spec } });
  }

  function makeSlice(name: string, service: string, nodes: string[]): Promise<void> {
    return made(SLICES, {
      metadata: { name, labels: { 'kubernetes.io/service-name': service } },
      addressType: 'IPv4',
      ports: [{ port: 8080 }],
      endpoints: nodes.map((nodeName, i) => ({
        addresses: [`198.51.100.${i + 1}`],
        nodeName,
        conditions: { ready: true },
      })),
    });
  }

  function makeSecret(name: string, key: string): Promise<void> {
    return made(SECRETS, { metadata: { name }, type: 'kubernetes.io/ssh-auth', stringData: { 'ssh-privatekey': key } });
  }

  function makeOwn(plural: string, kind: string, name: string, spec: object): Promise<void> {
    return made(`${GROUP}/${plural}`, { apiVersion: 'ipvs-operator.io/v1alpha1', kind, metadata: { name }, spec });
  }
});

function newPrivateKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}
