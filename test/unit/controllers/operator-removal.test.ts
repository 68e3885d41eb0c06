import assert from 'node:assert/strict';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { FINALIZER } from '../../../operator/model/names.ts';
import { at } from '../../builders/a-lane-world.ts';
import { aService } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const WEB = serviceKey('default', 'web');
const RECORD = { pool: 'web', addresses: ['203.0.113.10' as IpAddress] };

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

  describe('and lives on with a finalizer of somebody else,', () => {
    /** Virtual servers of nobody, at the address that the Service had. */
    const leaveSomeBehind = () => {
      const { table } = world.host('lb-1');
      const virtualServers = Array.from({ length: 8 }, (_, index) => at('203.0.113.10', 1_000 + index));
      const { epoch, generation } = table;
      table.apply({ epoch, generation, dryRun: false, scope: 'listed', interface: 'lo', virtualServers, absent: [] });
      world.host('lb-1').dropSessions();
    };
    const deleteInForeground = () => {
      world.api.changeService(WEB, { finalizers: [...world.service(WEB).finalizers, 'foregroundDeletion'] });
      world.api.deleteService(WEB);
    };

    it('takes it back once, although it is seen between the two writes', async () => {
      world.start(50);
      await world.run();
      world.api.putService(aService());
      await world.run();
      deleteInForeground();
      await world.run();
      assert.deepEqual(world.service(WEB).finalizers, ['foregroundDeletion']);
      assert.deepEqual(world.writesTo(WEB).slice(2), ['release']);
      assert.deepEqual(
        world.log.lines.flatMap(({ fields }) => (fields.key === WEB ? [fields.cause] : [])),
        [],
        'nothing is tried again',
      );
      leaveSomeBehind();
      await world.run(70_000);
      assert.equal(world.tableOf('lb-1').length, 8, 'its departure explains nothing any more');
    });

    it('does so again when our finalizer comes back, and forgets it when another takes that off', async () => {
      await world.serve('web');
      deleteInForeground();
      await world.run();
      world.writer.fault = ({ verb }) => (verb === 'release' ? 'conflict' : undefined);
      world.api.changeService(WEB, { finalizers: ['foregroundDeletion', FINALIZER], record: RECORD });
      await world.run();
      world.api.changeService(WEB, { finalizers: ['foregroundDeletion'], record: undefined });
      await world.run(60_000);
      leaveSomeBehind();
      await world.run(70_000);
      assert.equal(world.tableOf('lb-1').length, 8, 'its departure explains nothing any more');
    });
  });
});
