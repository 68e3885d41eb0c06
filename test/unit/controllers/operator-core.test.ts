import assert from 'node:assert/strict';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { CORE_FINALIZER, FINALIZER } from '../../../operator/model/names.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const WEB = serviceKey('default', 'web');

describe('The operator', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  describe('for a new Service', () => {
    it('publishes the address when both directors have confirmed its virtual servers', async () => {
      await world.serve('web');
      assert.deepEqual(world.tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      assert.equal(world.service(WEB).ingress[0]?.ipMode, 'VIP');
    });

    it('writes twice, once to claim and once to publish, and says it in one event', async () => {
      await world.serve('web');
      assert.deepEqual(world.writesTo(WEB), ['claim', 'serviceStatus']);
      assert.deepEqual(world.events.about('Service', 'web'), [
        'EnsuredLoadBalancer: Address 203.0.113.10 from LoadBalancerPool web. Programmed on director lb-1 and lb-2.',
      ]);
    });

    it('has both finalizers stored before anything reaches a director', async () => {
      let claimedFirst = true;
      world.start();
      await world.run();
      world.writer.onWrite = ({ verb }) => {
        if (verb === 'claim') claimedFirst = world.tables().every((table) => table.length === 0);
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
      assert.deepEqual(world.tables(), [[], []]);
      world.writer.fault = () => undefined;
      await world.run(60_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });

    it('says once what is missing when the pool is exhausted, and serves it when an address comes free', async () => {
      await world.serve('a', 'b', 'c', 'd', 'e');
      assert.deepEqual(world.published(serviceKey('default', 'e')), []);
      assert.match(world.condition(serviceKey('default', 'e'), 'AddressAssigned') ?? '', /^False PoolExhausted: /);
      await world.run(600_000);
      assert.equal(world.events.about('Service', 'e').length, 1);
      assert.match(world.events.about('Service', 'e')[0] ?? '', /^AllocationFailed: /);
      world.api.deleteService(serviceKey('default', 'b'));
      await world.run();
      assert.deepEqual(world.published(serviceKey('default', 'e')), ['203.0.113.11']);
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
      await world.serve('web');
      assert.deepEqual(world.published(WEB), []);
      assert.match(world.condition(WEB, 'Programmed') ?? '', /^False DirectorFailed: Director lb-2 refused/);
      world.host('lb-2').table.policy = policy;
      await world.run(60_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });
  });

  describe('for a Service that changes', () => {
    it('follows a changed port without losing the address', async () => {
      await world.serve('web');
      world.api.putService(aService({ ports: [aServicePort({ port: 81 })] }));
      await world.run();
      assert.deepEqual(world.tables(), [['TCP 203.0.113.10:81'], ['TCP 203.0.113.10:81']]);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });

    it('follows the nodes of the cluster without a write to any Service', async () => {
      await world.serve('web');
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
      await world.serve('web');
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

    it('lets a new node wait for its kube-proxy as long as it is told to', async () => {
      world = new World({ kubeProxy: { newNodeMs: 60_000, newEndpointMs: 3_000 } });
      await world.serve('web');
      const used = () => world.host('lb-1').table.virtualServers()[0]?.realServers.length;
      world.api.putNode(aNode({ name: 'node-3', internalIPs: ['192.0.2.23'] }));
      await world.run(59_000);
      assert.equal(used(), 2);
      await world.run(2_000);
      assert.equal(used(), 3);
    });

    it('lets a node with its first local endpoint wait for its kube-proxy as long as it is told to', async () => {
      world = new World({ kubeProxy: { newNodeMs: 10_000, newEndpointMs: 60_000 } });
      world.api.putEndpoints(WEB, { 'node-1': 1 });
      world.start();
      world.api.putService(aService({ externalTrafficPolicy: 'Local' }));
      await world.run();
      const used = () => world.host('lb-1').table.virtualServers()[0]?.realServers.length;
      world.api.putEndpoints(WEB, { 'node-1': 1, 'node-2': 1 });
      await world.run(59_000);
      assert.equal(used(), 1);
      await world.run(2_000);
      assert.equal(used(), 2);
    });

    it('moves it to the address it asks for, which is served before the old one is closed', async () => {
      await world.serve('web');
      const held: boolean[] = [];
      world.writer.onWrite = ({ verb }) => {
        if (verb === 'serviceStatus') held.push(world.tableOf('lb-1').some((text) => text === 'TCP 203.0.113.10:80'));
      };
      world.api.putService(aService({ request: { addresses: ['203.0.113.13'] } }));
      await world.run();
      assert.deepEqual(held, [true], 'the old one was served until the status showed the new one');
      assert.deepEqual(world.published(WEB), ['203.0.113.13']);
      assert.deepEqual(world.tables(), [['TCP 203.0.113.13:80'], ['TCP 203.0.113.13:80']]);
      assert.match(
        world.events.about('Service', 'web').at(-1) ?? '',
        /^UpdatedLoadBalancer: .*203\.0\.113\.13.*Before: 203\.0\.113\.10/,
      );
    });

    it('keeps what it has when its wishes can no longer be read', async () => {
      await world.serve('web');
      const problems = ['Annotation ipvs-operator.io/scheduler: no scheduler is called "fast".'];
      world.api.putService(aService({ problems, ports: [aServicePort({ port: 81 })] }));
      await world.run();
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      assert.deepEqual(world.tableOf('lb-1'), ['TCP 203.0.113.10:80']);
      assert.match(world.condition(WEB, 'Programmed') ?? '', /no scheduler is called "fast"/);
    });

    it('puts back a status that somebody else has overwritten', async () => {
      await world.serve('web');
      await world.run(60_000);
      world.api.changeService(WEB, { ingress: [] });
      await world.run(10_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
    });

    it('puts back at most once a minute what another writer overwrites again and again, and says each time who does', async () => {
      await world.serve('web');
      world.writer.otherWriter = 'other-lb';
      const before = world.writesTo(WEB).length;
      const foreign = { ip: '192.0.2.99' as IpAddress, ipMode: 'VIP' } as const;
      for (let second = 0; second < 600; second += 1) {
        const [shown] = world.published(WEB);
        if (shown !== foreign.ip) world.api.changeService(WEB, { ingress: [foreign] });
        await world.run(1_000);
      }
      const corrections = world.writesTo(WEB).length - before;
      assert.ok(corrections >= 9 && corrections <= 11, `${corrections} corrections in ten minutes`);
      const told = world.events.about('Service', 'web').slice(1);
      assert.equal(told.length, corrections);
      for (const event of told) {
        assert.match(event, /^StatusRewritten: Field manager other-lb had changed the addresses \(192\.0\.2\.99\)/);
      }
      world.writer.otherWriter = undefined;
      await world.run(61_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      assert.deepEqual(world.tables(), [['TCP 203.0.113.10:80'], ['TCP 203.0.113.10:80']]);
    });

    it('writes a change of its own at once, also when it has just put something right', async () => {
      await world.serve('web');
      world.api.changeService(WEB, { ingress: [] });
      await world.run(1_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.10']);
      world.api.putService(aService({ request: { addresses: ['203.0.113.12' as IpAddress] } }));
      await world.run(1_000);
      assert.deepEqual(world.published(WEB), ['203.0.113.12']);
    });
  });
});
