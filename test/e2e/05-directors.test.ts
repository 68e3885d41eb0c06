import './hooks.ts';
import assert from 'node:assert/strict';
import { answeringPods } from './answers.ts';
import { undisturbed } from './bystander.ts';
import { untilCondition, untilDescribed } from './described.ts';
import { eventually } from './eventually.ts';
import { tableOf, untilOnDirectors } from './kernel.ts';
import { service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

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
    {
      name: 'unplugged',
      says: /no route to the host|no TCP connection|keepalives stay unanswered|no answer/,
      break: () => lab().unplug(second()),
      mend: () => lab().replug(second()),
    },
    {
      name: 'frozen',
      says: /no route to the host|no TCP connection|keepalives stay unanswered|no answer|silent/,
      break: () => second().freeze(),
      mend: () => second().thaw(),
    },
  ]) {
    it(`${fault.name}: the other is served normally, the dead one is named, and it catches up`, () =>
      undisturbed(async () => {
        const name = `while-${fault.name}`;
        await fault.break();
        try {
          await untilCondition('director', second().name, 'Ready', 'False');
          await expectServedByTheOther(name);
          await untilDescribed('lbpool', 'public', new RegExp(`not ready is ${second().name}: .*${fault.says.source}`));
          await untilDescribed('director', second().name, new RegExp(`Message: .*${fault.says.source}`));
          await untilDescribed('service', name, new RegExp(`${second().name}`), scene.namespace);
          await expectDeletionWaits();
        } finally {
          await fault.mend();
        }
        await expectCaughtUp(name);
      }, 'client-director-1'));
  }

  async function expectServedByTheOther(name: string): Promise<void> {
    await scene.apply(service({ namespace: scene.namespace, name, app: 'web' }));
    const [fresh = ''] = await scene.addresses(name, 1);
    await untilOnDirectors(`TCP ${fresh}:80`, { scheduler: 'mh' }, [first()]);
    await answeringPods('TCP', 'client-director-1', fresh, 2);
    await answeringPods('TCP', 'client-director-1', address, 2);
  }

  /** Its address is closed where that is possible; it may not go while the director that is away may hold it. */
  async function expectDeletionWaits(): Promise<void> {
    await cluster().kubectl('delete', 'service', 'web', '-n', scene.namespace, '--wait=false');
    await untilOnDirectors(`TCP ${address}:80`, 'absent', [first()]);
    assert.ok(await cluster().get('service', 'web', scene.namespace), 'the deleted Service is still there');
  }

  async function expectCaughtUp(name: string): Promise<void> {
    const [fresh = ''] = await scene.addresses(name, 1);
    await untilOnDirectors(`TCP ${fresh}:80`, { scheduler: 'mh' }, [second()], { timeoutMs: 120_000 });
    await untilOnDirectors(`TCP ${address}:80`, 'absent', [second()]);
    await answeringPods('TCP', 'client-director-2', fresh, 2);
    await untilCondition('director', second().name, 'Ready', 'True');
    await eventually('the deleted Service to be gone', async () => {
      return (await cluster().get('service', 'web', scene.namespace)) === undefined;
    });
    assert.deepEqual(await tableOf(second()), await tableOf(first()), 'both directors hold the same');
    await scene.apply(service({ namespace: scene.namespace, name: 'web' }));
    [address = ''] = await scene.addresses('web', 1);
    await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'mh' });
  }
});

function directorAt(index: number) {
  const director = lab().directors[index];
  assert.ok(director, `the lab has a director ${index + 1}`);
  return director;
}
