import assert from 'node:assert/strict';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aDirector } from '../../builders/a-director.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';
import { FakeDirector } from '../../fakes/fake-director.ts';

const WEB = serviceKey('default', 'web');

describe('The operator with directors in trouble', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  it('serves with the other one, names the dead one in pool and director, and fills it when it returns', async () => {
    world.host('lb-2').fail('Unreachable', 'Director lb-2: no route to 192.0.2.12.');
    await world.serve('web');
    assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    await world.run(10_000);
    assert.equal(world.writer.poolStatuses.get('web')?.directorsReady, '1/2');
    assert.match(
      JSON.stringify(world.writer.poolStatuses.get('web')?.conditions),
      /lb-2: Director lb-2: no route to 192\.0\.2\.12/,
    );
    assert.match(world.writer.directorStatuses.get('lb-2')?.message ?? '', /no route to 192\.0\.2\.12/);
    assert.match(world.events.about('Director', 'lb-2').join(), /DirectorUnreachable: .*no route/);
    world.host('lb-2').recover();
    await world.run(60_000);
    assert.deepEqual(world.tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
    assert.equal(world.writer.poolStatuses.get('web')?.directorsReady, '2/2');
    assert.match(world.events.about('Director', 'lb-2').join(), /DirectorReady: /);
  });

  it('writes nothing to published Services when directors go and come back', async () => {
    await world.serve('a', 'b');
    const writes = world.writer.writes.length;
    for (const name of ['lb-1', 'lb-2']) world.host(name).fail('Unreachable');
    await world.run(60_000);
    for (const name of ['lb-1', 'lb-2']) world.host(name).recover();
    await world.run(120_000);
    assert.deepEqual(
      world.writer.writes.slice(writes).filter(({ verb }) => verb === 'serviceStatus'),
      [],
    );
    assert.deepEqual(world.published(serviceKey('default', 'a')), ['203.0.113.10']);
  });

  it('lets no Service go on the word of another host after Directors have exchanged theirs', async () => {
    const lb2 = aDirector({ name: 'lb-2', address: '192.0.2.12', labels: { site: 'edge' } });
    world = new World({
      pools: [aPool({ directorSelector: { matchLabels: { site: 'edge' } } })],
      directors: [aDirector(), lb2],
    });
    await world.serve('web');
    assert.deepEqual(world.tables(), [[], ['TCP 203.0.113.10:80']]);
    world.hosts.set('lb-3', new FakeDirector({ address: '192.0.2.13', clock: world.clock }));
    world.host('lb-2').fail('Unreachable');
    world.api.putDirector({ ok: true, value: aDirector({ address: '192.0.2.12' }) });
    world.api.putDirector({ ok: true, value: { ...lb2, address: '192.0.2.13' as IpAddress } });
    await world.run();
    assert.deepEqual(world.tableOf('lb-3'), ['TCP 203.0.113.10:80']);
    world.api.deleteService(WEB);
    await world.run(60_000);
    assert.deepEqual(world.tableOf('lb-3'), []);
    assert.ok(world.service(WEB).deleting, 'the host at 192.0.2.12 still has it');
    world.host('lb-2').recover();
    await world.run(60_000);
    assert.deepEqual(world.tableOf('lb-2'), []);
    assert.equal(world.api.services.get(WEB), undefined);
  });

  it('publishes after a bounded time although a director accepts and stays silent', async () => {
    await world.serve('a');
    world.host('lb-2').freeze();
    world.api.putService(aService({ name: 'b' }));
    await world.run(8_000);
    assert.deepEqual(world.published(serviceKey('default', 'b')), ['203.0.113.11']);
  });

  it('publishes nothing while no director is ready, and says so', async () => {
    for (const name of ['lb-1', 'lb-2']) world.host(name).fail('AuthenticationFailed');
    await world.serve('web');
    assert.deepEqual(world.published(WEB), []);
    assert.match(world.condition(WEB, 'Programmed') ?? '', /^False NoDirectorReady: /);
    assert.match(world.events.about('Service', 'web').join(), /UnAvailableLoadBalancer: /);
  });

  it('says that the pool selects no director, and changes nothing on any', async () => {
    await world.serve('web');
    world.api.putPool({ ok: true, value: aPool({ directorSelector: { matchLabels: { site: 'nowhere' } } }) });
    await world.run(10_000);
    assert.deepEqual(world.tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
    assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    assert.match(world.condition(WEB, 'Programmed') ?? '', /NoDirectorSelected/);
  });

  it('moves to other directors of the pool before it leaves the old ones', async () => {
    await world.serve('web');
    const third = aDirector({ name: 'lb-3', address: '192.0.2.13', labels: { site: 'rack-b' } });
    world.addDirector(third).fail('Unreachable');
    world.api.putPool({ ok: true, value: aPool({ directorSelector: { matchLabels: { site: 'rack-b' } } }) });
    await world.run(10_000);
    assert.deepEqual(world.tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80'], []]);
    world.host('lb-3').recover();
    await world.run(60_000);
    assert.deepEqual(world.tables(), [[], [], ['TCP 203.0.113.10:80']]);
    assert.deepEqual(world.published(WEB), ['203.0.113.10']);
  });

  it('keeps the table of a cordoned director but waits for it no longer, and empties a drained one', async () => {
    await world.serve('a');
    world.api.putDirector({ ok: true, value: aDirector({ name: 'lb-2', address: '192.0.2.12', state: 'Cordoned' }) });
    await world.run();
    assert.deepEqual(world.tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
    world.host('lb-2').freeze();
    world.api.putService(aService({ name: 'b' }));
    await world.run(100);
    assert.deepEqual(world.published(serviceKey('default', 'b')), ['203.0.113.11']);
    world.host('lb-2').thaw();
    world.api.putDirector({ ok: true, value: aDirector({ name: 'lb-2', address: '192.0.2.12', state: 'Drained' }) });
    await world.run(60_000);
    assert.deepEqual(world.tableOf('lb-2'), []);
    assert.equal(world.tableOf('lb-1').length, 2);
  });

  it('fills a director that is added later', async () => {
    await world.serve('a', 'b');
    world.addDirector(aDirector({ name: 'lb-3', address: '192.0.2.13' }));
    await world.run();
    assert.deepEqual(world.tableOf('lb-3'), world.tableOf('lb-1'));
    assert.equal(world.tableOf('lb-3').length, 2);
  });

  it('logs in again when the Secret is replaced', async () => {
    world.api.deleteSecret('director-ssh');
    await world.serve('web');
    assert.match(world.writer.directorStatuses.get('lb-1')?.message ?? '', /Secret director-ssh does not exist/);
    world.api.putSecret('director-ssh', 'the private key');
    await world.run(1_000);
    assert.deepEqual(world.published(WEB), ['203.0.113.10']);
  });
});
