import './hooks.ts';
import assert from 'node:assert/strict';
import { answeringPods } from './answers.ts';
import { undisturbed } from './bystander.ts';
import { untilCondition, untilDescribed } from './described.ts';
import { tableOf, untilOnDirectors } from './kernel.ts';
import { service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

/** Virtual servers that a person or another program made on the director, in and outside the ranges that are ours to use. */
describe('what others have made on a director', function () {
  this.timeout(300_000);
  let scene: Scene;
  /** A director's whole table is looked at about once a minute. */
  const SEEN = { timeoutMs: 120_000 };
  const OUTSIDE = '192.0.2.200:8888';
  const INSIDE = '203.0.113.90:80';

  before(async () => {
    scene = await Scene.open('foreign');
    await scene.app('web', { replicas: 2 });
  });
  after(async () => {
    for (const director of lab().directors) {
      for (const key of [OUTSIDE, INSIDE]) await director.exec(`ipvsadm -D -t ${key}`);
    }
    await scene.close();
  });

  it('is left alone and reported, while Services come and go', () =>
    undisturbed(async () => {
      const director = firstDirector();
      for (const key of [OUTSIDE, INSIDE]) {
        await director.read(`ipvsadm -A -t ${key} -s wrr && ipvsadm -a -t ${key} -r 192.0.2.21 -m -w 7`);
      }
      const foreign = await foreignEntries();
      await scene.apply(service({ namespace: scene.namespace, name: 'web' }));
      const [address = ''] = await scene.addresses('web', 1);
      await answeringPods('TCP', 'client-director-1', address, 2);
      await scene.remove('service', 'web');
      await untilOnDirectors(`TCP ${address}:80`, 'absent');
      assert.deepEqual(await foreignEntries(), foreign);
      await untilDescribed('director', director.name, /Foreign: +1/, undefined, SEEN);
      await untilDescribed('director', director.name, /Orphans: +1/, undefined, SEEN);
    }));

  it('in the way of a Service: not overwritten, named, and out of the way once a person removes it', () =>
    undisturbed(async () => {
      const director = firstDirector();
      const foreign = await foreignEntries();
      const annotations = { 'ipvs-operator.io/loadBalancerIPs': '203.0.113.90' };
      await scene.apply(service({ namespace: scene.namespace, name: 'wants', app: 'web', annotations }));
      await untilDescribed('service', 'wants', /Warning .*203\.0\.113\.90:80/, scene.namespace);
      await untilCondition('director', director.name, 'InSync', 'False', { reason: 'ForeignCollision' });
      assert.deepEqual(await foreignEntries(), foreign);
      assert.deepEqual((await cluster().get('service', 'wants', scene.namespace)).status.loadBalancer, {});
      await director.read(`ipvsadm -D -t ${INSIDE}`);
      assert.deepEqual(await scene.addresses('wants', 1), ['203.0.113.90']);
      await untilOnDirectors(`TCP ${INSIDE}`, { scheduler: 'mh' });
      await answeringPods('TCP', 'client', '203.0.113.90', 2);
      await scene.remove('service', 'wants');
      await untilOnDirectors(`TCP ${INSIDE}`, 'absent');
    }));

  it('a person who deletes our virtual server on the director is corrected, and it is told', () =>
    undisturbed(async () => {
      const director = firstDirector();
      await scene.apply(service({ namespace: scene.namespace, name: 'web' }));
      const [address = ''] = await scene.addresses('web', 1);
      await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'mh' });
      await director.read(`ipvsadm -D -t ${address}:80`);
      await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'mh' }, [director], SEEN);
      await untilDescribed('director', director.name, /Normal|Warning/);
      await answeringPods('TCP', 'client-director-1', address, 2);
      await scene.remove('service', 'web');
    }));

  async function foreignEntries(): Promise<readonly unknown[]> {
    const table = await tableOf(firstDirector());
    return [OUTSIDE, INSIDE].map((key) => table.get(`TCP ${key}`));
  }
});

function firstDirector() {
  const [director] = lab().directors;
  assert.ok(director);
  return director;
}
