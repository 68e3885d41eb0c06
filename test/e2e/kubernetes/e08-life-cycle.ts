import assert from 'node:assert/strict';
import { untilDescribed } from '../described.ts';
import { eventually } from '../eventually.ts';
import { cluster } from '../world.ts';
import type { Stage } from './stage.ts';

const FINALIZER = 'service.kubernetes.io/load-balancer-cleanup';

/** E08: the finalizer is there exactly while the Service is a load balancer, and does not outlive it. */
export async function cleansUp(stage: Stage): Promise<void> {
  const addresses = await stage.serve('cleanup');
  await untilFinalizer(stage, true);
  await stage.patch('cleanup', { type: 'ClusterIP', loadBalancerClass: null });
  await untilFinalizer(stage, false);
  await stage.untilGone(addresses, 'TCP');
  await stage.patch('cleanup', { type: 'LoadBalancer', loadBalancerClass: 'ipvs-operator.io/ipvs' });
  const again = await stage.addresses('cleanup');
  await untilFinalizer(stage, true);
  await stage.untilProgrammed('cleanup');
  await cluster().kubectl('delete', 'service', 'cleanup', '-n', stage.namespace, '--timeout=60s');
  assert.equal(await stage.get('cleanup'), undefined);
  await stage.untilGone(again, 'TCP');
}

/** E09: served without node ports where nothing needs them, else told why not; with them on demand, at the same address. */
export async function needsNoNodePorts(stage: Stage): Promise<void> {
  const name = 'portless';
  const { forwardingMethod, backends } = stage.variant;
  const needs = forwardingMethod === 'Masquerading' && backends === 'Nodes';
  await stage.scene.apply(stage.manifest(name, { spec: { allocateLoadBalancerNodePorts: false } }));
  let addresses: readonly string[] | undefined;
  if (needs) {
    const why = /has no node port because spec.allocateLoadBalancerNodePorts is false/;
    await untilDescribed('service', name, why, stage.namespace);
  } else {
    addresses = await stage.addresses(name);
    await stage.untilProgrammed(name);
    await stage.untilAnswered(addresses, 'TCP');
  }
  assert.equal((await stage.get(name)).spec.ports[0].nodePort, undefined);
  await stage.patch(name, { allocateLoadBalancerNodePorts: true });
  await eventually('a node port', async () => (await stage.get(name)).spec.ports[0].nodePort > 0);
  const after = await stage.addresses(name);
  assert.deepEqual(after, addresses ?? after, 'the address survives');
  await stage.untilProgrammed(name);
  await stage.untilAnswered(after, 'TCP');
  await stage.remove(name);
}

async function untilFinalizer(stage: Stage, there: boolean): Promise<void> {
  await eventually(`the finalizer ${there ? 'to be there' : 'to be gone'}`, async () => {
    const { finalizers = [] } = (await stage.get('cleanup')).metadata;
    assert.equal(finalizers.includes(FINALIZER), there, `finalizers are ${finalizers.join(', ')}`);
    return true;
  });
}
