import './hooks.ts';
import assert from 'node:assert/strict';
import { bystanderUses, undisturbed } from './bystander.ts';
import { eventually } from './eventually.ts';
import { tableOf, untilOnDirectors } from './kernel.ts';
import { pool, service } from './manifests.ts';
import { type LabNode, nodeNamed, nodesOf } from './nodes.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

const EXCLUDE = 'node.kubernetes.io/exclude-from-external-load-balancers';

describe('a pool with nodeSubset', function () {
  this.timeout(240_000);
  const added = ['node3', 'node4'].map(nodeNamed);
  const addresses = [1, 2, 3, 4, 5, 6].map((number) => `203.0.113.${170 + number}`);
  let scene: Scene;
  let nodes: readonly LabNode[];

  before(async function () {
    this.timeout(240_000);
    scene = await Scene.open('node-subset');
    const home = await lab().nodes();
    for (const { name } of added) await lab().addNode(name);
    nodes = await nodesOf(lab());
    await scene.apply(
      pool('few', { addresses: ['203.0.113.171-203.0.113.176'], nodeSubset: 2, drain: { timeout: '0s' } }),
    );
    await scene.app('web', { replicas: 2, nodes: home });
    for (const address of addresses) {
      const annotations = { 'ipvs-operator.io/loadBalancerIPs': address };
      const name = `web-${address.split('.')[3]}`;
      await scene.apply(service({ namespace: scene.namespace, name, app: 'web', pool: 'few', annotations }));
    }
    // A node joins a table some seconds after it was Ready first, of whichever Service.
    await bystanderUses(nodes);
  });
  after(async function () {
    this.timeout(120_000);
    await scene.close();
    for (const { name } of added) await lab().removeNode(name);
  });

  it('gives each Service two nodes of its own choice, the same on both directors; a node that goes and comes moves its share only', () =>
    undisturbed(async () => {
      const before = await choices();
      const used = new Set([...before.values()].flat());
      assert.equal(
        used.size,
        nodes.length,
        `the Services spread over ${[...used].join(', ')} of ${nodes.length} nodes`,
      );
      const leaving = added.find(({ address }) => used.has(address));
      assert.ok(leaving);
      await cluster().kubectl('label', 'node', leaving.name, `${EXCLUDE}=true`);
      try {
        await eventually(`no Service to use ${leaving.name}`, async () =>
          [...(await choices()).values()].every((chosen) => !chosen.includes(leaving.address)),
        );
        const meanwhile = await choices();
        for (const [key, chosen] of before) {
          const stays: readonly string[] = chosen.filter((address) => address !== leaving.address);
          const now = meanwhile.get(key) ?? [];
          assert.deepEqual(
            stays.filter((address) => !now.includes(address)),
            [],
            `${key}: ${chosen.join(', ')} became ${now.join(', ')}`,
          );
        }
      } finally {
        await cluster().kubectl('label', 'node', leaving.name, `${EXCLUDE}-`);
      }
      await eventually('each Service to have its first choice again', async () => {
        assert.deepEqual(await choices(), before);
        return true;
      });
    }));

  /** The two nodes of each Service, when both directors agree. */
  function choices(): Promise<Map<string, readonly string[]>> {
    return eventually('both directors to have two nodes for each Service', async () => {
      const [first, second] = await Promise.all(lab().directors.map(tableOf));
      const chosen = new Map<string, readonly string[]>();
      for (const address of addresses) {
        const key = `TCP ${address}:80`;
        const realServers = first?.get(key)?.realServers;
        assert.equal(realServers?.length, 2, `${key} has ${realServers?.join(', ')}`);
        assert.deepEqual(second?.get(key)?.realServers, realServers);
        chosen.set(
          key,
          (realServers ?? []).map((real) => real.split(':')[0] ?? ''),
        );
      }
      return chosen;
    });
  }
});

describe('a pool with weights ReadyPods', function () {
  this.timeout(240_000);
  const key = 'TCP 203.0.113.178:80';
  let scene: Scene;

  before(async () => {
    scene = await Scene.open('ready-pods');
    await bystanderUses(await nodesOf(lab()));
    await scene.apply(pool('weighted', { addresses: ['203.0.113.178'], weights: 'ReadyPods', scheduler: 'wrr' }));
    await scene.app('web', { replicas: 5 });
    await scene.apply(service({ namespace: scene.namespace, name: 'web', pool: 'weighted' }));
  });
  after(() => scene.close());

  it('weighs each node by its ready pods on both directors, also after a change so small that it waits', () =>
    undisturbed(async () => {
      for (const replicas of [5, 6, 7, 9]) {
        const pods = await scene.scale('web', replicas);
        const counts = Map.groupBy(pods.values(), (node) => node);
        const expected = [...counts].map(
          ([name, { length }]) => `${nodeNamed(name).address}:80 DirectRouting ${length}`,
        );
        assert.equal(expected.length, 2, `${replicas} pods run on both nodes`);
        await untilOnDirectors(key, { realServers: expected, draining: [] });
      }
    }));
});
