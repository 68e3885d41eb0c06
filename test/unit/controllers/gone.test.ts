import assert from 'node:assert/strict';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { EXCLUDE_NODE_LABEL } from '../../../operator/model/names.ts';
import { FORWARDING_METHODS, SCHEDULERS } from '../../../operator/model/virtual-server.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';
import { aGroup, slices } from '../../builders/pods.ts';

const WEB = serviceKey('default', 'web');
const two = aNode({ name: 'node-2', internalIPs: ['192.0.2.22'] });
const OLDER = {
  ...{ ipvs: true, netAdmin: true, schedulers: SCHEDULERS, families: ['IPv4', 'IPv6'] },
  forwardingMethods: FORWARDING_METHODS,
};
const excluded = { ...two, labels: { [EXCLUDE_NODE_LABEL]: 'true' } };

describe('A real server that leaves', () => {
  let world: World;
  afterEach(() => world.stop());

  /** In use and draining on both directors. */
  const realServers = () =>
    ['lb-1', 'lb-2'].map((name) => {
      const { table } = world.host(name);
      const [server] = table.virtualServers();
      assert.ok(server);
      const names = (reals: readonly { address: string }[]) => reals.map(({ address }) => address).join(' ');
      return `${names(server.realServers)} | ${names(table.draining(server))}`;
    });
  const both = (text: string) => assert.deepEqual(realServers(), [text, text]);

  async function serving(balancing: NonNullable<Parameters<typeof aPool>[0]>['balancing'] = {}): Promise<void> {
    world = new World({ pools: [aPool({ balancing: { drainSeconds: 3_600, ...balancing } })] });
    world.start();
    await world.run();
    world.api.putService(aService({ name: 'web' }));
    await world.run();
  }

  it('drains when its Node is deleted while it is alive', async () => {
    await serving();
    world.api.deleteNode('node-2');
    await world.run(100);
    both('192.0.2.21 | 192.0.2.22');
  });

  it('goes at once when its Node is deleted after it has died', async () => {
    await serving();
    world.api.putNode({ ...two, silent: true });
    await world.run(60_000);
    both('192.0.2.21 192.0.2.22 | ');
    world.api.deleteNode('node-2');
    await world.run(100);
    both('192.0.2.21 | ');
  });

  it('goes at once when it dies while it drains', async () => {
    await serving();
    world.api.putNode(excluded);
    await world.run(500);
    both('192.0.2.21 | 192.0.2.22');
    world.api.putNode({ ...excluded, silent: true });
    await world.run(100);
    both('192.0.2.21 | ');
  });

  it('goes at once also from a director that was away when it died', async () => {
    await serving();
    world.host('lb-2').fail('Unreachable');
    world.api.putNode({ ...two, silent: true });
    world.api.deleteNode('node-2');
    await world.run(60_000);
    assert.deepEqual(realServers(), ['192.0.2.21 | ', '192.0.2.21 192.0.2.22 | ']);
    world.host('lb-2').recover();
    await world.run(60_000);
    assert.deepEqual(world.host('lb-2').applies.at(-1)?.virtualServers[0]?.gone, [{ address: '192.0.2.22', port: 80 }]);
    both('192.0.2.21 | ');
  });

  for (const [order, steps] of [
    ['its silence is seen first', ['node', 'endpoints']],
    ['its endpoints are seen to go first', ['endpoints', 'node']],
  ] as const) {
    it(`goes at once with externalTrafficPolicy Local when its node has died: ${order}`, async () => {
      await serving();
      world.api.putEndpoints(WEB, { 'node-1': 1, 'node-2': 1 });
      world.api.changeService(WEB, { externalTrafficPolicy: 'Local' });
      await world.run(60_000);
      both('192.0.2.21 192.0.2.22 | ');
      for (const step of steps) {
        if (step === 'node') world.api.putNode({ ...two, silent: true });
        else world.api.putEndpoints(WEB, { 'node-1': 1 });
        await world.run(100);
      }
      both('192.0.2.21 | ');
    });
  }

  it('drains from a director whose helper does not know of death', async () => {
    await serving();
    world.host('lb-1').hello = { capabilities: OLDER };
    world.host('lb-1').dropSessions();
    await world.run(60_000);
    world.api.putNode({ ...two, silent: true });
    world.api.deleteNode('node-2');
    await world.run(100);
    assert.deepEqual(realServers(), ['192.0.2.21 | 192.0.2.22', '192.0.2.21 | ']);
  });

  it('is no longer looked at when its drain is over', async () => {
    await serving({ drainSeconds: 10 });
    world.api.putNode(excluded);
    await world.run(60_000);
    const applies = world.host('lb-1').applies.length;
    world.api.putNode({ ...excluded, silent: true });
    await world.run(60_000);
    assert.equal(world.host('lb-1').applies.length, applies);
  });

  it('of pods goes at once when the pod has ended, and drains until then', async () => {
    await serving({ forwardingMethod: 'Masquerading', backends: 'Pods' });
    for (const host of world.hosts.values())
      host.table.policy = { ...host.table.policy, realServers: ['198.18.0.0/16'] };
    world.api.putPods(WEB, slices(aGroup(['198.18.129.2@node-1', '198.18.130.2@node-2'])));
    await world.run(60_000);
    both('198.18.129.2 198.18.130.2 | ');
    world.api.putPods(WEB, slices(aGroup(['198.18.129.2@node-1', '198.18.130.2@node-2!'])));
    await world.run(500);
    both('198.18.129.2 | 198.18.130.2');
    world.api.putPods(WEB, slices(aGroup(['198.18.129.2@node-1'])));
    await world.run(100);
    both('198.18.129.2 | ');
  });
});
