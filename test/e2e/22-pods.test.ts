import './hooks.ts';
import assert from 'node:assert/strict';
import { directorAddresses, nodeAddresses } from '../lab/addresses.ts';
import { answeringPods, PATHS } from './answers.ts';
import { eventually } from './eventually.ts';
import { tableOf, untilOnDirectors } from './kernel.ts';
import { deployment, HTTP_PORT, type Manifest, pool, service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

describe('pods as real servers', function () {
  this.timeout(300_000);
  let scene: Scene;
  let address: string;

  before(async () => {
    scene = await Scene.open('pods');
    const addresses = ['203.0.113.240-203.0.113.244'];
    await scene.apply(
      pool('pods', { addresses, forwardingMethod: 'Masquerading', snat: true, backends: 'Pods', scheduler: 'rr' }),
      lingering(deployment({ namespace: scene.namespace, name: 'web', replicas: 3 })),
    );
    await scene.settledPods('web', 3);
    const spec = { allocateLoadBalancerNodePorts: false };
    await scene.apply(service({ namespace: scene.namespace, name: 'web', pool: 'pods', spec }));
    [address = ''] = await scene.addresses('web', 1);
  });
  after(() => scene.close());

  it('are the ready ones, at their own port and without node ports, on every way', async () => {
    const realServers = (await podAddresses('web')).map((ip) => `${ip}:${HTTP_PORT} Masquerading 1`);
    assert.equal(realServers.length, 3);
    await untilOnDirectors(`TCP ${address}:80`, { realServers, draining: [] });
    for (const [, client] of PATHS) await answeringPods('TCP', client, address, 3);
  });

  it('are replaced one after the other without a lost request', async () => {
    const before = await podAddresses('web');
    const loops = await Promise.all(PATHS.map(([, client]) => lab().client(client).loop(`http://${address}/hostname`)));
    await Promise.all(loops.map((loop) => loop.reaches(20)));
    await cluster().kubectl('rollout', 'restart', 'deployment', 'web', '-n', scene.namespace);
    await cluster().rolledOut('deployment/web', scene.namespace);
    await scene.settledPods('web', 3);
    const realServers = (await podAddresses('web')).map((ip) => `${ip}:${HTTP_PORT} Masquerading 1`);
    await untilOnDirectors(`TCP ${address}:80`, { realServers });
    const after = await podAddresses('web');
    assert.deepEqual(
      after.filter((ip) => before.includes(ip)),
      [],
      'all pods are others now',
    );
    for (const loop of loops) {
      const { requests, failures } = await loop.stop();
      assert.deepEqual(failures, [], `${failures.length} of ${requests} requests failed`);
    }
  });

  it('are those of hand-made slices too, but for what can be no pod', async () => {
    const [pod = ''] = await podAddresses('web');
    const node = nodeAddresses(1).v4;
    const { spec, ...rest } = service({ namespace: scene.namespace, name: 'by-hand', pool: 'pods' });
    const { selector: _, ...selectorless } = spec as Record<string, unknown>;
    await scene.apply({ ...rest, spec: selectorless }, slice('by-hand', [pod, node, directorAddresses(1).v4]));
    const [other = ''] = await scene.addresses('by-hand', 1);
    await untilOnDirectors(`TCP ${other}:80`, { realServers: [`${pod}:${HTTP_PORT} Masquerading 1`], draining: [] });
    await answeringPods('TCP', 'client', other, 1);
    await eventually('the Service to say what it cannot use', async () => {
      const { status } = await cluster().get('service', 'by-hand', scene.namespace);
      const programmed = status.conditions.find(({ type }: { type: string }) => type === 'ipvs-operator.io/Programmed');
      assert.match(programmed.message, new RegExp(`${node}, the address of node node1`));
      return true;
    });
  });

  it('that end drain at once, and a Service without any rejects', async () => {
    await cluster().kubectl('scale', 'deployment', 'web', '--replicas=0', '-n', scene.namespace);
    await eventually('no real server to take new connections', async () => {
      for (const director of lab().directors)
        assert.deepEqual((await tableOf(director)).get(`TCP ${address}:80`)?.realServers, []);
      return true;
    });
    const { status } = await lab().client('client').get(`http://${address}/hostname`, { timeoutMs: 2_000 });
    assert.equal(status, 0);
  });

  async function podAddresses(app: string): Promise<readonly string[]> {
    const items = await cluster().list('pods', scene.namespace, `app=${app}`);
    return items
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(({ status }) => status.podIP as string)
      .sort();
  }

  function slice(name: string, addresses: readonly string[]): Manifest {
    return {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace: scene.namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'http', protocol: 'TCP', port: HTTP_PORT }],
      endpoints: addresses.map((ip) => ({ addresses: [ip] })),
    };
  }
});

/** Its pods go on serving for a moment after they were told to end, as they must behind any load balancer. */
function lingering(manifest: Manifest): Manifest {
  // biome-ignore lint/suspicious/noExplicitAny: a Deployment that this file has just made
  const copy = structuredClone(manifest) as any;
  for (const container of copy.spec.template.spec.containers)
    container.lifecycle = { preStop: { sleep: { seconds: 4 } } };
  return copy;
}
