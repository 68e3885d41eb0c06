import assert from 'node:assert/strict';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const keyOf = (name: string) => serviceKey('default', name);

describe('A pool that is deleted', () => {
  let world: World;
  beforeEach(async () => {
    world = new World({ pools: [aPool(), aPool({ name: 'unused', addresses: ['203.0.113.20'], autoAssign: false })] });
    world.start();
    for (const name of ['a', 'b']) world.api.putService(aService({ name }));
    await world.run();
  });
  afterEach(() => world.stop());

  const ready = () => world.writer.poolStatuses.get('web')?.conditions.find(({ type }) => type === 'Ready')?.message;
  const marks = () => world.writer.writes.filter(({ verb }) => verb === 'markPool').map(({ object }) => object);

  it('goes at once when no Service has an address of it', async () => {
    world.api.deletePool('unused');
    await world.run();
    assert.equal(world.api.pools.has('unused'), false);
  });

  it('waits for its Services, gives nothing new, and says for how many it waits', async () => {
    assert.deepEqual(marks(), ['web'], 'one write, at the first Service');
    world.api.deletePool('web');
    world.api.putService(aService({ name: 'c', request: { pool: 'web' } }));
    await world.run(10_000);
    assert.match(
      ready() ?? '',
      /gives no new address\. It waits until 2 Services that have an address of it are gone or moved/,
    );
    assert.deepEqual(world.published(keyOf('c')), []);
    assert.match(world.condition(keyOf('c'), 'AddressAssigned') ?? '', /^False PoolNotFound: .*being deleted/);
    for (const name of ['a', 'b']) assert.equal(world.published(keyOf(name)).length, 1, 'and serves on');
    world.api.deleteService(keyOf('a'));
    await world.run(10_000);
    assert.match(ready() ?? '', /waits until 1 Service that has an address of it is gone or moved/);
    world.api.putService(aService({ name: 'b', request: { pool: 'unused' } }));
    await world.run(10_000);
    assert.equal(world.api.pools.has('web'), false);
    assert.deepEqual(world.published(keyOf('b')), ['203.0.113.20']);
  });

  it('goes also when the last Service left while no operator ran', async () => {
    world.api.deletePool('web');
    await world.stop();
    for (const name of ['a', 'b']) {
      world.api.changeService(keyOf(name), { finalizers: [] });
      world.api.deleteService(keyOf(name));
    }
    world.start();
    await world.run(10_000);
    assert.equal(world.api.pools.has('web'), false);
  });
});
