import assert from 'node:assert/strict';
import { type ApiClient, createApiClient } from '../../../operator/kube/api-client.ts';
import { loadKubeConfig, type OpKubeConfig } from '../../../operator/kube/kube-config.ts';
import { createLease, type Lease } from '../../../operator/kube/lease.ts';
import { systemClock } from '../../../operator/observe/system-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { until } from '../until.ts';

interface LeaseSpec {
  readonly holderIdentity: string;
  readonly leaseTransitions: number;
  readonly leaseDurationSeconds: number;
  readonly acquireTime: string;
  readonly renewTime: string;
}

describe('the lease on a real API server', function () {
  this.timeout(120_000);
  let plane: ControlPlane;
  let config: OpKubeConfig;
  let api: ApiClient;
  const running: Lease[] = [];

  before(async () => {
    plane = await startControlPlane();
    config = loadKubeConfig({ kubeconfig: plane.kubeconfig, userAgent: 'test' });
    api = createApiClient(config);
  });

  afterEach(async () => {
    await Promise.all(running.splice(0).map((lease) => lease.stop()));
  });

  after(async () => {
    await config?.close();
    await plane?.stop();
  });

  it('is made when there is none, and the first epoch is 1', async () => {
    const lease = candidate('first', 'a');
    await until('a leads', () => lease.epoch());
    assert.equal(lease.epoch(), 1);
    assert.equal((await spec('first')).holderIdentity, 'a');
    assert.equal((await spec('first')).leaseDurationSeconds, 15);
  });

  it('is renewed without a new epoch', async () => {
    const lease = candidate('renewed', 'a');
    await until('a leads', () => lease.epoch());
    const first = await spec('renewed');
    const later = await until('the lease is renewed', async () => {
      const now = await spec('renewed');
      return now.renewTime !== first.renewTime && now;
    });
    assert.equal(later.acquireTime, first.acquireTime);
    assert.equal(later.leaseTransitions, 1);
    assert.equal(lease.epoch(), 1);
  });

  it('goes to the next at once when given up, one epoch higher', async () => {
    const a = candidate('handed', 'a');
    await until('a leads', () => a.epoch());
    const b = candidate('handed', 'b');
    await a.stop();
    assert.equal(a.epoch(), undefined);
    await until('b leads', () => b.epoch());
    assert.equal(b.epoch(), 2);
  });

  it('has one holder at a time', async () => {
    const candidates = ['a', 'b', 'c'].map((identity) => candidate('contended', identity));
    await until('one of three leads', () => candidates.some((lease) => lease.epoch() !== undefined));
    assert.equal(candidates.filter((lease) => lease.epoch() !== undefined).length, 1);
  });

  it('is lost, and told so, when another took it', async () => {
    const lost: string[] = [];
    const a = candidate('stolen', 'a', (cause) => lost.push(cause));
    await until('a leads', () => a.epoch());
    const thief = { holderIdentity: 'thief', leaseTransitions: 7, leaseDurationSeconds: 3600 };
    await api.patch(path('stolen'), 'application/merge-patch+json', { spec: thief });
    await until('a notices', () => lost.length > 0);
    assert.deepEqual(lost, ['the lease stolen is held by thief']);
    assert.equal(a.epoch(), undefined);
  });

  it('is lost when it was deleted, and begun again: the epoch can then be raised above what directors have seen', async () => {
    const a = candidate('deleted', 'a');
    await until('a leads', () => a.epoch());
    await plane.kubectl(['delete', 'lease', 'deleted']);
    await until('a made it again', async () => (await api.get(path('deleted'))).ok && a.epoch() !== undefined);
    assert.equal(await a.raiseEpoch(41), true);
    assert.equal(a.epoch(), 42);
    assert.equal((await spec('deleted')).leaseTransitions, 42);
    assert.equal(await a.raiseEpoch(41), true);
    assert.equal(a.epoch(), 42);
  });

  it('cannot be raised by one who does not hold it', async () => {
    const a = candidate('raised', 'a');
    await until('a leads', () => a.epoch());
    const b = candidate('raised', 'b');
    assert.equal(await b.raiseEpoch(10), false);
    assert.equal((await spec('raised')).leaseTransitions, 1);
  });

  function candidate(name: string, identity: string, onLost: (cause: string) => void = () => {}): Lease {
    const lease = createLease({
      api,
      namespace: 'default',
      name,
      identity,
      clock: systemClock,
      log: new FakeLog(),
      onAcquired: () => {},
      onLost,
    });
    running.push(lease);
    lease.start();
    return lease;
  }

  function path(name: string): string {
    return `/apis/coordination.k8s.io/v1/namespaces/default/leases/${name}`;
  }

  async function spec(name: string): Promise<LeaseSpec> {
    const answer = await api.get(path(name));
    assert.ok(answer.ok, answer.ok ? '' : answer.message);
    return (answer.body as { spec: LeaseSpec }).spec;
  }
});
