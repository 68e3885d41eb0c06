/**
 * The lab proves itself, without the product: what the operator will do is done by hand here.
 *
 *     test/lab/lab run -- npx mocha test/lab/lab.test.ts
 */
import assert from 'node:assert/strict';
import { directorAddresses, nodeAddresses } from './addresses.ts';
import { Lab } from './lab.ts';
import { waitFor } from './wait-for.ts';

const VIP = { v4: '203.0.113.10', v6: '2001:db8:113::10' };

const DEPLOYMENT = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        containers: [
          {
            name: 'web',
            image: 'agnhost',
            readinessProbe: { httpGet: { path: '/readyz', port: 8080 }, periodSeconds: 1 },
          },
        ],
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'kubernetes.io/hostname',
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: { matchLabels: { app: 'web' } },
          },
        ],
      },
    },
  },
};

const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: {
    type: 'LoadBalancer',
    ipFamilyPolicy: 'RequireDualStack',
    selector: { app: 'web' },
    ports: [
      { name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' },
      { name: 'udp', port: 90, targetPort: 8081, protocol: 'UDP' },
    ],
  },
};

describe('lab', function () {
  // Only a net below the waits, which have bounds of their own and say what they waited for.
  this.timeout(180_000);
  let lab: Lab;

  before(async () => {
    lab = await Lab.attach();
    await lab.apply([DEPLOYMENT, SERVICE]);
    const ingress = [VIP.v4, VIP.v6].map((ip) => ({ ip, ipMode: 'VIP' }));
    const status = JSON.stringify({ status: { loadBalancer: { ingress } } });
    await lab.kubectl(['patch', 'service', 'web', '--subresource=status', '--type=merge', '-p', status]);
    await lab.kubectl(['rollout', 'status', 'deployment', 'web', '--timeout=60s']);
    await Promise.all(lab.directors.map((director) => director.read(directorCommands().join(' && '))));
  });

  after(() => lab.close());

  for (const family of ['v4', 'v6'] as const) {
    const host = family === 'v4' ? VIP.v4 : `[${VIP.v6}]`;
    for (const name of ['client', 'client-director-1', 'client-director-2'] as const) {
      it(`both pods answer ${name} over IP${family}, TCP and UDP`, async () => {
        const pods = await podNames(lab);
        const client = lab.client(name);
        await waitFor(
          `answers of ${pods.join(' and ')} over TCP and UDP`,
          async (see) => {
            const [tcp, udp] = [new Set<string>(), new Set<string>()];
            for (let i = 0; i < 6; i++) {
              const answer = await client.get(`http://${host}/hostname`);
              see(answer);
              tcp.add(answer.body);
              udp.add(await client.udp(VIP[family], 90, 'hostname', { timeoutMs: 1000 }));
            }
            see({ tcp: [...tcp], udp: [...udp] });
            return pods.every((pod) => tcp.has(pod) && udp.has(pod)) ? true : undefined;
          },
          { timeoutMs: 30_000 },
        );
      });
    }
  }

  it('the router spreads one client over all directors', async () => {
    const counts = async () => Promise.all(lab.directors.map((d) => d.read('ipvsadm -Ln --stats').then(connectionsOf)));
    const before = await counts();
    const loop = await lab.client('client').loop(`http://${VIP.v4}/hostname`);
    await loop.reaches(60);
    const report = await loop.stop();
    assert.deepEqual(report.failures, []);
    const after = await counts();
    for (const [i, count] of after.entries())
      assert.ok(count > (before[i] ?? 0), `director ${i + 1} got no connection of ${report.requests}`);
  });

  it('a loop counts every failure, with its time and reason, while a director has no network', async () => {
    const [through1, through2] = await Promise.all([
      lab.client('client-director-1').loop(`http://${VIP.v4}/hostname`, { timeoutMs: 1000 }),
      lab.client('client-director-2').loop(`udp://${VIP.v4}:90/hostname`, { timeoutMs: 1000 }),
    ]);
    await lab.unplug(1);
    await through1.reaches(30);
    await lab.replug(1);
    const cut = await through1.stop();
    const untouched = await through2.stop();
    assert.deepEqual(untouched.failures, []);
    assert.ok(untouched.requests > 10);
    assert.match(cut.failures[0]?.error ?? 'nothing failed', /no answer within 1000 ms|EHOSTUNREACH/);
    assert.equal(
      Object.values(cut.answersByHostname).reduce((a, b) => a + b, 0),
      cut.requests - cut.failures.length,
    );
    await waitFor(
      'director 1 to serve again',
      async (see) => {
        const answer = await lab.client('client-director-1').get(`http://${VIP.v4}/hostname`);
        see(answer);
        return answer.status === 200 ? true : undefined;
      },
      { timeoutMs: 30_000 },
    );
  });

  it('pods follow the scale of their Deployment, and a new node gets some', async () => {
    await lab.addNode('node3');
    assert.deepEqual(await lab.nodes(), ['node1', 'node2', 'node3']);
    await lab.kubectl(['scale', 'deployment', 'web', '--replicas=6']);
    await lab.kubectl(['rollout', 'status', 'deployment', 'web', '--timeout=60s']);
    const nodes = await nodesOfPods(lab);
    assert.deepEqual([...new Set(nodes)].toSorted(), ['node1', 'node2', 'node3']);
    const answer = await lab.client('client').get(`http://${nodeAddresses(3).v4}:${await nodePort(lab)}/hostname`);
    assert.equal(answer.status, 200);
    await lab.removeNode('node3');
    assert.deepEqual(await lab.nodes(), ['node1', 'node2']);
  });

  it('a reboot empties a director that nobody fills', async () => {
    const [director] = lab.directors;
    assert.ok(director);
    assert.notEqual((await director.virtualServers()).length, 0);
    await director.reboot();
    assert.deepEqual(await director.virtualServers(), []);
    const answer = await lab.client('client-director-1').get(`http://${VIP.v4}/hostname`, { timeoutMs: 1000 });
    assert.equal(answer.status, 0, `${directorAddresses(1).v4} has no virtual server and yet: ${answer.body}`);
  });
});

/** Direct routing to the nodes at the service port, as the operator will do it. */
function directorCommands(): string[] {
  const families = [
    { vip: VIP.v4, prefix: 32, shown: VIP.v4, nodes: [1, 2].map((n) => nodeAddresses(n).v4) },
    { vip: VIP.v6, prefix: 128, shown: `[${VIP.v6}]`, nodes: [1, 2].map((n) => `[${nodeAddresses(n).v6}]`) },
  ];
  return families.flatMap(({ vip, prefix, shown, nodes }) => [
    `ip address add ${vip}/${prefix} dev lo`,
    ...(['-t 80', '-u 90'] as const).flatMap((kind) => {
      const [protocol, port] = kind.split(' ');
      const virtualServer = `${protocol} ${shown}:${port}`;
      return [
        `ipvsadm -A ${virtualServer} -s rr`,
        ...nodes.map((node) => `ipvsadm -a ${virtualServer} -r ${node}:${port} -g`),
      ];
    }),
  ]);
}

/** Sum of the column Conns of `ipvsadm -Ln --stats` over all virtual servers. */
function connectionsOf(statistics: string): number {
  const lines = statistics.split('\n').filter((line) => /^(TCP|UDP) /.test(line));
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2]), 0);
}

async function podNames(lab: Lab): Promise<string[]> {
  const { stdout } = await lab.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].metadata.name}']);
  return stdout.split(' ');
}

async function nodesOfPods(lab: Lab): Promise<string[]> {
  const { stdout } = await lab.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].spec.nodeName}']);
  return stdout.split(' ');
}

async function nodePort(lab: Lab): Promise<string> {
  return (await lab.kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.ports[0].nodePort}'])).stdout;
}
