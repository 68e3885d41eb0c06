import assert from 'node:assert/strict';
import { clientAddresses, directorAddresses } from '../../lab/addresses.ts';
import { authority } from '../answers.ts';
import type { Stored } from '../cluster.ts';
import { eventually } from '../eventually.ts';
import { deployment } from '../manifests.ts';
import { type LabNode, nodesOf } from '../nodes.ts';
import { lab } from '../world.ts';
import { startEchoPod } from './echo-pod.ts';
import { addressLike, untilDialled } from './pod-client.ts';
import type { Stage } from './stage.ts';
import type { Variant } from './variant.ts';

const LOCAL = { externalTrafficPolicy: 'Local' } as const;

/** E14: a health check port while it is a load balancer, and pods that see the client (or the director, with snat). */
export async function showsClients(stage: Stage): Promise<void> {
  const addresses = await stage.serve('sources', { spec: LOCAL });
  const { healthCheckNodePort } = (await stage.get('sources')).spec;
  assert.ok(healthCheckNodePort > 0, `healthCheckNodePort is ${healthCheckNodePort}`);
  await stage.untilProgrammed('sources');
  await stage.untilAnswered(addresses, 'TCP');
  for (const node of await nodesOf(lab())) await untilHealth(stage, node, healthCheckNodePort, 200);
  for (const address of addresses) await untilSourceIs(address, sourceSeen(stage, address));
  await stage.patch('sources', { type: 'ClusterIP', loadBalancerClass: null, externalTrafficPolicy: null });
  await stage.untilGone(addresses, 'TCP');
  for (const node of await nodesOf(lab())) await untilHealth(stage, node, healthCheckNodePort, 0);
  await stage.remove('sources');
}

/** E15: one pod that moves from node to node: the load balancer follows, and only its node is healthy. */
export async function followsTheOnlyPod(stage: Stage): Promise<void> {
  const nodes = await nodesOf(lab());
  const move = (node: LabNode) =>
    stage.scene.apply(deployment({ namespace: stage.namespace, name: 'nomad', replicas: 1, nodes: [node.name] }));
  const arrived = (node: LabNode) =>
    stage.scene.settledPods('nomad', 1, (pods) => [...pods.values()].includes(node.name));
  const [first] = nodes;
  assert.ok(first);
  await move(first);
  await arrived(first);
  const addresses = await stage.serve('nomad', { app: 'nomad', spec: LOCAL });
  const { healthCheckNodePort } = (await stage.get('nomad')).spec;
  for (const here of [...nodes, first]) {
    await move(here);
    await arrived(here);
    await stage.untilProgrammed('nomad');
    await stage.untilAnswered(addresses, 'TCP', 80, 1);
    for (const node of nodes) await untilHealth(stage, node, healthCheckNodePort, node.name === here.name ? 200 : 503);
  }
  await stage.remove('nomad');
  await stage.scene.scale('nomad', 0);
}

/** E16: pods on two nodes: both are hit. */
export async function hitsAllNodes(stage: Stage): Promise<void> {
  assert.equal(new Set(stage.web.values()).size, 2, 'the pods run on two nodes');
  const addresses = await stage.serve('all-nodes', { spec: LOCAL });
  await stage.untilProgrammed('all-nodes');
  await stage.untilAnswered(addresses, 'TCP');
  await stage.remove('all-nodes');
}

/** E17: a pod asks the address of the load balancer and is seen as itself (ipMode VIP), or as the director (Proxy with snat). */
export async function servesPods(stage: Stage): Promise<void> {
  // Not one of those that serve: a pod that is answered by itself sees its node as client.
  for (const { name } of await nodesOf(lab()))
    await startEchoPod(stage, { name: `asker-${name}`, app: 'asker', node: name });
  for (const externalTrafficPolicy of ['Local', 'Cluster'] as const) {
    const name = `from-pods-${externalTrafficPolicy.toLowerCase()}`;
    const addresses = await stage.serve(name, { spec: { externalTrafficPolicy } });
    await stage.untilProgrammed(name);
    const [{ ipMode }] = (await stage.get(name)).status.loadBalancer.ingress;
    assert.equal(ipMode, stage.variant.forwardingMethod === 'Masquerading' ? 'Proxy' : 'VIP');
    for (const pod of await stage.readyPods('asker')) {
      for (const address of addresses) {
        const expected = sourcesOf(pod, address, externalTrafficPolicy, ipMode, stage.variant.backends);
        // kube-proxy balances a moment before it knows for whom not to masquerade (seen in mode ipvs).
        await untilDialled(pod, address, 'clientip', (source) =>
          assert.ok(expected?.includes(hostOf(source)) ?? true, `${source} instead of ${expected?.join(' or ')}`),
        );
      }
    }
    await stage.remove(name);
  }
}

/** As which addresses a pod may be seen that asks the load balancer; undefined where any will do. */
function sourcesOf(
  pod: Stored,
  address: string,
  policy: string,
  ipMode: string,
  backends: Variant['backends'],
): readonly string[] | undefined {
  if (policy === 'Local' && ipMode === 'VIP') return [addressLike(pod, address)];
  return ipMode === 'Proxy' && backends === 'Pods' ? directorsLike(address) : undefined;
}

async function untilSourceIs(address: string, expected: readonly string[]): Promise<void> {
  await eventually(`${address} to see the client as ${expected.join(' or ')}`, async () => {
    const url = `http://${authority(address, 80)}/clientip`;
    const { body, error } = await lab().client('client').get(url, { timeoutMs: 2_000 });
    assert.ok(expected.includes(hostOf(body)), error ?? `it sees ${body}`);
    return true;
  });
}

function sourceSeen(stage: Stage, address: string): readonly string[] {
  if (stage.hidesClients) return directorsLike(address);
  const { v4, v6 } = clientAddresses('client');
  return [address.includes(':') ? v6 : v4];
}

function directorsLike(address: string): readonly string[] {
  return [1, 2].map((number) => directorAddresses(number)[address.includes(':') ? 'v6' : 'v4']);
}

/** `address:port`, as agnhost tells it, without the port. */
function hostOf(source: string): string {
  return source.trim().replace(/:\d+$/, '').replace(/[[\]]/g, '');
}

/** 200 with a pod, 503 without one, 0 when nothing listens there. */
async function untilHealth(stage: Stage, node: LabNode, port: number, expected: 200 | 503 | 0): Promise<void> {
  const host = stage.variant.families[0] === 'IPv4' ? node.address : node.address6;
  await eventually(`health check port ${port} of ${node.name} to answer ${expected}`, async () => {
    const { status } = await lab()
      .client('client')
      .get(`http://${authority(host, port)}/healthz`, { timeoutMs: 2_000 });
    assert.equal(status, expected, `it answers ${status}`);
    return true;
  });
}
