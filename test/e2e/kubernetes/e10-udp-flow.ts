import assert from 'node:assert/strict';
import { HeldFlow } from '../held-flow.ts';
import { UDP_80 } from '../manifests.ts';
import { nodesOf } from '../nodes.ts';
import { cluster, lab } from '../world.ts';
import { startEchoPod } from './echo-pod.ts';
import type { Stage } from './stage.ts';

/** E10, E11: datagrams from one port of a client go to the next pod when the first is gone: no entry of it stays anywhere. */
export async function movesUdpFlow(stage: Stage, where: 'different nodes' | 'same node'): Promise<void> {
  const [first, second] = await nodesOf(lab());
  assert.ok(first && second);
  const name = where === 'same node' ? 'flow-one-node' : 'flow-two-nodes';
  const [before, after] = [`${name}-1`, `${name}-2`];
  const start = (pod: string, node: string) => startEchoPod(stage, { name: pod, app: name, node });
  await start(before, first.name);
  const addresses = await stage.serve(name, { app: name, ports: [UDP_80] });
  await stage.untilProgrammed(name);
  await stage.untilAnswered(addresses, 'UDP', 80, 1);
  const flows = addresses.map((address) => HeldFlow.open('client', address, 80));
  for (const flow of flows) await flow.answeredBy(before);
  await start(after, where === 'same node' ? first.name : second.name);
  await cluster().kubectl('delete', 'pod', before, '-n', stage.namespace, '--grace-period=0', '--force');
  for (const flow of flows) await flow.answeredBy(after);
  await stage.untilProgrammed(name);
  for (const flow of flows) await flow.close();
  await stage.remove(name);
  await cluster().kubectl('delete', 'pod', after, '-n', stage.namespace, '--wait=false');
}
