import './hooks.ts';
import assert from 'node:assert/strict';
import { answeringPods } from './answers.ts';
import { untilCondition, untilDescribed } from './described.ts';
import { eventually } from './eventually.ts';
import { tableOf, untilOnDirectors } from './kernel.ts';
import { service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab, world } from './world.ts';

describe('a director that fails', function () {
  this.timeout(240_000);
  let scene: Scene;
  let address: string;
  const [first, second] = [() => directorAt(0), () => directorAt(1)];

  before(async () => {
    scene = await Scene.open('directors');
    await scene.app('web', { replicas: 2 });
    await scene.apply(service({ namespace: scene.namespace, name: 'web' }));
    [address = ''] = await scene.addresses('web', 1);
    await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'mh' });
  });
  after(() => scene.close());

  it('rebooted: its table is complete again without a human', async () => {
    const before = await tableOf(first());
    assert.ok(before.size >= 2, `${before.size} virtual servers before the reboot`);
    const bootID = (await cluster().get('director', first().name)).status.bootID;
    await first().reboot();
    await eventually(
      `the table of ${first().name} as before its reboot`,
      async () => {
        assert.deepEqual(await tableOf(first()), before);
        return true;
      },
      { timeoutMs: 120_000 },
    );
    await answeringPods('TCP', 'client-director-1', address, 2);
    await untilCondition('director', first().name, 'Ready', 'True');
    const after = await cluster().get('director', first().name);
    assert.notEqual(after.status.bootID, bootID, 'the status shows the new boot');
  });

  for (const fault of [
    { name: 'unplugged', break: () => lab().unplug(second()), mend: () => lab().replug(second()) },
    { name: 'frozen', break: () => second().freeze(), mend: () => second().thaw() },
  ]) {
    it(`${fault.name}: the other is served normally, the dead one is named, and it catches up`, async () => {
      const held = await tableOf(second());
      await fault.break();
      try {
        await untilCondition('director', second().name, 'Ready', 'False');
        const name = `while-${fault.name}`;
        await scene.apply(service({ namespace: scene.namespace, name, app: 'web' }));
        const [fresh = ''] = await scene.addresses(name, 1);
        await untilOnDirectors(`TCP ${fresh}:80`, { scheduler: 'mh' }, [first()]);
        await answeringPods('TCP', 'client-director-1', fresh, 2);
        await answeringPods('TCP', 'client-director-1', world().bystander.address, 2);
        await untilDescribed(
          'lbpool',
          'public',
          new RegExp(`${second().name}.*(Unreachable|Timeout|Closed|not answer|unreachable)`),
        );
        await untilDescribed('director', second().name, /Ready.*False.*(Unreachable|Timeout|Closed)/);
        await untilDescribed('service', name, new RegExp(second().name), scene.namespace);
        await cluster().kubectl('delete', 'service', 'web', '-n', scene.namespace, '--wait=false');
        await untilOnDirectors(`TCP ${address}:80`, 'absent', [first()]);
        const leaving = await cluster().get('service', 'web', scene.namespace);
        assert.ok(leaving, 'the Service stays while the dead director may still hold its address');
        await fault.mend();
        await untilOnDirectors(`TCP ${fresh}:80`, { scheduler: 'mh' }, [second()], { timeoutMs: 120_000 });
        await untilOnDirectors(`TCP ${address}:80`, 'absent', [second()]);
        await answeringPods('TCP', 'client-director-2', fresh, 2);
      } finally {
        await fault.mend();
      }
      await untilCondition('director', second().name, 'Ready', 'True');
      await eventually(
        'the deleted Service to be gone',
        async () => (await cluster().get('service', 'web', scene.namespace)) === undefined,
      );
      const now = await tableOf(second());
      for (const key of held.keys()) if (!key.includes(address)) assert.deepEqual(now.get(key), held.get(key));
      await scene.apply(service({ namespace: scene.namespace, name: 'web' }));
      [address = ''] = await scene.addresses('web', 1);
      await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'mh' });
    });
  }
});

function directorAt(index: number) {
  const director = lab().directors[index];
  assert.ok(director, `the lab has a director ${index + 1}`);
  return director;
}
