import './hooks.ts';
import assert from 'node:assert/strict';
import { answeringPods, untilClosed } from './answers.ts';
import { undisturbed } from './bystander.ts';
import { eventually } from './eventually.ts';
import { untilOnDirectors, vipsOn } from './kernel.ts';
import { pool, service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab, operator } from './world.ts';

/** One address only, so that the next Service can only be served when it is really free. */
const ONE_ADDRESS = '203.0.113.110';

/** The address is closed for clients, gone from both kernels, and the next Service gets it. */
async function expectNothingLeft(scene: Scene, address: string): Promise<void> {
  await untilOnDirectors(`TCP ${address}:80`, 'absent');
  for (const director of lab().directors) {
    await eventually(`${address} to leave ${director.name}`, async () => !(await vipsOn(director)).includes(address));
  }
  await untilClosed(address, 80);
  await scene.apply(service({ namespace: scene.namespace, name: 'heir', app: 'web', pool: 'single' }));
  assert.deepEqual(await scene.addresses('heir', 1), [address]);
  await answeringPods('TCP', 'client', address, 2);
  await scene.remove('service', 'heir');
  await untilOnDirectors(`TCP ${address}:80`, 'absent');
}

describe('a Service that ends', function () {
  this.timeout(150_000);
  let scene: Scene;

  before(async function () {
    this.timeout(180_000);
    scene = await Scene.open('close');
    await scene.app('web', { replicas: 2 });
    await scene.apply(pool('single', { addresses: [ONE_ADDRESS] }));
  });
  after(() => scene.close());

  beforeEach(async () => {
    await scene.apply(service({ namespace: scene.namespace, name: 'web', pool: 'single' }));
    assert.deepEqual(await scene.addresses('web', 1), [ONE_ADDRESS]);
    await answeringPods('TCP', 'client', ONE_ADDRESS, 2);
  });

  it('deleted: closed on both directors, address free', () =>
    undisturbed(async () => {
      await scene.remove('service', 'web');
      await expectNothingLeft(scene, ONE_ADDRESS);
    }));

  it('type changed to ClusterIP: closed, finalizers and status gone, the Service itself stays', () =>
    undisturbed(async () => {
      const spec = { type: 'ClusterIP', loadBalancerClass: null, allocateLoadBalancerNodePorts: null };
      await cluster().patch('service', 'web', { spec }, scene.namespace, 'merge');
      await expectNoTrace(scene);
      await expectNothingLeft(scene, ONE_ADDRESS);
      await scene.remove('service', 'web');
    }));

  it('type changed to ClusterIP and back while it is being closed: served again', () =>
    undisturbed(async () => {
      await cluster().patch(
        'service',
        'web',
        { spec: { type: 'ClusterIP', loadBalancerClass: null } },
        scene.namespace,
        'merge',
      );
      await cluster().patch(
        'service',
        'web',
        { spec: { type: 'LoadBalancer', loadBalancerClass: 'ipvs-operator.io/ipvs' } },
        scene.namespace,
        'merge',
      );
      await answeringPods('TCP', 'client', ONE_ADDRESS, 2);
      assert.deepEqual(await scene.addresses('web', 1), [ONE_ADDRESS]);
      await scene.remove('service', 'web');
      await expectNothingLeft(scene, ONE_ADDRESS);
    }));

  it('deleted while the operator is away: closed when it returns', () =>
    undisturbed(async () => {
      await operator().stop('SIGTERM');
      await cluster().kubectl('delete', 'service', 'web', '-n', scene.namespace, '--wait=false');
      await answeringPods('TCP', 'client', ONE_ADDRESS, 2);
      await operator().start();
      await eventually(
        'the deleted Service to be gone',
        async () => (await cluster().get('service', 'web', scene.namespace)) === undefined,
      );
      await expectNothingLeft(scene, ONE_ADDRESS);
    }));

  it('type changed while the operator is away: closed when it returns', () =>
    undisturbed(async () => {
      await operator().stop('SIGTERM');
      await cluster().patch(
        'service',
        'web',
        { spec: { type: 'ClusterIP', loadBalancerClass: null } },
        scene.namespace,
        'merge',
      );
      await operator().start();
      await expectNoTrace(scene);
      await expectNothingLeft(scene, ONE_ADDRESS);
      await scene.remove('service', 'web');
    }));

  it('killed in the middle of closing: the next start finishes it', () =>
    undisturbed(async () => {
      await cluster().kubectl('delete', 'service', 'web', '-n', scene.namespace, '--wait=false');
      await operator().stop('SIGKILL');
      await operator().start();
      await expectNothingLeft(scene, ONE_ADDRESS);
    }));
});

/** Nothing of ours is on the object any more: finalizers, address, annotation, conditions. */
async function expectNoTrace(scene: Scene): Promise<void> {
  await eventually('every trace of ours to leave the Service', async () => {
    const stored = await cluster().get('service', 'web', scene.namespace);
    assert.deepEqual(stored?.metadata.finalizers ?? [], []);
    assert.deepEqual(stored?.status.loadBalancer, {});
    assert.deepEqual(stored?.status.conditions ?? [], []);
    assert.equal(stored?.metadata.annotations?.['ipvs-operator.io/ip-allocated-from-pool'], undefined);
    return true;
  });
}
