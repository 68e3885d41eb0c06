import assert from 'node:assert/strict';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const WEB = serviceKey('default', 'web');

describe('The operator', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  describe('when it is restarted', () => {
    it('changes nothing at all: no Service, no table', async () => {
      await world.serve('a', 'b', 'c');
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
      const others = world.writer.writes
        .slice(writes)
        .filter(({ verb }) => verb !== 'poolStatus' && verb !== 'directorStatus');
      assert.deepEqual(others, []);
    });

    it('changes nothing either while a director is away', async () => {
      await world.serve('a', 'b');
      await world.stop();
      world.host('lb-2').fail('Unreachable');
      const services = JSON.stringify([...world.api.services.values()]);
      world.start();
      await world.run(100_000);
      assert.equal(JSON.stringify([...world.api.services.values()]), services);
    });

    it('says of no Service that a director is away which is only being connected', async () => {
      world = new World({ pools: [aPool({ addresses: ['203.0.113.0/24'] })] });
      const names = Array.from({ length: 20 }, (_, index) => `adopted-${index}`);
      for (const [index, name] of names.entries()) {
        world.api.putService(aPublishedService({ name, ingress: [`203.0.113.${1 + index}`] }));
      }
      world.start();
      await world.run(20_000);
      for (const name of names) {
        assert.deepEqual(world.writesTo(serviceKey('default', name)), ['serviceStatus']);
        assert.match(
          world.condition(serviceKey('default', name), 'Programmed') ?? '',
          /: Programmed on director lb-1 and lb-2\.$/,
        );
      }
    });

    it('writes no status for minutes when nothing happens', async () => {
      await world.serve('a');
      await world.run(120_000);
      const writes = world.writer.writes.length;
      await world.run(600_000);
      assert.equal(world.writer.writes.length, writes);
    });
  });

  describe('whatever write it dies at', () => {
    /** Runs the story again and again, and kills the process after its nth write until it no longer gets that far. */
    async function atEveryWrite(story: () => Promise<void>, holds: () => void): Promise<void> {
      for (let nth = 1; nth < 50; nth += 1) {
        world = new World({ seed: nth });
        let left = nth;
        const maybeDie = () => {
          left -= 1;
          if (left === 0) world.crash();
        };
        world.writer.onWrite = maybeDie;
        for (const host of world.hosts.values()) {
          const push = host.applies.push.bind(host.applies);
          host.applies.push = (...requests) => {
            // After the helper has carried it out, before the answer is read.
            world.clock.schedule(0, maybeDie);
            return push(...requests);
          };
        }
        await story();
        if (left > 0) return world.stop();
        world.start();
        await world.run(60_000);
        holds();
        await world.stop();
      }
      assert.fail('the story never ends');
    }

    it('the next process publishes a new Service', async () => {
      await atEveryWrite(
        async () => {
          world.start();
          world.api.putService(aService());
          await world.run();
        },
        () => {
          assert.deepEqual(world.published(WEB), ['203.0.113.10']);
          assert.deepEqual(world.tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
        },
      );
    });

    it('the next process takes back a deleted Service', async () => {
      await atEveryWrite(
        async () => {
          world.start();
          world.api.putService(aService());
          world.api.putService(aService({ name: 'stays' }));
          await world.run();
          world.api.deleteService(WEB);
          await world.run();
        },
        () => {
          const remains = world.api.services.get(WEB);
          if (remains !== undefined && !remains.deleting) return;
          assert.equal(remains, undefined);
          assert.equal(world.tableOf('lb-1').length, 1);
          assert.equal(world.published(serviceKey('default', 'stays')).length, 1);
        },
      );
    });
  });
});
