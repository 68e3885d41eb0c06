import './hooks.ts';
import assert from 'node:assert/strict';
import { clientAddresses, directorAddresses } from '../lab/addresses.ts';
import { mustRun } from '../lab/run-program.ts';
import { answeringPods, answersOver, PATHS } from './answers.ts';
import { ipvsadmOf, untilOnDirectors, vipsOn } from './kernel.ts';
import { pool, service, TCP_80, UDP_80 } from './manifests.ts';
import { directRouting, type LabNode, nodesOf } from './nodes.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

describe('a Service of type LoadBalancer', () => {
  let scene: Scene;
  let pods: ReadonlyMap<string, string>;
  let address: string;

  before(async function () {
    this.timeout(180_000);
    scene = await Scene.open('address');
    pods = await scene.app('web', { replicas: 2 });
    await scene.apply(service({ namespace: scene.namespace, name: 'web', ports: [TCP_80, UDP_80] }));
    [address = ''] = await scene.addresses('web', 1);
  });
  after(() => scene.close());

  it('gets an address of the pool with ipMode VIP, and kubectl get shows it', async () => {
    assert.match(address, /^203\.0\.113\.\d+$/);
    const stored = await cluster().get('service', 'web', scene.namespace);
    assert.deepEqual(stored?.status.loadBalancer.ingress, [{ ip: address, ipMode: 'VIP' }]);
    const [header = '', row = ''] = (await cluster().kubectl('get', 'service', 'web', '-n', scene.namespace)).split(
      '\n',
    );
    assert.equal(row.split(/\s+/)[header.split(/\s+/).indexOf('EXTERNAL-IP')], address);
    assert.match(stored.metadata.annotations['ipvs-operator.io/ip-allocated-from-pool'], /^public$/);
  });

  it('is a virtual server on both directors, every node a real server by direct routing', async () => {
    const realServers = directRouting(await nodesOf(lab()));
    await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'mh', realServers });
    await untilOnDirectors(`UDP ${address}:80`, { scheduler: 'mh', realServers });
    for (const director of lab().directors) {
      const listing = await ipvsadmOf(director);
      assert.match(listing, new RegExp(`TCP +${address.replaceAll('.', '\\.')}:80 mh \\(mh-fallback`), director.name);
      assert.ok((await vipsOn(director)).includes(address), `${address} is an address of ${director.name}`);
    }
  });

  for (const [path, client] of PATHS) {
    it(`answers a client outside the cluster ${path}, from pods on both nodes, over TCP and UDP`, async function () {
      this.timeout(60_000);
      const nodes = new Set(pods.values());
      assert.equal(nodes.size, 2, 'the pods run on two nodes');
      const overTcp = await answeringPods('TCP', client, address, pods.size);
      assert.deepEqual(new Set([...overTcp].map((pod) => pods.get(pod))), nodes);
      const overUdp = await answeringPods('UDP', client, address, pods.size);
      assert.deepEqual(new Set([...overUdp].map((pod) => pods.get(pod))), nodes);
    });
  }

  it('uses both directors: each has counted connections of its own', async () => {
    for (const client of ['client-director-1', 'client-director-2'] as const) await answersOver(client, address, 5);
    for (const director of lab().directors) {
      const stdout = await director.read(`ipvsadm -Ln --stats -t ${address}:80`);
      const connections = Number(/TCP +\S+ +(\d+)/.exec(stdout)?.[1]);
      assert.ok(connections >= 5, `${director.name} counted ${connections} connections:\n${stdout}`);
    }
  });
});

describe('address families', () => {
  let scene: Scene;

  before(async function () {
    this.timeout(120_000);
    scene = await Scene.open('families');
    await scene.app('web', { replicas: 2 });
  });
  after(() => scene.close());

  for (const [name, spec, expected] of [
    ['ipv6', { ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack' }, [/^2001:db8:113::/]],
    [
      'dual',
      { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' },
      [/^203\.0\.113\./, /^2001:db8:113::/],
    ],
    [
      'six-first',
      { ipFamilies: ['IPv6', 'IPv4'], ipFamilyPolicy: 'RequireDualStack' },
      [/^2001:db8:113::/, /^203\.0\.113\./],
    ],
  ] as const) {
    it(`serves ${spec.ipFamilies.join(' and ')} in the order asked for`, async function () {
      this.timeout(90_000);
      await scene.apply(service({ namespace: scene.namespace, name, app: 'web', spec }));
      const addresses = await scene.addresses(name, expected.length);
      for (const [index, pattern] of expected.entries()) assert.match(addresses[index] ?? '', pattern);
      for (const address of addresses) {
        const host = address.includes(':') ? `[${address}]` : address;
        const inFamily = (node: LabNode) => (address.includes(':') ? `[${node.address6}]` : node.address);
        const realServers = (await nodesOf(lab())).map((node) => `${inFamily(node)}:80 DirectRouting 1`);
        await untilOnDirectors(`TCP ${host}:80`, { realServers });
        for (const [, client] of PATHS) await answeringPods('TCP', client, address, 2);
      }
    });
  }
});

describe('a pool with Masquerading', () => {
  let scene: Scene;

  before(async function () {
    this.timeout(120_000);
    scene = await Scene.open('masquerading');
    await scene.app('web', { replicas: 2 });
    await scene.apply(
      pool('masquerading', {
        addresses: ['203.0.113.100-203.0.113.101'],
        forwardingMethod: 'Masquerading',
        directors: { selector: { matchLabels: { name: 'director-1' } } },
      }),
    );
  });
  after(() => scene.close());

  it('forwards to node ports and publishes ipMode Proxy; replies return through the director', async function () {
    this.timeout(90_000);
    const [director] = lab().directors;
    assert.ok(director);
    await scene.apply(service({ namespace: scene.namespace, name: 'web', pool: 'masquerading' }));
    const [address = ''] = await scene.addresses('web', 1);
    const stored = await cluster().get('service', 'web', scene.namespace);
    assert.equal(stored?.status.loadBalancer.ingress[0].ipMode, 'Proxy');
    const nodePort = stored.spec.ports[0].nodePort;
    const nodes = await nodesOf(lab());
    const realServers = nodes.map((node) => `${node.address}:${nodePort} Masquerading 1`);
    await untilOnDirectors(`TCP ${address}:80`, { realServers }, [director]);
    await untilOnDirectors(`TCP ${address}:80`, 'absent', lab().directors.slice(1));
    const client = clientAddresses('client-director-1').v4;
    const route = ['route', 'add', client, 'via', directorAddresses(1).v4];
    for (const { name } of nodes) await mustRun('ip', ['-n', name, ...route]);
    try {
      await answeringPods('TCP', 'client-director-1', address, 2);
    } finally {
      for (const { name } of nodes) await mustRun('ip', ['-n', name, 'route', 'del', client]);
    }
  });
});
