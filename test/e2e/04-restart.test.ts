import './hooks.ts';
import assert from 'node:assert/strict';
import { answeringPods } from './answers.ts';
import { undisturbed } from './bystander.ts';
import { eventually } from './eventually.ts';
import { tableOf, totalWritesOf, untilOnDirectors } from './kernel.ts';
import { service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab, operator } from './world.ts';

const SERVICES = 50;

describe(`a restart of the operator with ${SERVICES} Services`, function () {
  this.timeout(240_000);
  let scene: Scene;
  let addresses: ReadonlyMap<string, string>;

  before(async () => {
    scene = await Scene.open('restart');
    await scene.app('web', { replicas: 2 });
    const names = Array.from({ length: SERVICES }, (_, n) => `service-${String(n).padStart(2, '0')}`);
    await scene.apply(...names.map((name) => service({ namespace: scene.namespace, name, app: 'web' })));
    addresses = await eventually(`${SERVICES} Services to have an address`, () => publishedAddresses(scene));
    assert.equal(new Set(addresses.values()).size, SERVICES, 'no address is given twice');
    await eventually('both directors to hold all of them', async () => {
      const tables = await Promise.all(lab().directors.map(tableOf));
      return [...addresses.values()].every((address) => tables.every((table) => table.has(`TCP ${address}:80`)));
    });
  });
  after(() => scene.close());

  for (const [how, signal] of [
    ['stopped in order', 'SIGTERM'],
    ['killed', 'SIGKILL'],
  ] as const) {
    it(`${how} and started again: no address changes, no write on a director, no write on a Service, no lost request`, () =>
      undisturbed(async () => {
        await operatorIsIdle();
        const before = await everything(scene);
        await operator().stop(signal);
        await operator().start();
        await operatorIsIdle();
        assert.deepEqual(await everything(scene), before);
        const [first = ''] = addresses.values();
        await answeringPods('TCP', 'client', first, 2);
      }));
  }

  it('works after the restart: the next Service is served', async () => {
    await scene.apply(service({ namespace: scene.namespace, name: 'next', app: 'web' }));
    const [address = ''] = await scene.addresses('next', 1);
    assert.ok(![...addresses.values()].includes(address), `${address} is new`);
    await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'mh' });
    await answeringPods('TCP', 'client', address, 2);
  });
});

async function publishedAddresses(scene: Scene): Promise<Map<string, string>> {
  const services = await cluster().list('services', scene.namespace);
  const published = services.flatMap(({ metadata, status }) =>
    (status.loadBalancer.ingress ?? []).map(({ ip }: { ip: string }): [string, string] => [metadata.name, ip]),
  );
  assert.equal(published.length, SERVICES, `${published.length} of ${SERVICES} have one`);
  return new Map(published);
}

/** Addresses and versions of the Services, and both directors' tables and write counts. */
async function everything(scene: Scene): Promise<object> {
  const services = await cluster().list('services', scene.namespace);
  return {
    services: services.map(({ metadata, status }) => [
      metadata.name,
      metadata.resourceVersion,
      status.loadBalancer.ingress,
    ]),
    tables: await Promise.all(lab().directors.map(tableOf)),
    writes: await Promise.all(lab().directors.map(totalWritesOf)),
  };
}

/** The operator that runs now has read both directors, and found them as they shall be. */
async function operatorIsIdle(): Promise<void> {
  const startedAt = operator().startedAt;
  for (const { name } of lab().directors) {
    await eventually(`the operator to have synchronised ${name} since its start`, async () => {
      const director = await cluster().get('director', name);
      const inSync = director.status.conditions.find(({ type }: { type: string }) => type === 'InSync');
      assert.equal(inSync?.status, 'True', `InSync is ${JSON.stringify(inSync)}`);
      const synced = Date.parse(director.status.lastSyncTime);
      assert.ok(synced >= startedAt - 1000, `last synchronised ${director.status.lastSyncTime}`);
      return true;
    });
  }
}
