import './hooks.ts';
import assert from 'node:assert/strict';
import { untilCondition } from './described.ts';
import { eventually } from './eventually.ts';
import { ipvsadmOf, untilOnDirectors } from './kernel.ts';
import { pool, service } from './manifests.ts';
import { nodesOf } from './nodes.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

describe('tunnels', function () {
  this.timeout(180_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open('tunnels');
    await scene.app('web', { replicas: 2 });
  });
  after(() => scene.close());

  const tunnels = [
    { name: 'ipip', address: '203.0.113.246', tunnel: { type: 'ipip' } },
    { name: 'gue', address: '203.0.113.247', tunnel: { type: 'gue', port: 6080, checksum: true, mssClamp: 1400 } },
    { name: 'gre', address: '203.0.113.248', tunnel: { type: 'gre' } },
  ] as const;
  for (const { name, address, tunnel } of tunnels) {
    it(`${name}: stand in the kernels with the port of the Service, and the address is published as VIP`, async () => {
      const spec = { addresses: [address], forwardingMethod: 'Tunneling', tunnel };
      await scene.apply(pool(`tunnel-${name}`, spec));
      const web = service({ namespace: scene.namespace, name, app: 'web', pool: `tunnel-${name}` });
      await scene.apply(web);
      await scene.addresses(name, 1);
      const realServers = (await nodesOf(lab())).map((node) => `${node.address}:80 Tunneling 1`);
      await untilOnDirectors(`TCP ${address}:80`, { realServers, draining: [] });
      const { status } = await cluster().get('service', name, scene.namespace);
      assert.equal(status.loadBalancer.ingress[0].ipMode, 'VIP');
      if (name !== 'gue') return;
      for (const director of lab().directors) {
        await eventually(`the segment clamp on ${director.name}`, async () => {
          assert.match(await director.read('nft list table inet ipvs-operator-prod'), /maxseg/);
          return true;
        });
      }
    });
  }

  it('of a scheduler that no director has are refused before anything is written', async () => {
    const annotations = { 'ipvs-operator.io/scheduler': 'twos' };
    await scene.apply(service({ namespace: scene.namespace, name: 'twos', app: 'web', annotations }));
    const { namespace } = scene;
    const options = { namespace, reason: 'DirectorFailed' };
    const { message } = await untilCondition('service', 'twos', 'ipvs-operator.io/Programmed', 'False', options);
    assert.match(message, /its kernel has no scheduler twos: install the module ip_vs_twos/);
    for (const director of lab().directors) assert.doesNotMatch(await ipvsadmOf(director), /twos/);
  });
});
