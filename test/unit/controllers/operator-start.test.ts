import assert from 'node:assert/strict';
import { DirectorController } from '../../../operator/controllers/director-controller.ts';
import { DirectorFleet } from '../../../operator/controllers/director-fleet.ts';
import { type ServiceEndpoints, serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aDirector } from '../../builders/a-director.ts';
import { endpoints } from '../../builders/a-service.ts';
import { FakeLease, NO_METRICS, World } from '../../builders/a-world.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeApi, FakeCluster } from '../../fakes/fake-cluster.ts';
import { FakeDirector, fakeDialer } from '../../fakes/fake-director.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { FakeEvents, FakeWriter } from '../../fakes/fake-writer.ts';

const A = serviceKey('default', 'a');

/** Endpoints that nobody can read. */
const POISON: ServiceEndpoints = {
  ...endpoints(),
  get readyByNode(): never {
    throw new Error('nobody can read this');
  },
};

describe('The operator with one Service that it fails on', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  const restart = async () => {
    await world.serve('a', 'b', 'c');
    await world.stop();
    world.api.putEndpoints(A, {});
    world.api.endpoints.set(A, POISON);
    world.start();
    await world.run();
  };

  it('starts, serves the others, and leaves what that one has on the directors', async () => {
    await restart();
    world.api.deleteService(serviceKey('default', 'b'));
    await world.run();
    assert.deepEqual(world.tables(), [
      ['TCP 203.0.113.10:80', 'TCP 203.0.113.12:80'],
      ['TCP 203.0.113.10:80', 'TCP 203.0.113.12:80'],
    ]);
    assert.deepEqual(world.fatal, []);
  });

  it('names it, and tries it again', async () => {
    await restart();
    const line = world.log.lines.find(({ level }) => level === 'error');
    assert.equal(line?.fields.service, A);
    assert.match(String(line?.fields.error), /nobody can read this/);
    world.api.deleteNode('node-2');
    world.api.endpoints.set(A, endpoints());
    world.api.putEndpoints(A, {});
    await world.run();
    for (const server of world.host('lb-1').table.virtualServers())
      assert.deepEqual(
        server.realServers.filter(({ weight }) => weight > 0).map(({ address }) => String(address)),
        ['192.0.2.21'],
      );
  });

  it('fills a new director with the others', async () => {
    await restart();
    world.addDirector(aDirector({ name: 'lb-3', address: '192.0.2.13' }));
    await world.run();
    assert.deepEqual(world.tableOf('lb-3'), ['TCP 203.0.113.11:80', 'TCP 203.0.113.12:80']);
  });
});

describe('The operator that cannot begin', () => {
  it('ends the process, so that another takes over', async () => {
    const world = new World();
    const cause = new Error('nobody can read this');
    world.api.poolStatuses.get = () => {
      throw cause;
    };
    world.start();
    assert.deepEqual(world.fatal, [cause]);
    await world.stop();
  });
});

describe('A new director whose lane could not be filled', () => {
  it('is filled and dialled when it is tried again, and its pools are told then', async () => {
    const clock = new FakeClock();
    const api = new FakeApi();
    const host = new FakeDirector({ address: '192.0.2.11', clock, answerDelayMs: 1 });
    const cluster = new FakeCluster(api, () => undefined);
    cluster.sync();
    const fills: string[] = [];
    const members: unknown[] = [];
    const directors = new DirectorController({
      cluster,
      writer: new FakeWriter(api),
      events: new FakeEvents(),
      keys: cluster,
      dialer: fakeDialer([host]),
      leadership: new FakeLease(),
      fleet: new DirectorFleet(),
      clock,
      log: new FakeLog(),
      metrics: NO_METRICS,
      enqueue: () => undefined,
      onServices: () => undefined,
      onReadiness: () => undefined,
      onMembership: (before) => members.push(before),
      fill: async () => {
        fills.push('fill');
        if (fills.length === 1) throw new Error('nobody can read this');
      },
    });
    api.putSecret('director-ssh', 'the private key');
    api.putDirector({ ok: true, value: aDirector() });
    await clock.settle();
    await assert.rejects(directors.reconcile('lb-1'));
    await clock.advance(1_000);
    assert.equal(host.dials, 0);
    await directors.reconcile('lb-1');
    await directors.reconcile('lb-1');
    await clock.advance(1_000);
    assert.equal(fills.length, 2);
    assert.equal(host.dials, 1);
    assert.deepEqual(members, [undefined]);
    await directors.stop();
  });
});
