import assert from 'node:assert/strict';
import type { PoolStatus } from '../../../operator/controllers/ports.ts';
import type { ApiAnswer } from '../../../operator/kube/api-client.ts';
import type { StoredObject } from '../../../operator/kube/cluster-cache.ts';
import { asRecord } from '../../../operator/kube/kube-object.ts';
import { OwnStatusWriter } from '../../../operator/kube/own-status-writer.ts';
import { FakeApiClient } from '../../fakes/fake-api-client.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const PATH = '/apis/ipvs-operator.io/v1alpha1/loadbalancerpools/web';

/** One pool, whose status an apply replaces. */
class OnePool extends FakeApiClient {
  object: StoredObject = { uid: 'u1', resourceVersion: '1', status: undefined };

  override async get(path: string): Promise<ApiAnswer> {
    this.calls.push(`GET ${path}`);
    return this.#answer();
  }

  override async patch(path: string, _type: string, body: unknown): Promise<ApiAnswer> {
    this.calls.push(`PATCH ${path}`);
    const resourceVersion = String(Number(this.object.resourceVersion) + 1);
    this.object = { ...this.object, resourceVersion, status: asRecord(body).status };
    return this.#answer();
  }

  #answer(): ApiAnswer {
    const { uid, resourceVersion, status } = this.object;
    return { ok: true, status: 200, body: { metadata: { name: 'web', uid, resourceVersion }, status } };
  }
}

describe('the status of a pool', () => {
  let api: OnePool;
  let clock: FakeClock;
  let seen: StoredObject | undefined;
  let writer: OwnStatusWriter;

  beforeEach(() => {
    api = new OnePool();
    clock = new FakeClock();
    seen = api.object;
    writer = new OwnStatusWriter({ api, clock, cache: { stored: () => seen } });
  });

  it('is one request, and none when the watch shows it already', async () => {
    assert.deepEqual(await writer.write('LoadBalancerPool', 'web', used(1)), { kind: 'written' });
    assert.deepEqual(api.calls, [`PATCH ${PATH}/status`]);
    seen = api.object;
    assert.deepEqual(await writer.write('LoadBalancerPool', 'web', used(1)), { kind: 'unchanged' });
    assert.equal(api.calls.length, 1);
  });

  it('is not written again while the watch lags behind our own write, and keeps the time of a condition', async () => {
    await writer.write('LoadBalancerPool', 'web', used(1));
    const since = transitionTime();
    await clock.advance(5_000);
    assert.deepEqual(await writer.write('LoadBalancerPool', 'web', used(1)), { kind: 'unchanged' });
    assert.deepEqual(await writer.write('LoadBalancerPool', 'web', used(2)), { kind: 'written' });
    assert.equal(api.calls.length, 2);
    assert.equal(transitionTime(), since);
  });

  it('is what the watch shows as soon as that has moved on', async () => {
    await writer.write('LoadBalancerPool', 'web', used(1));
    seen = { uid: 'u1', resourceVersion: '9', status: { used: 7 } };
    assert.deepEqual(await writer.write('LoadBalancerPool', 'web', used(1)), { kind: 'written' });
  });

  it('is looked at first when no watch has told of the pool', async () => {
    seen = undefined;
    await writer.write('LoadBalancerPool', 'web', used(1));
    assert.deepEqual(await writer.write('LoadBalancerPool', 'web', used(1)), { kind: 'unchanged' });
    assert.deepEqual(api.calls, [`GET ${PATH}`, `PATCH ${PATH}/status`, `GET ${PATH}`]);
  });

  function transitionTime(): unknown {
    const [condition] = asRecord(api.object.status).conditions as readonly unknown[];
    return asRecord(condition).lastTransitionTime;
  }
});

function used(count: number): PoolStatus {
  return {
    observedGeneration: 1,
    conditions: [{ type: 'Ready', status: 'True', reason: 'InSync', message: 'All is well.' }],
    assignedIPv4: count,
    assignedIPv6: 0,
    availableIPv4: '15',
    availableIPv6: '0',
    used: count,
    free: '15',
    directors: [],
    directorsReady: '0/0',
    virtualServers: count,
  };
}
