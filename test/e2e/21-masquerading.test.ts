import './hooks.ts';
import assert from 'node:assert/strict';
import { directorAddresses } from '../lab/addresses.ts';
import { answeringPods, PATHS } from './answers.ts';
import { eventually } from './eventually.ts';
import { untilOnDirectors } from './kernel.ts';
import { pool, service } from './manifests.ts';
import { nodesOf } from './nodes.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

describe('masquerading with snat', function () {
  this.timeout(240_000);
  let scene: Scene;
  let address: string;

  before(async () => {
    scene = await Scene.open('snat');
    await scene.app('web', { replicas: 2 });
    const addresses = ['203.0.113.230-203.0.113.234'];
    await scene.apply(pool('snat', { addresses, forwardingMethod: 'Masquerading', snat: true, scheduler: 'rr' }));
    const spec = { externalTrafficPolicy: 'Local' };
    await scene.apply(service({ namespace: scene.namespace, name: 'web', pool: 'snat', spec }));
    [address = ''] = await scene.addresses('web', 1);
  });
  after(() => scene.close());

  it('answers clients every way, although the nodes send their replies past the directors', async () => {
    const stored = await cluster().get('service', 'web', scene.namespace);
    const { nodePort } = stored.spec.ports[0];
    const nodes = await nodesOf(lab());
    const realServers = nodes.map((node) => `${node.address}:${nodePort} Masquerading 1`);
    await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'rr', realServers });
    assert.equal(stored.status.loadBalancer.ingress[0].ipMode, 'Proxy');
    for (const [, client] of PATHS) await answeringPods('TCP', client, address, 2);
  });

  it('shows pods the address of the director', async () => {
    for (const number of [1, 2] as const) {
      const { body } = await lab().client(`client-director-${number}`).get(`http://${address}/clientip`);
      assert.equal(body.split(':')[0], directorAddresses(number).v4);
    }
  });

  it('has had the host set what it needs', async () => {
    for (const director of lab().directors) {
      assert.equal((await director.read('sysctl -n net.ipv4.vs.conntrack')).trim(), '1');
      const { status } = await cluster().get('director', director.name);
      const host = status.conditions.find(({ type }: { type: string }) => type === 'HostSettings');
      assert.equal(host?.status, 'True', host?.message);
    }
  });

  it('keeps source ranges at node ports', async () => {
    await cluster().patch(
      'service',
      'web',
      { spec: { loadBalancerSourceRanges: ['198.51.100.11/32'] } },
      scene.namespace,
    );
    await answeringPods('TCP', 'client-director-1', address, 2);
    await eventually('the other client to get no answer', async () => {
      const { status } = await lab()
        .client('client-director-2')
        .get(`http://${address}/hostname`, { timeoutMs: 1_000 });
      assert.equal(status, 0);
      return true;
    });
  });
});

describe('timeouts of a pool', function () {
  this.timeout(120_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open('timeouts');
    const timeouts = { tcp: '20m', tcpFin: '1m', udp: '2m' };
    await scene.apply(pool('timed', { addresses: ['203.0.113.235'], timeouts }));
  });
  after(() => scene.close());

  it('hold on its directors, and a younger pool that wants others is told', async () => {
    for (const director of lab().directors) {
      await eventually(`the timeouts of ${director.name}`, async () => {
        assert.match(await director.read('ipvsadm -L --timeout'), /1200 60 120/);
        return true;
      });
    }
    await scene.apply(pool('timed-later', { addresses: ['203.0.113.236'], timeouts: { tcp: '5m' } }));
    await eventually('the younger pool to be told', async () => {
      const { status } = await cluster().get('lbpool', 'timed-later');
      const told = status?.conditions?.find(({ type }: { type: string }) => type === 'TimeoutsApplied');
      assert.equal(told?.reason, 'TimeoutsOfOlderPool');
      assert.match(told.message, /has the timeouts of LoadBalancerPool timed, which is older/);
      return true;
    });
  });
});
