import assert from 'node:assert/strict';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { FINALIZER } from '../../../operator/model/names.ts';
import { aService } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const WEB = serviceKey('default', 'web');

describe('The operator, for a Service that goes,', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  it('takes everything back, and gives the address to the next one', async () => {
    await world.serve('web');
    world.api.deleteService(WEB);
    await world.run();
    assert.equal(world.api.services.get(WEB), undefined);
    assert.deepEqual(world.tables(), [[], []]);
    world.api.putService(aService({ name: 'next' }));
    await world.run();
    assert.deepEqual(world.published(serviceKey('default', 'next')), ['203.0.113.10']);
  });

  it('does the same when its type changes, and clears its status', async () => {
    await world.serve('web');
    world.api.makeClusterIP(WEB);
    await world.run();
    const { finalizers, ingress, conditions, allocatedFromPool } = world.service(WEB);
    assert.deepEqual(
      { finalizers, ingress, conditions, allocatedFromPool },
      { finalizers: [], ingress: [], conditions: [], allocatedFromPool: undefined },
    );
    assert.deepEqual(world.tables(), [[], []]);
  });

  it('keeps the finalizer and the address while a director cannot be asked, and says which', async () => {
    await world.serve('web');
    world.host('lb-2').fail('Unreachable', 'Director lb-2: no route to 192.0.2.12.');
    world.api.deleteService(WEB);
    await world.run(60_000);
    assert.ok(world.service(WEB).finalizers.includes(FINALIZER));
    assert.deepEqual(world.tableOf('lb-1'), []);
    const said = world.events.about('Service', 'web').filter((event) => event.startsWith('DeletingLoadBalancer'));
    assert.equal(said.length, 1);
    assert.match(said[0] ?? '', /no route to 192\.0\.2\.12/);
    world.api.putService(aService({ name: 'next' }));
    await world.run(10_000);
    assert.deepEqual(world.published(serviceKey('default', 'next')), ['203.0.113.11']);
    world.host('lb-2').recover();
    await world.run(60_000);
    assert.equal(world.api.services.get(WEB), undefined);
    assert.deepEqual(world.tableOf('lb-2'), ['TCP 203.0.113.11:80']);
  });

  it('waits no longer for a director whose object is deleted', async () => {
    await world.serve('web');
    world.host('lb-2').fail('Unreachable');
    world.api.deleteService(WEB);
    await world.run(60_000);
    world.api.deleteDirector('lb-2');
    await world.run();
    assert.equal(world.api.services.get(WEB), undefined);
  });

  it('finishes what it was doing before a restart', async () => {
    await world.serve('web');
    await world.stop();
    world.api.deleteService(WEB);
    world.start();
    await world.run();
    assert.equal(world.api.services.get(WEB), undefined);
    assert.deepEqual(world.tables(), [[], []]);
  });

  it('finds what is left of a Service whose type changed while it was away, although its status is gone', async () => {
    await world.serve('web');
    await world.stop();
    world.api.makeClusterIP(WEB);
    world.start();
    await world.run();
    assert.deepEqual(world.service(WEB).finalizers, []);
    assert.deepEqual(world.tables(), [[], []]);
  });

  it('closes it also when somebody has taken the finalizer off', async () => {
    await world.serve('web');
    world.api.changeService(WEB, { finalizers: [], deleting: true });
    await world.run();
    assert.deepEqual(world.tables(), [[], []]);
  });
});
