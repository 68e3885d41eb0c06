import assert from 'node:assert/strict';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { type ServiceKey, serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { CORE_FINALIZER, FINALIZER } from '../../../operator/model/names.ts';
import { formatVirtualServerKey } from '../../../operator/model/virtual-server.ts';
import { aDirector } from '../../builders/a-director.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService, aServicePort } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const WEB = serviceKey('default', 'web');

describe('The operator as a whole', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  const tableOf = (director: string) => world.host(director).table.virtualServers().map(formatVirtualServerKey);
  const tables = () => [...world.api.directors.keys()].map(tableOf);
  const writesTo = (key: ServiceKey) =>
    world.writer.writes.filter(({ object }) => object === key).map(({ verb }) => verb);
  const keyOf = (name: string) => serviceKey('default', name);

  /** Services `a`, `b`, … served. */
  async function serving(...names: string[]): Promise<void> {
    world.start();
    await world.run();
    for (const name of names) {
      world.api.putService(aService({ name }));
      await world.run(100);
    }
    await world.run();
  }

  describe('for a new Service', () => {
    it('publishes the address when both directors have confirmed its virtual servers', async () => {
      await serving('web');
      assert.deepEqual(tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      assert.equal(world.service(WEB).ingress[0]?.ipMode, 'VIP');
    });

    it('writes twice, once to claim and once to publish, and says it in one event', async () => {
      await serving('web');
      assert.deepEqual(writesTo(WEB), ['claim', 'serviceStatus']);
      assert.deepEqual(world.events.about('Service', 'web'), [
        'EnsuredLoadBalancer: Address 203.0.113.10 from LoadBalancerPool web. Programmed on director lb-1 and lb-2.',
      ]);
    });

    it('has both finalizers stored before anything reaches a director', async () => {
      let claimedFirst = true;
      world.start();
      await world.run();
      world.writer.onWrite = ({ verb }) => {
        if (verb === 'claim') claimedFirst = tables().every((table) => table.length === 0);
      };
      world.api.putService(aService());
      await world.run();
      assert.ok(claimedFirst);
      assert.deepEqual([...world.service(WEB).finalizers].sort(), [FINALIZER, CORE_FINALIZER].sort());
      assert.equal(world.service(WEB).allocatedFromPool, 'web');
    });

    it('programs nothing and gives no address away when the claim fails, and succeeds later', async () => {
      world.start();
      await world.run();
      world.writer.fault = ({ verb }) => (verb === 'claim' ? 'failed' : undefined);
      world.api.putService(aService());
      await world.run(1_000);
      assert.deepEqual(tables(), [[], []]);
      world.writer.fault = () => undefined;
      await world.run(60_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });

    it('says once what is missing when the pool is exhausted, and serves it when an address comes free', async () => {
      await serving('a', 'b', 'c', 'd', 'e');
      assert.deepEqual(world.published(keyOf('e')), []);
      assert.match(world.condition(keyOf('e'), 'AddressAssigned') ?? '', /^False PoolExhausted: /);
      await world.run(600_000);
      assert.equal(world.events.about('Service', 'e').length, 1);
      assert.match(world.events.about('Service', 'e')[0] ?? '', /^AllocationFailed: /);
      world.api.deleteService(keyOf('b'));
      await world.run();
      assert.deepEqual(world.published(keyOf('e')), ['203.0.113.11']);
    });

    it('names what cannot be programmed', async () => {
      world = new World({ pools: [aPool({ balancing: { forwardingMethod: 'Masquerading' } })] });
      world.start();
      world.api.putService(aService({ ports: [aServicePort({ nodePort: 0 })], allocatesNodePorts: false }));
      await world.run();
      assert.deepEqual(world.published(WEB), []);
      assert.match(world.condition(WEB, 'Programmed') ?? '', /^False CannotProgram: .*node port/);
      assert.match(world.events.about('Service', 'web').join(), /^SyncLoadBalancerFailed: /);
    });

    it('says so when a director refuses its address, and publishes it when the policy is mended', async () => {
      const { policy } = world.host('lb-2').table;
      world.host('lb-2').table.policy = { ...policy, addresses: ['198.51.100.0/24'] };
      await serving('web');
      assert.deepEqual(world.published(WEB), []);
      assert.match(world.condition(WEB, 'Programmed') ?? '', /^False DirectorFailed: Director lb-2 refused/);
      world.host('lb-2').table.policy = policy;
      await world.run(60_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });
  });

  describe('for a Service that changes', () => {
    it('follows a changed port without losing the address', async () => {
      await serving('web');
      world.api.putService(aService({ ports: [aServicePort({ port: 81 })] }));
      await world.run();
      assert.deepEqual(tables(), [['TCP 203.0.113.10:81'], ['TCP 203.0.113.10:81']]);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });

    it('follows the nodes of the cluster without a write to any Service', async () => {
      await serving('web');
      const writes = world.writer.writes.length;
      world.api.putNode(aNode({ name: 'node-3', internalIPs: ['192.0.2.23'] }));
      await world.run(11_000);
      for (const name of ['lb-1', 'lb-2']) {
        const [server] = world.host(name).table.virtualServers();
        assert.deepEqual(
          server?.realServers.map(({ address }) => address),
          ['192.0.2.21', '192.0.2.22', '192.0.2.23'],
        );
      }
      assert.deepEqual(
        world.writer.writes.slice(writes).filter(({ object }) => object === WEB),
        [],
      );
    });

    it('sends nothing to a new node before it has been ready for a while, and lets go of a deleted one at once', async () => {
      await serving('web');
      const used = () =>
        world
          .host('lb-1')
          .table.virtualServers()[0]
          ?.realServers.map(({ address }) => String(address));
      const node = aNode({ name: 'node-3', internalIPs: ['192.0.2.23'] });
      world.api.putNode(node);
      await world.run(5_000);
      assert.deepEqual(used(), ['192.0.2.21', '192.0.2.22'], 'the nodes that were there at the start are used at once');
      world.api.deleteNode('node-3');
      world.api.putNode({ ...node, hasBeenReady: false });
      await world.run(60_000);
      assert.deepEqual(used(), ['192.0.2.21', '192.0.2.22']);
      world.api.putNode(node);
      await world.run(5_000);
      assert.deepEqual(used(), ['192.0.2.21', '192.0.2.22']);
      await world.run(6_000);
      assert.deepEqual(used(), ['192.0.2.21', '192.0.2.22', '192.0.2.23']);
      world.api.putNode({ ...node, taintKeys: ['node.kubernetes.io/not-ready'] });
      await world.run(60_000);
      assert.equal(used()?.length, 3, 'a node that was ready once stays');
      world.api.deleteNode('node-3');
      await world.run(100);
      assert.deepEqual(used(), ['192.0.2.21', '192.0.2.22']);
    });

    it('moves it to the address it asks for, which is served before the old one is closed', async () => {
      await serving('web');
      const held: boolean[] = [];
      world.writer.onWrite = ({ verb }) => {
        if (verb === 'serviceStatus') held.push(tableOf('lb-1').some((text) => text === 'TCP 203.0.113.10:80'));
      };
      world.api.putService(aService({ request: { addresses: ['203.0.113.13'] } }));
      await world.run();
      assert.deepEqual(held, [true], 'the old one was served until the status showed the new one');
      assert.deepEqual(world.published(WEB), ['203.0.113.13']);
      assert.deepEqual(tables(), [['TCP 203.0.113.13:80'], ['TCP 203.0.113.13:80']]);
      assert.match(
        world.events.about('Service', 'web').at(-1) ?? '',
        /^UpdatedLoadBalancer: .*203\.0\.113\.13.*Before: 203\.0\.113\.10/,
      );
    });

    it('keeps what it has when its wishes can no longer be read', async () => {
      await serving('web');
      const problems = ['Annotation ipvs-operator.io/scheduler: no scheduler is called "fast".'];
      world.api.putService(aService({ problems, ports: [aServicePort({ port: 81 })] }));
      await world.run();
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      assert.deepEqual(tableOf('lb-1'), ['TCP 203.0.113.10:80']);
      assert.match(world.condition(WEB, 'Programmed') ?? '', /no scheduler is called "fast"/);
    });

    it('puts back a status that somebody else has overwritten', async () => {
      await serving('web');
      await world.run(60_000);
      world.api.changeService(WEB, { ingress: [] });
      await world.run(10_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });

    it('puts back at most once a minute what another writer overwrites again and again, and says each time who does', async () => {
      await serving('web');
      world.writer.otherWriter = 'other-lb';
      const before = writesTo(WEB).length;
      const foreign = { ip: '192.0.2.99' as IpAddress, ipMode: 'VIP' } as const;
      for (let second = 0; second < 600; second += 1) {
        const [shown] = world.published(WEB);
        if (shown !== foreign.ip) world.api.changeService(WEB, { ingress: [foreign] });
        await world.run(1_000);
      }
      const corrections = writesTo(WEB).length - before;
      assert.ok(corrections >= 9 && corrections <= 11, `${corrections} corrections in ten minutes`);
      const told = world.events.about('Service', 'web').slice(1);
      assert.equal(told.length, corrections);
      for (const event of told) {
        assert.match(event, /^StatusRewritten: Field manager other-lb had changed the addresses \(192\.0\.2\.99\)/);
      }
      world.writer.otherWriter = undefined;
      await world.run(61_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      assert.deepEqual(tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
    });

    it('writes a change of its own at once, also when it has just put something right', async () => {
      await serving('web');
      world.api.changeService(WEB, { ingress: [] });
      await world.run(1_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      world.api.putService(aService({ request: { addresses: ['203.0.113.12' as IpAddress] } }));
      await world.run(1_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.12']);
    });
  });

  describe('for a Service that goes', () => {
    it('takes everything back, and gives the address to the next one', async () => {
      await serving('web');
      world.api.deleteService(WEB);
      await world.run();
      assert.equal(world.api.services.get(WEB), undefined);
      assert.deepEqual(tables(), [[], []]);
      world.api.putService(aService({ name: 'next' }));
      await world.run();
      assert.deepEqual(world.published(keyOf('next')), ['203.0.113.10']);
    });

    it('does the same when its type changes, and clears its status', async () => {
      await serving('web');
      world.api.makeClusterIP(WEB);
      await world.run();
      const { finalizers, ingress, conditions, allocatedFromPool } = world.service(WEB);
      assert.deepEqual(
        { finalizers, ingress, conditions, allocatedFromPool },
        { finalizers: [], ingress: [], conditions: [], allocatedFromPool: undefined },
      );
      assert.deepEqual(tables(), [[], []]);
    });

    it('keeps the finalizer and the address while a director cannot be asked, and says which', async () => {
      await serving('web');
      world.host('lb-2').fail('Unreachable', 'Director lb-2: no route to 192.0.2.12.');
      world.api.deleteService(WEB);
      await world.run(60_000);
      assert.ok(world.service(WEB).finalizers.includes(FINALIZER));
      assert.deepEqual(tableOf('lb-1'), []);
      const said = world.events.about('Service', 'web').filter((event) => event.startsWith('DeletingLoadBalancer'));
      assert.equal(said.length, 1);
      assert.match(said[0] ?? '', /no route to 192\.0\.2\.12/);
      world.api.putService(aService({ name: 'next' }));
      await world.run(10_000);
      assert.deepEqual(world.published(keyOf('next')), ['203.0.113.11']);
      world.host('lb-2').recover();
      await world.run(60_000);
      assert.equal(world.api.services.get(WEB), undefined);
      assert.deepEqual(tableOf('lb-2'), ['TCP 203.0.113.11:80']);
    });

    it('waits no longer for a director whose object is deleted', async () => {
      await serving('web');
      world.host('lb-2').fail('Unreachable');
      world.api.deleteService(WEB);
      await world.run(60_000);
      world.api.deleteDirector('lb-2');
      await world.run();
      assert.equal(world.api.services.get(WEB), undefined);
    });

    it('finishes what it was doing before a restart', async () => {
      await serving('web');
      await world.stop();
      world.api.deleteService(WEB);
      world.start();
      await world.run();
      assert.equal(world.api.services.get(WEB), undefined);
      assert.deepEqual(tables(), [[], []]);
    });

    it('finds what is left of a Service whose type changed while it was away, although its status is gone', async () => {
      await serving('web');
      await world.stop();
      world.api.makeClusterIP(WEB);
      world.start();
      await world.run();
      assert.deepEqual(world.service(WEB).finalizers, []);
      assert.deepEqual(tables(), [[], []]);
    });

    it('closes it also when somebody has taken the finalizer off', async () => {
      await serving('web');
      world.api.changeService(WEB, { finalizers: [], deleting: true });
      await world.run();
      assert.deepEqual(tables(), [[], []]);
    });
  });

  describe('with directors in trouble', () => {
    it('serves with the other one, names the dead one in pool and director, and fills it when it returns', async () => {
      world.host('lb-2').fail('Unreachable', 'Director lb-2: no route to 192.0.2.12.');
      await serving('web');
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
      assert.deepEqual(tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
      assert.equal(world.writer.poolStatuses.get('web')?.directorsReady, '2/2');
      assert.match(world.events.about('Director', 'lb-2').join(), /DirectorReady: /);
    });

    it('writes nothing to published Services when directors go and come back', async () => {
      await serving('a', 'b');
      const writes = world.writer.writes.length;
      for (const name of ['lb-1', 'lb-2']) world.host(name).fail('Unreachable');
      await world.run(60_000);
      for (const name of ['lb-1', 'lb-2']) world.host(name).recover();
      await world.run(120_000);
      assert.deepEqual(
        world.writer.writes.slice(writes).filter(({ verb }) => verb === 'serviceStatus'),
        [],
      );
      assert.deepEqual(world.published(keyOf('a')), ['203.0.113.10']);
    });

    it('publishes after a bounded time although a director accepts and stays silent', async () => {
      await serving('a');
      world.host('lb-2').freeze();
      world.api.putService(aService({ name: 'b' }));
      await world.run(8_000);
      assert.deepEqual(world.published(keyOf('b')), ['203.0.113.11']);
    });

    it('publishes nothing while no director is ready, and says so', async () => {
      for (const name of ['lb-1', 'lb-2']) world.host(name).fail('AuthenticationFailed');
      await serving('web');
      assert.deepEqual(world.published(WEB), []);
      assert.match(world.condition(WEB, 'Programmed') ?? '', /^False NoDirectorReady: /);
      assert.match(world.events.about('Service', 'web').join(), /UnAvailableLoadBalancer: /);
    });

    it('says that the pool selects no director, and changes nothing on any', async () => {
      await serving('web');
      world.api.putPool({ ok: true, value: aPool({ directorSelector: { matchLabels: { site: 'nowhere' } } }) });
      await world.run(10_000);
      assert.deepEqual(tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      assert.match(world.condition(WEB, 'Programmed') ?? '', /NoDirectorSelected/);
    });

    it('moves to other directors of the pool before it leaves the old ones', async () => {
      await serving('web');
      const third = aDirector({ name: 'lb-3', address: '192.0.2.13', labels: { site: 'rack-b' } });
      world.addDirector(third).fail('Unreachable');
      world.api.putPool({ ok: true, value: aPool({ directorSelector: { matchLabels: { site: 'rack-b' } } }) });
      await world.run(10_000);
      assert.deepEqual(tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80'], []]);
      world.host('lb-3').recover();
      await world.run(60_000);
      assert.deepEqual(tables(), [[], [], ['TCP 203.0.113.10:80']]);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });

    it('keeps the table of a cordoned director but waits for it no longer, and empties a drained one', async () => {
      await serving('a');
      world.api.putDirector({ ok: true, value: aDirector({ name: 'lb-2', address: '192.0.2.12', state: 'Cordoned' }) });
      await world.run();
      assert.deepEqual(tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
      world.host('lb-2').freeze();
      world.api.putService(aService({ name: 'b' }));
      await world.run(100);
      assert.deepEqual(world.published(keyOf('b')), ['203.0.113.11']);
      world.host('lb-2').thaw();
      world.api.putDirector({ ok: true, value: aDirector({ name: 'lb-2', address: '192.0.2.12', state: 'Drained' }) });
      await world.run(60_000);
      assert.deepEqual(tableOf('lb-2'), []);
      assert.equal(tableOf('lb-1').length, 2);
    });

    it('fills a director that is added later', async () => {
      await serving('a', 'b');
      world.addDirector(aDirector({ name: 'lb-3', address: '192.0.2.13' }));
      await world.run();
      assert.deepEqual(tableOf('lb-3'), tableOf('lb-1'));
      assert.equal(tableOf('lb-3').length, 2);
    });

    it('logs in again when the Secret is replaced', async () => {
      world.api.deleteSecret('director-ssh');
      await serving('web');
      assert.match(world.writer.directorStatuses.get('lb-1')?.message ?? '', /Secret director-ssh does not exist/);
      world.api.putSecret('director-ssh', 'the private key');
      await world.run(1_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });
  });

  describe('with pools that change', () => {
    it('changes nothing on the directors while a pool is paused, and catches up afterwards', async () => {
      await serving('a', 'b');
      world.api.putPool({ ok: true, value: aPool({ paused: true }) });
      world.api.putNode(aNode({ name: 'node-3', internalIPs: ['192.0.2.23'] }));
      world.api.deleteService(keyOf('b'));
      world.api.putService(aService({ name: 'a', ports: [aServicePort({ port: 81 })] }));
      const writes = ['lb-1', 'lb-2'].map((name) => world.host(name).table.totalWrites);
      await world.run(200_000);
      await world.stop();
      world.start();
      await world.run(200_000);
      assert.deepEqual(
        ['lb-1', 'lb-2'].map((name) => world.host(name).table.totalWrites),
        writes,
      );
      world.api.putPool({ ok: true, value: aPool() });
      await world.run();
      assert.deepEqual(tables(), [['TCP 203.0.113.10:81'], ['TCP 203.0.113.10:81']]);
      assert.equal(world.api.services.get(keyOf('b')), undefined);
    });

    it('leaves the Services of a deleted pool as they are', async () => {
      await serving('web');
      world.api.poolFinalizers.clear(); // somebody has taken our finalizer off
      world.api.deletePool('web');
      await world.run(100_000);
      await world.stop();
      world.start();
      await world.run(100_000);
      assert.deepEqual(tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      assert.match(world.condition(WEB, 'Programmed') ?? '', /LoadBalancerPool web does not exist any more/);
    });

    it('serves waiting Services when a pool is made', async () => {
      world = new World({ pools: [] });
      await serving('web');
      assert.match(world.condition(WEB, 'AddressAssigned') ?? '', /^False NoPool: /);
      world.api.putPool({ ok: true, value: aPool() });
      await world.run();
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });

    it('says in its status what is wrong with a pool that cannot be read', async () => {
      const problems = ['spec.addresses[0]: 203.0.113.9-203.0.113.1 is reversed.'];
      world.api.putPool({ ok: false, name: 'bad', generation: 1, problems });
      await serving('web');
      assert.match(JSON.stringify(world.writer.poolStatuses.get('bad')?.conditions), /is reversed/);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });

    it('counts addresses and directors in the status of the pool, with few writes', async () => {
      await serving('a', 'b', 'c');
      await world.run(10_000);
      const status = world.writer.poolStatuses.get('web');
      assert.equal(status?.assignedIPv4, 3);
      assert.equal(status?.availableIPv4, '1');
      assert.equal(status?.directorsReady, '2/2');
      assert.equal(status?.virtualServers, 3);
      const writes = world.writer.writes.filter(({ verb }) => verb === 'poolStatus').length;
      assert.ok(writes <= 6, `${writes} writes of the status of one pool`);
    });

    it('writes the status of a pool once a second at most, and of a director too, while a thousand Services are created', async () => {
      const addresses = ['198.18.0.0/16'];
      world = new World({ pools: [aPool({ addresses })] });
      for (const { table } of world.hosts.values()) table.policy = { ...table.policy, addresses };
      world.start();
      await world.run(10_000);
      const before = world.writer.writes.length;
      for (let index = 0; index < 1_000; index += 1) {
        world.api.putService(aService({ name: `one-of-many-${index}` }));
        if (index % 100 === 99) await world.run(1_000);
      }
      await world.run(10_000);
      const writes = world.writer.writes.slice(before);
      const count = (verb: string) => writes.filter((write) => write.verb === verb).length;
      assert.deepEqual([count('claim'), count('serviceStatus')], [1_000, 1_000]);
      assert.equal(world.writer.poolStatuses.get('web')?.used, 1_000);
      assert.ok(count('poolStatus') <= 20, `${count('poolStatus')} writes of the status of the pool in 20 s`);
      assert.ok(
        count('directorStatus') <= 40,
        `${count('directorStatus')} writes of the status of two directors in 20 s`,
      );
    });
  });

  describe('when it is restarted', () => {
    it('changes nothing at all: no Service, no table', async () => {
      await serving('a', 'b', 'c');
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
      await serving('a', 'b');
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
        assert.deepEqual(writesTo(keyOf(name)), ['serviceStatus']);
        assert.match(world.condition(keyOf(name), 'Programmed') ?? '', /: Programmed on director lb-1 and lb-2\.$/);
      }
    });

    it('writes no status for minutes when nothing happens', async () => {
      await serving('a');
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
          assert.deepEqual(tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
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
          assert.equal(tableOf('lb-1').length, 1);
          assert.equal(world.published(keyOf('stays')).length, 1);
        },
      );
    });
  });
});
