import assert from 'node:assert/strict';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { SERVICE_CONDITION } from '../../../operator/model/names.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';
import { aGroup, slices } from '../../builders/pods.ts';

const WEB = serviceKey('default', 'web');

describe('Backends of Services', () => {
  let world: World;
  afterEach(() => world.stop());

  const realServers = () =>
    world
      .host('lb-1')
      .table.virtualServers()[0]
      ?.realServers.map(({ address, port, weight }) => `${address}:${port} ${weight}`);
  const programmed = () => {
    const conditions = world.api.services.get(WEB)?.conditions ?? [];
    return conditions.find(({ type }) => type === SERVICE_CONDITION.programmed);
  };

  it('are weighted by ready pods, small changes not more often than every ten seconds, each in the end', async () => {
    world = new World({ pools: [aPool({ balancing: { weights: 'ReadyPods' } })] });
    world.start();
    await world.run();
    world.api.putService(aService({ name: 'web' }));
    world.api.putEndpoints(WEB, { 'node-1': 4, 'node-2': 4 });
    await world.run();
    assert.deepEqual(realServers(), ['192.0.2.21:80 4', '192.0.2.22:80 4']);
    const applies = world.host('lb-1').applies.length;
    for (const count of [5, 6, 5, 6, 7]) {
      world.api.putEndpoints(WEB, { 'node-1': 4, 'node-2': count });
      await world.run(100);
    }
    await world.run(20_000);
    assert.deepEqual(realServers(), ['192.0.2.21:80 4', '192.0.2.22:80 7']);
    assert.ok(world.host('lb-1').applies.length - applies <= 2, 'at most one at once and one in the end');
  });

  it('are pods where the pool says so, follow them without a write, and drain', async () => {
    world = new World({ pools: [aPool({ balancing: { forwardingMethod: 'Masquerading', backends: 'Pods' } })] });
    for (const host of world.hosts.values())
      host.table.policy = { ...host.table.policy, realServers: ['198.18.0.0/16'] };
    world.start();
    await world.run();
    world.api.putPods(WEB, slices(aGroup(['198.18.129.2', '198.18.130.2'])));
    world.api.putService(aService({ name: 'web', allocatesNodePorts: false, ports: [aServicePort({ nodePort: 0 })] }));
    await world.run();
    assert.deepEqual(realServers(), ['198.18.129.2:8080 1', '198.18.130.2:8080 1']);
    assert.equal(programmed()?.status, 'True', programmed()?.message);
    const writes = world.writer.writes.length;
    world.api.putPods(WEB, slices(aGroup(['198.18.129.2!', '198.18.130.2', '198.18.130.3'])));
    await world.run(500);
    assert.deepEqual(realServers(), ['198.18.130.2:8080 1', '198.18.130.3:8080 1']);
    const [server] = world.host('lb-1').table.virtualServers();
    assert.ok(server);
    assert.equal(world.host('lb-1').table.draining(server).length, 1);
    assert.deepEqual(
      world.writer.writes.slice(writes).filter(({ object }) => object === WEB),
      [],
    );
  });

  it('named by a slice but outside the grant of a director are refused there, and the Service says so', async () => {
    world = new World({ pools: [aPool({ balancing: { forwardingMethod: 'Masquerading', backends: 'Pods' } })] });
    for (const host of world.hosts.values())
      host.table.policy = { ...host.table.policy, realServers: ['198.18.0.0/16'] };
    world.start();
    await world.run();
    world.api.putPods(WEB, slices(aGroup(['198.51.100.66'])));
    world.api.putService(aService({ name: 'web' }));
    await world.run();
    assert.deepEqual(world.host('lb-1').table.virtualServers(), []);
    assert.equal(programmed()?.reason, 'DirectorFailed');
    assert.match(programmed()?.message ?? '', /policy rule realServers forbids real server 198\.51\.100\.66/);
  });

  it('of the ports that can be are served, and the others have their error', async () => {
    world = new World({ pools: [aPool({ balancing: { forwardingMethod: 'Masquerading' } })] });
    world.start();
    await world.run();
    const ports = [aServicePort(), aServicePort({ name: 'x', port: 81, nodePort: 0 })];
    world.api.putService(aService({ name: 'web', ports, allocatesNodePorts: false }));
    await world.run();
    assert.deepEqual(
      world
        .host('lb-1')
        .table.virtualServers()
        .map(({ port }) => port),
      [80],
    );
    assert.deepEqual(world.api.services.get(WEB)?.ingress[0]?.ports, [
      { port: 80, protocol: 'TCP' },
      { port: 81, protocol: 'TCP', error: 'ipvs-operator.io/NoNodePort' },
    ]);
    assert.equal(programmed()?.reason, 'PortsNotProgrammed');
    const writes = world.writer.writes.length;
    await world.run(120_000);
    assert.equal(world.writer.writes.length, writes, 'and nothing is written again');
  });
});
