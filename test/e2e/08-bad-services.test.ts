import './hooks.ts';
import assert from 'node:assert/strict';
import { answeringPods } from './answers.ts';
import { undisturbed } from './bystander.ts';
import { untilDescribed } from './described.ts';
import { tableOf, untilOnDirectors } from './kernel.ts';
import { service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab, world } from './world.ts';

const GROUP = 'ipvs-operator.io';

/** A Service that cannot be served: what `kubectl describe service` says about it. */
const CASES: readonly {
  readonly name: string;
  readonly annotations: Record<string, string>;
  readonly spec?: Record<string, unknown>;
  readonly says: RegExp;
}[] = [
  {
    name: 'an address outside every pool',
    annotations: { [`${GROUP}/loadBalancerIPs`]: '198.51.100.77' },
    says: /Warning +AllocationFailed .*198\.51\.100\.77/,
  },
  {
    name: 'an address outside the pool it names',
    annotations: { [`${GROUP}/loadBalancerIPs`]: '203.0.113.199', [`${GROUP}/address-pool`]: 'public' },
    says: /Warning +AllocationFailed .*203\.0\.113\.199 is not in LoadBalancerPool public/,
  },
  {
    name: 'something that is no address',
    annotations: { [`${GROUP}/loadBalancerIPs`]: 'not-an-ip' },
    says: /"not-an-ip" is not an IP address/,
  },
  {
    name: 'an address of a family it does not have',
    annotations: { [`${GROUP}/loadBalancerIPs`]: '2001:db8:113::20' },
    says: /2001:db8:113::20.*IPv6/,
  },
  {
    name: 'an unknown pool',
    annotations: { [`${GROUP}/address-pool`]: 'gold' },
    says: /Warning +AllocationFailed .*gold/,
  },
  { name: 'an unknown scheduler', annotations: { [`${GROUP}/scheduler`]: 'fastest' }, says: /"fastest".*wlc/ },
  {
    name: 'a flag of another scheduler',
    annotations: { [`${GROUP}/scheduler`]: 'mh', [`${GROUP}/scheduler-flags`]: 'sh-port' },
    says: /sh-port does not belong to scheduler mh/,
  },
  {
    name: 'masquerading without node ports',
    annotations: { [`${GROUP}/forwarding-method`]: 'Masquerading' },
    spec: { allocateLoadBalancerNodePorts: false },
    says: /node port/i,
  },
];

describe('bad input in a Service', function () {
  this.timeout(120_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open('bad-services');
    await scene.app('web', { replicas: 2 });
  });
  after(() => scene.close());

  for (const [index, { name, annotations, spec, says }] of CASES.entries()) {
    it(`${name}: the Service says so, has no address, and nothing reaches a director`, () =>
      undisturbed(async () => {
        const bad = `bad-${index}`;
        const tables = await Promise.all(lab().directors.map(tableOf));
        await scene.apply(
          service({ namespace: scene.namespace, name: bad, app: 'web', annotations, ...(spec && { spec }) }),
        );
        await untilDescribed('service', bad, says, scene.namespace);
        await untilDescribed('service', bad, /Warning/, scene.namespace);
        assert.deepEqual((await cluster().get('service', bad, scene.namespace)).status.loadBalancer, {});
        assert.deepEqual(await Promise.all(lab().directors.map(tableOf)), tables);
        await scene.remove('service', bad);
      }));
  }

  it('an address that another Service has: told who has it, and served when it is free', () =>
    undisturbed(async () => {
      await scene.apply(service({ namespace: scene.namespace, name: 'first', app: 'web' }));
      const [address = ''] = await scene.addresses('first', 1);
      const annotations = { [`${GROUP}/loadBalancerIPs`]: address };
      await scene.apply(service({ namespace: scene.namespace, name: 'second', app: 'web', annotations }));
      await untilDescribed(
        'service',
        'second',
        new RegExp(`Warning +AllocationFailed .*${address} is in use by Service ${scene.namespace}/first`),
        scene.namespace,
      );
      await scene.remove('service', 'first');
      assert.deepEqual(await scene.addresses('second', 1), [address]);
      await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'mh' });
      await answeringPods('TCP', 'client', address, 2);
      await scene.remove('service', 'second');
    }));

  it('the address of the unrelated Service cannot be had', () =>
    undisturbed(async () => {
      const annotations = { [`${GROUP}/loadBalancerIPs`]: world().bystander.address };
      await scene.apply(service({ namespace: scene.namespace, name: 'thief', app: 'web', annotations }));
      await untilDescribed(
        'service',
        'thief',
        /Warning +AllocationFailed .*in use by a Service of another namespace/,
        scene.namespace,
      );
      await scene.remove('service', 'thief');
    }));

  it('another load balancer class is none of our business', async () => {
    const spec = { loadBalancerClass: 'example.com/other' };
    await scene.apply(service({ namespace: scene.namespace, name: 'other-class', app: 'web', spec }));
    await scene.apply(service({ namespace: scene.namespace, name: 'ours', app: 'web' }));
    await scene.addresses('ours', 1);
    const stored = await cluster().get('service', 'other-class', scene.namespace);
    assert.deepEqual([stored.status, stored.metadata.finalizers], [{ loadBalancer: {} }, undefined]);
  });
});
