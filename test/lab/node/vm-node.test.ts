/**
 * A node that is a virtual machine proves itself, without the product: what the operator will do is done by hand here.
 *
 *     test/lab/lab run --nodes 1 --vm-nodes 1 --directors 1 -- npx mocha test/lab/node/vm-node.test.ts
 */
import assert from 'node:assert/strict';
import { nodeAddresses } from '../addresses.ts';
import { Lab } from '../lab.ts';
import { GUE_PORT } from '../vm/node-vm.ts';
import { waitFor } from '../wait-for.ts';

const VIP = { v4: '203.0.113.10', v6: '2001:db8:113::10' };
const NODE = nodeAddresses(1);
const FAMILIES = [
  { family: 'IPv4', vip: VIP.v4, host: VIP.v4, prefix: 32, node: NODE.v4 },
  { family: 'IPv6', vip: VIP.v6, host: `[${VIP.v6}]`, prefix: 128, node: `[${NODE.v6}]` },
] as const;
const TUNNELS = {
  ipip: '--tun-type ipip',
  gue: `--tun-type gue --tun-port ${GUE_PORT} --tun-nocsum`,
  gre: '--tun-type gre --tun-nocsum',
} as const;

const OBJECTS = [
  {
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
        },
      },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: {
      type: 'LoadBalancer',
      ipFamilyPolicy: 'RequireDualStack',
      selector: { app: 'web' },
      ports: [{ port: 80, targetPort: 8080 }],
    },
  },
];

describe('a node that is a virtual machine', function () {
  // Only a net below the waits, which have bounds of their own and say what they waited for.
  this.timeout(240_000);
  let lab: Lab;

  before(async () => {
    lab = await Lab.attach();
    await lab.apply(OBJECTS);
    const ingress = [VIP.v4, VIP.v6].map((ip) => ({ ip, ipMode: 'VIP' }));
    const status = JSON.stringify({ status: { loadBalancer: { ingress } } });
    await lab.kubectl(['patch', 'service', 'web', '--subresource=status', '--type=merge', '-p', status]);
    await lab.kubectl(['rollout', 'status', 'deployment', 'web', '--timeout=120s']);
    const [director] = lab.directors;
    for (const { vip, prefix } of FAMILIES) await director?.read(`ip address add ${vip}/${prefix} dev lo`);
  });

  after(() => lab.close());

  it('runs kube-proxy in ipvs mode: the VIP on kube-ipvs0, scheduler rr, Masq to every pod', async () => {
    const { stdout } = await lab.kubectl([
      'get',
      'pods',
      '-l',
      'app=web',
      '-o',
      'jsonpath={.items[*].status.podIPs[*].ip}',
    ]);
    const pods = stdout.split(' ');
    assert.equal(pods.length, 4, 'two pods, each with an address of both families');
    for (const { vip, host } of FAMILIES) {
      const mine = pods.filter((ip) => ip.includes(':') === vip.includes(':'));
      await waitFor(
        `${host} in the node's table`,
        async (see) => {
          const listing = await lab.onNode('node1', 'ipvsadm -Ln');
          see(listing);
          const [, entry = ''] = listing.split(`TCP  ${host}:80 rr`);
          const lines = entry.split(/\nTCP|\nUDP/)[0] ?? '';
          const masquerading = [...lines.matchAll(/-> (\S+):8080 +Masq +1 /g)].map(([, ip = '']) =>
            ip.replace(/[[\]]/g, ''),
          );
          return masquerading.toSorted().join() === mine.toSorted().join() ? true : undefined;
        },
        // One change makes kube-proxy run some sixty programs (ipset, iptables), all emulated: 8 s alone, a minute beside seven others.
        { timeoutMs: 150_000 },
      );
      assert.match(await lab.onNode('node1', 'ip -o address show dev kube-ipvs0'), new RegExp(` ${vip}/`));
    }
  });

  for (const { family, vip, host, node } of FAMILIES) {
    const server = `-t ${host}:80`;
    const answersBy = async (method: string) => {
      const [director] = lab.directors;
      assert.ok(director);
      await director.read(`ipvsadm -C && ipvsadm -A ${server} -s rr && ipvsadm -a ${server} -r ${node}:80 ${method}`);
      await waitFor(
        `an answer by ${method}`,
        async (see) => {
          const answer = await lab.client('client').get(`http://${host}/hostname`, { timeoutMs: 3_000 });
          see(answer);
          return answer.body.startsWith('web-') ? true : undefined;
        },
        { timeoutMs: 60_000 },
      );
      // The kernel adds its counters up every two seconds.
      await waitFor(
        `a connection counted at ${node}`,
        async (see) => {
          const listing = await director.read(`ipvsadm -Ln --stats ${server}`);
          see(listing);
          return listing.includes(`-> ${node}:80 `) && / -> \S+ +[1-9]/.test(listing) ? true : undefined;
        },
        { timeoutMs: 30_000 },
      );
    };
    it(`answers what a director sends to ${vip} by direct routing`, () => answersBy('-g'));
    for (const [tunnel, option] of Object.entries(TUNNELS))
      it(`takes ${family} out of ${tunnel}`, () => answersBy(`-i ${option}`));
  }
});
