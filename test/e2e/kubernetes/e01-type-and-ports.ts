import assert from 'node:assert/strict';
import { authority, hostname } from '../answers.ts';
import { eventually } from '../eventually.ts';
import { TCP_80, UDP_80 } from '../manifests.ts';
import { nodesOf } from '../nodes.ts';
import { cluster, lab } from '../world.ts';
import type { Protocol, Stage } from './stage.ts';

/** E01, E02: ClusterIP → NodePort → LoadBalancer, another node port, another port, no pod, a pod, and back to ClusterIP. */
export async function changesTypeAndPorts(stage: Stage, protocol: Protocol): Promise<void> {
  const name = `types-${protocol.toLowerCase()}`;
  const port = protocol === 'TCP' ? TCP_80 : UDP_80;
  await stage.scene.app(name, { replicas: 1 });
  const spec = { type: 'ClusterIP', loadBalancerClass: undefined };
  await stage.scene.apply(stage.manifest(name, { app: name, ports: [port], spec }));
  await stage.patch(name, { type: 'NodePort' });
  const nodePort = await nodePortOf(stage, name);
  await untilNodesAnswer(stage, protocol, nodePort);

  await stage.patch(name, { type: 'LoadBalancer', loadBalancerClass: 'ipvs-operator.io/ipvs' });
  const addresses = await stage.addresses(name);
  assert.equal(await nodePortOf(stage, name), nodePort, 'the node port is kept on the change of type');
  await stage.untilProgrammed(name);
  await stage.untilAnswered(addresses, protocol, 80, 1);

  const otherNodePort = await changeNodePort(stage, name, port);
  assert.notEqual(otherNodePort, nodePort);
  await stage.untilProgrammed(name);
  assert.deepEqual(await stage.addresses(name), addresses, 'the address survives another node port');
  await stage.untilAnswered(addresses, protocol, 80, 1);

  await stage.patch(name, { ports: [{ ...port, port: 81, nodePort: otherNodePort }] });
  await stage.untilProgrammed(name);
  await stage.untilGone(addresses, protocol, 80);
  assert.deepEqual(await stage.addresses(name), addresses, 'the address survives another port');
  assert.equal(await nodePortOf(stage, name), otherNodePort, 'the node port is kept on the change of port');
  await stage.untilAnswered(addresses, protocol, 81, 1);

  await stage.scene.scale(name, 0);
  for (const address of addresses) await untilRefused(protocol, authority(address, 81));
  await stage.scene.scale(name, 1);
  await stage.untilAnswered(addresses, protocol, 81, 1);

  await stage.patch(name, { type: 'ClusterIP', loadBalancerClass: null });
  await stage.untilGone(addresses, protocol, 81);
  await stage.untilSilent(addresses, protocol, 81);
  const stored = await eventually('the status to be empty', async () => {
    const now = await stage.get(name);
    return now.status.loadBalancer.ingress === undefined ? now : undefined;
  });
  assert.equal(stored.spec.ports[0].nodePort, undefined, 'the node port is given back');
  await stage.remove(name);
  await cluster().kubectl('delete', 'deployment', name, '-n', stage.namespace, '--wait=false');
}

async function nodePortOf(stage: Stage, name: string): Promise<number> {
  const { nodePort } = (await stage.get(name)).spec.ports[0];
  assert.ok(nodePort > 0, `nodePort is ${nodePort}`);
  return nodePort;
}

/** The next free one. */
async function changeNodePort(stage: Stage, name: string, port: object): Promise<number> {
  const current = await nodePortOf(stage, name);
  return await eventually('another node port', async () => {
    const wanted = 30_000 + ((current - 30_000 + 1 + Math.floor(Math.random() * 2_000)) % 2_767);
    await stage.patch(name, { ports: [{ ...port, nodePort: wanted }] });
    return wanted;
  });
}

async function untilNodesAnswer(stage: Stage, protocol: Protocol, nodePort: number): Promise<void> {
  for (const { name, address, address6 } of await nodesOf(lab())) {
    const host = stage.variant.families[0] === 'IPv4' ? address : address6;
    await eventually(`${name} to answer at its node port`, () =>
      hostname(protocol, 'client', authority(host, nodePort), 1_000),
    );
  }
}

/** Without a pod a client is told at once (RST or ICMP): it is refused, not left waiting. */
async function untilRefused(protocol: Protocol, host: string): Promise<void> {
  await eventually(`${protocol} ${host} to refuse`, async () => {
    await assert.rejects(hostname(protocol, 'client', host, 3_000), /ECONNREFUSED|Couldn't connect to server/);
    return true;
  });
}
