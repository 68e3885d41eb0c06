import './hooks.ts';
import assert from 'node:assert/strict';
import { answeringPods, answersOver, untilClosed } from './answers.ts';
import { undisturbed } from './bystander.ts';
import { untilOnDirectors } from './kernel.ts';
import { HTTP_PORT, service, TCP_80 } from './manifests.ts';
import { directRouting, nodeNamed, nodesOf } from './nodes.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

const EXCLUDE = 'node.kubernetes.io/exclude-from-external-load-balancers';

/** Each change happens while a client loops over an unrelated Service, of which no request may fail. */
describe('the directors follow the cluster, and leave the unrelated Service alone', function () {
  this.timeout(150_000);
  let scene: Scene;
  let address: string;
  const everyNode = async (port = 80): Promise<string[]> => directRouting(await nodesOf(lab()), port);

  before(async function () {
    this.timeout(180_000);
    scene = await Scene.open('follow');
    await scene.app('web', { replicas: 2 });
    await scene.apply(service({ namespace: scene.namespace, name: 'web' }));
    [address = ''] = await scene.addresses('web', 1);
  });
  after(() => scene.close());

  it('scale up and down', () =>
    undisturbed(async () => {
      const four = await scene.scale('web', 4);
      await answeringPods('TCP', 'client', address, four.size);
      const one = await scene.scale('web', 1);
      assert.deepEqual(await answeringPods('TCP', 'client', address, 1), new Set(one.keys()));
      await scene.scale('web', 2);
      await untilOnDirectors(`TCP ${address}:80`, { realServers: await everyNode() });
    }));

  it('scale to nothing and back: refused meanwhile, the same address after', () =>
    undisturbed(async () => {
      await scene.scale('web', 0);
      await untilClosed(address, 80);
      const pods = await scene.scale('web', 2);
      await answeringPods('TCP', 'client', address, pods.size);
      assert.deepEqual(await scene.addresses('web', 1), [address]);
    }));

  it('a pod that moves to another node', () =>
    undisturbed(async () => {
      const before = await scene.scale('web', 1);
      const [[pod, node] = ['', '']] = before;
      await cluster().kubectl('cordon', node);
      try {
        await cluster().kubectl('delete', 'pod', pod, '-n', scene.namespace, '--wait=false');
        const moved = await scene.settledPods('web', 1, (pods) => ![...pods.values()].includes(node));
        assert.deepEqual(await answeringPods('TCP', 'client', address, 1), new Set(moved.keys()));
      } finally {
        await cluster().kubectl('uncordon', node);
      }
      await untilOnDirectors(`TCP ${address}:80`, { realServers: await everyNode() });
      await scene.scale('web', 2);
    }));

  it('externalTrafficPolicy Local: only nodes with endpoints, wherever the pod goes', () =>
    undisturbed(async () => {
      await cluster().patch('service', 'web', { spec: { externalTrafficPolicy: 'Local' } }, scene.namespace);
      for (const replicas of [1, 2]) {
        const pods = await scene.scale('web', replicas);
        const hosts = new Set(pods.values());
        const realServers = directRouting((await nodesOf(lab())).filter(({ name }) => hosts.has(name)));
        assert.equal(realServers.length, replicas);
        await untilOnDirectors(`TCP ${address}:80`, { realServers });
        await answeringPods('TCP', 'client', address, replicas);
      }
      assert.equal(
        (await lab().client('client').get(`http://${address}/clientip`)).body.split(':')[0],
        '198.51.100.10',
      );
      await cluster().patch('service', 'web', { spec: { externalTrafficPolicy: 'Cluster' } }, scene.namespace);
      await untilOnDirectors(`TCP ${address}:80`, { realServers: await everyNode() });
    }));

  it('sessionAffinity ClientIP: persistence in the kernel, one pod for one client, whichever director it comes by', () =>
    undisturbed(async () => {
      const affinity = { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } } };
      await cluster().patch('service', 'web', { spec: affinity }, scene.namespace);
      await untilOnDirectors(`TCP ${address}:80`, { persistenceSeconds: 600, flags: ['mh-fallback'] });
      for (const client of ['client', 'client-director-1', 'client-director-2'] as const) {
        await answeringPods('TCP', client, address, 1);
        assert.equal((await answersOver(client, address, 15)).size, 1, `15 answers to ${client} come from one pod`);
      }
      const none = { sessionAffinity: 'None', sessionAffinityConfig: null };
      await cluster().patch('service', 'web', { spec: none }, scene.namespace);
      await untilOnDirectors(`TCP ${address}:80`, { persistenceSeconds: undefined });
      await answeringPods('TCP', 'client', address, 2);
    }));

  it('a changed port: the new one answers, the old one is closed, the address stays', () =>
    undisturbed(async () => {
      const ports = [{ ...TCP_80, port: 8000, targetPort: HTTP_PORT }];
      await cluster().patch('service', 'web', { spec: { ports } }, scene.namespace, 'merge');
      await untilOnDirectors(`TCP ${address}:8000`, { realServers: await everyNode(8000) });
      await untilOnDirectors(`TCP ${address}:80`, 'absent');
      await answeringPods('TCP', 'client', `${address}:8000`, 2);
      await untilClosed(address, 80);
      await cluster().patch('service', 'web', { spec: { ports: [TCP_80] } }, scene.namespace, 'merge');
      await untilOnDirectors(`TCP ${address}:80`, { realServers: await everyNode() });
      await untilOnDirectors(`TCP ${address}:8000`, 'absent');
      assert.deepEqual(await scene.addresses('web', 1), [address]);
    }));

  it('a second Service: its own address, the first keeps answering', () =>
    undisturbed(async () => {
      await scene.app('second', { replicas: 2 });
      await scene.apply(service({ namespace: scene.namespace, name: 'second' }));
      const [second = ''] = await scene.addresses('second', 1);
      assert.notEqual(second, address);
      await answeringPods('TCP', 'client', second, 2);
      await answeringPods('TCP', 'client', address, 2);
      await scene.remove('service', 'second');
      await untilOnDirectors(`TCP ${second}:80`, 'absent');
    }));

  it('a node excluded from external load balancers, and taken back', () =>
    undisturbed(async () => {
      const [first, ...rest] = await nodesOf(lab());
      assert.ok(first);
      await cluster().kubectl('label', 'node', first.name, `${EXCLUDE}=true`);
      try {
        await untilOnDirectors(`TCP ${address}:80`, {
          realServers: rest.map((node) => `${node.address}:80 DirectRouting 1`),
        });
        await answeringPods('TCP', 'client', address, 2);
      } finally {
        await cluster().kubectl('label', 'node', first.name, `${EXCLUDE}-`);
      }
      await untilOnDirectors(`TCP ${address}:80`, { realServers: await everyNode() });
    }));

  it('a node added, then drained, deleted and switched off', () =>
    undisturbed(async () => {
      const before = await everyNode();
      const added = nodeNamed('node3');
      await lab().addNode(added.name);
      await untilOnDirectors(`TCP ${address}:80`, { realServers: [...before, ...directRouting([added])] });
      const pods = await scene.scale('web', 3);
      assert.ok([...pods.values()].includes(added.name), 'the third pod runs on the new node');
      await answeringPods('TCP', 'client', address, 3);
      await cluster().kubectl('drain', added.name, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=40s');
      await cluster().kubectl('delete', 'node', added.name);
      await untilOnDirectors(`TCP ${address}:80`, { realServers: before });
      await lab().crashNode(added.name);
      const remaining = await scene.scale('web', 2);
      await answeringPods('TCP', 'client', address, remaining.size);
    }));
});
