import assert from 'node:assert/strict';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const WEB = serviceKey('default', 'web');
const EDGE = aPool({ nodeSelector: { matchLabels: { role: 'edge' } } });
const ON_EDGE = { labels: { role: 'edge' } };

/** Nodes join at 192.0.2.3x, and are Ready at once. */
describe('A node that settles', () => {
  let world: World;
  afterEach(() => world.stop());

  const join = (number: number, labels: Readonly<Record<string, string>> = {}) =>
    world.api.putNode(aNode({ name: `new-${number}`, uid: `${number}`, internalIPs: [`192.0.2.3${number}`], labels }));
  /** Last numbers of the addresses that the first director sends new connections to. */
  const used = (address = '203.0.113.10') =>
    world
      .host('lb-1')
      .table.virtualServers()
      .find((server) => server.address === address)
      ?.realServers.filter(({ weight }) => weight > 0)
      .map((server) => Number(server.address.split('.')[3]));
  const writes = () => world.host('lb-1').applies.length;

  it('serves a pool that has lost its only other node, although other pools have nodes', async () => {
    world = new World({ pools: [EDGE] });
    world.api.putNode(aNode({ ...ON_EDGE, internalIPs: ['192.0.2.21'] }));
    await world.serve('web');
    assert.deepEqual(used(), [21]);
    join(1, ON_EDGE.labels);
    await world.run(3_000);
    assert.deepEqual(used(), [21]);
    world.api.deleteNode('node-1');
    await world.run(100);
    assert.deepEqual(used(), [31]);
    const before = writes();
    await world.run(20_000);
    assert.deepEqual(used(), [31]);
    assert.equal(writes(), before, 'nothing changes when it has settled');
  });

  it('still waits in a pool that has others, while one that has none uses it', async () => {
    const all = aPool({ name: 'all', uid: 'uid-of-all', addresses: ['203.0.113.128'] });
    world = new World({ pools: [EDGE, all] });
    world.start();
    world.api.putService(aService({ request: { pool: 'web' } }));
    world.api.putService(aService({ name: 'other', request: { pool: 'all' } }));
    await world.run();
    join(1, ON_EDGE.labels);
    await world.run(5_000);
    assert.deepEqual(used(), [31]);
    assert.deepEqual(used('203.0.113.128'), [21, 22]);
    await world.run(6_000);
    assert.deepEqual(used('203.0.113.128'), [21, 22, 31]);
  });

  it('serves a Service with externalTrafficPolicy Local whose only pod it has, and no other', async () => {
    world = new World();
    world.start();
    world.api.putService(aService({ externalTrafficPolicy: 'Local' }));
    world.api.putService(aService({ name: 'other' }));
    await world.run();
    join(1);
    await world.run(2_000);
    world.api.putEndpoints(WEB, { 'new-1': 1 });
    await world.run(100);
    assert.deepEqual(used(), [31]);
    assert.deepEqual(used('203.0.113.11'), [21, 22]);
  });

  it('goes on serving a Local Service when a pod starts on another node', async () => {
    world = new World();
    world.start();
    world.api.putService(aService({ externalTrafficPolicy: 'Local' }));
    await world.run();
    join(1);
    world.api.putEndpoints(WEB, { 'new-1': 1 });
    await world.run(1_000);
    world.api.putEndpoints(WEB, { 'new-1': 1, 'node-1': 1 });
    await world.run(100);
    assert.deepEqual(used(), [31]);
    await world.run(5_000);
    assert.deepEqual(used(), [21, 31]);
  });

  it('serves a Local Service that has endpoints there when the last other node is deleted', async () => {
    world = new World();
    world.start();
    world.api.putEndpoints(WEB, { 'node-1': 1 });
    world.api.putService(aService({ externalTrafficPolicy: 'Local' }));
    await world.run();
    join(1);
    world.api.putEndpoints(WEB, { 'node-1': 1, 'new-1': 1 });
    await world.run(5_000);
    assert.deepEqual(used(), [21]);
    world.api.deleteNode('node-1');
    await world.run(100);
    assert.deepEqual(used(), [31]);
  });

  it('stays in use when all others that serve settle too, and another has settled first', async () => {
    world = new World();
    await world.serve('web');
    for (const number of [1, 2, 3]) {
      join(number);
      await world.run(1_000);
    }
    world.api.deleteNode('node-1');
    world.api.deleteNode('node-2');
    await world.run(1_000);
    assert.deepEqual(used(), [31, 32, 33]);
    const before = writes();
    await world.run(30_000);
    assert.deepEqual(used(), [31, 32, 33]);
    assert.equal(writes(), before, 'no table is built again while one after the other settles');
  });

  it('waits when it joins those that serve because there is nobody else', async () => {
    world = new World();
    await world.serve('web');
    join(1);
    world.api.deleteNode('node-1');
    world.api.deleteNode('node-2');
    await world.run(5_000);
    join(2);
    await world.run(1_000);
    assert.deepEqual(used(), [31]);
    await world.run(10_000);
    assert.deepEqual(used(), [31, 32]);
  });
});
