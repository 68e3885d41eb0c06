import assert from 'node:assert/strict';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { FINALIZER } from '../../../operator/model/names.ts';
import { formatVirtualServerKey } from '../../../operator/model/virtual-server.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const WEB = serviceKey('default', 'web');

describe('The operator as a whole', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  const tableOf = (director: string) => world.host(director).table.virtualServers().map(formatVirtualServerKey);

  it('publishes the address of a new Service when both directors have confirmed its virtual servers', async () => {
    world.start();
    await world.run();
    world.api.putService(aService());
    await world.run(1_000);
    assert.deepEqual(tableOf('lb-1'), ['TCP 203.0.113.10:80']);
    assert.deepEqual(tableOf('lb-2'), ['TCP 203.0.113.10:80']);
    assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    assert.deepEqual(world.events.about('Service', 'web'), [
      'EnsuredLoadBalancer: Address 203.0.113.10 from LoadBalancerPool web. Programmed on director lb-1 and lb-2.',
    ]);
    assert.deepEqual(
      world.writer.writes.filter(({ object }) => object === WEB).map(({ verb }) => verb),
      ['claim', 'serviceStatus'],
    );
  });

  it('takes everything back when the Service is deleted', async () => {
    world.start();
    world.api.putService(aService());
    await world.run();
    assert.ok(world.service(WEB).finalizers.includes(FINALIZER));
    world.api.deleteService(WEB);
    await world.run();
    assert.equal(world.api.services.get(WEB), undefined);
    assert.deepEqual(tableOf('lb-1'), []);
    assert.deepEqual(tableOf('lb-2'), []);
    world.api.putService(aService({ name: 'next', ports: [aServicePort({ port: 81 })] }));
    await world.run();
    assert.deepEqual(world.published(serviceKey('default', 'next')), ['203.0.113.10']);
  });

  it('changes nothing at all when it is restarted', async () => {
    world.start();
    for (const name of ['a', 'b', 'c']) world.api.putService(aService({ name }));
    await world.run(120_000);
    await world.stop();
    const writes = world.writer.writes.length;
    const services = JSON.stringify([...world.api.services.values()]);
    const directorWrites = ['lb-1', 'lb-2'].map((name) => world.host(name).table.totalWrites);
    world.start();
    await world.run(300_000);
    assert.equal(JSON.stringify([...world.api.services.values()]), services);
    assert.deepEqual(
      ['lb-1', 'lb-2'].map((name) => world.host(name).table.totalWrites),
      directorWrites,
    );
    assert.deepEqual(
      world.writer.writes.slice(writes).filter(({ verb }) => !verb.endsWith('Status') || verb === 'serviceStatus'),
      [],
    );
  });
});
