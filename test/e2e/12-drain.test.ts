import './hooks.ts';
import assert from 'node:assert/strict';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import { answeringPods } from './answers.ts';
import { undisturbed } from './bystander.ts';
import { eventually } from './eventually.ts';
import { HeldConnection } from './held-connection.ts';
import { tableOf, untilOnDirectors } from './kernel.ts';
import { service } from './manifests.ts';
import { directRouting, type LabNode, nodesOf } from './nodes.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

const EXCLUDE = 'node.kubernetes.io/exclude-from-external-load-balancers';
/** Long enough for the test to look; a closed TCP connection counts as inactive for 120 s, so that the drain ends with this. */
const DRAIN = { 'ipvs-operator.io/drain-timeout': '45s' };

describe('a node that leaves drains', function () {
  this.timeout(180_000);
  let scene: Scene;
  let address: string;
  let nodes: readonly LabNode[];

  before(async function () {
    this.timeout(180_000);
    scene = await Scene.open('drain');
    await scene.app('web', { replicas: 2 });
    const web = service({ namespace: scene.namespace, name: 'web' });
    await scene.apply({
      ...web,
      metadata: { ...web.metadata, annotations: { ...web.metadata.annotations, ...DRAIN } },
    });
    [address = ''] = await scene.addresses('web', 1);
    await answeringPods('TCP', 'client', address, 2);
    nodes = await nodesOf(lab());
  });
  after(() => scene.close());

  it('its connections live until they end, new ones go elsewhere, no request is lost, and then it is gone', () =>
    undisturbed(async () => {
      const [leaving, ...staying] = nodes;
      const [director] = lab().directors;
      assert.ok(leaving && director);
      const key = `TCP ${address}:80`;
      const held = await holdConnections(director, address, leaving);
      const loop = await lab().client('client').loop(`http://${address}/hostname`);
      await cluster().kubectl('label', 'node', leaving.name, `${EXCLUDE}=true`);
      try {
        await untilOnDirectors(key, { realServers: directRouting(staying) });
        const during = async () => {
          const entry = (await tableOf(director)).get(key);
          assert.deepEqual(entry?.draining, [`${leaving.address}:80`]);
          assert.ok((await connectionsVia(director, address, leaving)) > 0, 'its connections are there');
        };
        await during();
        for (const connection of held) await connection.answers(20);
        await during();
        await eventually('the Director to say that something drains there', async () => {
          const { status } = await cluster().get('director', director.name);
          return status.draining > 0;
        });
        await loop.reaches(50);
        for (const connection of held) await connection.close();
        await untilOnDirectors(key, { realServers: directRouting(staying), draining: [] });
      } finally {
        await cluster().kubectl('label', 'node', leaving.name, `${EXCLUDE}-`);
      }
      await untilOnDirectors(key, { realServers: directRouting(nodes), draining: [] });
      const { requests, failures } = await loop.stop();
      assert.deepEqual(failures, [], `${failures.length} of ${requests} requests failed`);
    }));

  it('wanted again meanwhile it returns in place, and its connections go on', () =>
    undisturbed(async () => {
      const [leaving, ...staying] = nodes;
      const [director] = lab().directors;
      assert.ok(leaving && director);
      const key = `TCP ${address}:80`;
      const held = await holdConnections(director, address, leaving);
      await cluster().kubectl('label', 'node', leaving.name, `${EXCLUDE}=true`);
      try {
        await untilOnDirectors(key, { realServers: directRouting(staying), draining: [`${leaving.address}:80`] }, [
          director,
        ]);
      } finally {
        await cluster().kubectl('label', 'node', leaving.name, `${EXCLUDE}-`);
      }
      await untilOnDirectors(key, { realServers: directRouting(nodes), draining: [] });
      for (const connection of held) await connection.answers(20);
      for (const connection of held) await connection.close();
    }));
});

/** Holds connections by way of director 1 until one of them more goes to the node. */
async function holdConnections(director: DirectorVm, vip: string, node: LabNode): Promise<readonly HeldConnection[]> {
  const held: HeldConnection[] = [];
  const before = await connectionsVia(director, vip, node);
  while ((await connectionsVia(director, vip, node)) <= before) {
    assert.ok(held.length < 20, `none of 20 connections goes to ${node.name}`);
    held.push(await HeldConnection.open('client-director-1', vip));
  }
  return held;
}

/** Established connections of clients to the VIP that the director sends to the node, as `ipvsadm -Lcn` lists them. */
async function connectionsVia(director: DirectorVm, vip: string, node: LabNode): Promise<number> {
  const listing = await director.read('ipvsadm -Lcn');
  const lines = listing.split('\n').filter((line) => line.includes('ESTABLISHED'));
  return lines.filter((line) => line.includes(` ${vip}:80 `) && line.includes(` ${node.address}:80`)).length;
}
