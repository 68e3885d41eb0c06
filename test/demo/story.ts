import assert from 'node:assert/strict';
import { tableOf, totalWritesOf } from '../e2e/kernel.ts';
import { directRouting, nodesOf } from '../e2e/nodes.ts';
import type { Stage } from './stage.ts';

/** What the steps pass on to each other. */
interface Plot {
  /** The address of Service web. */
  address: string;
}

/** One step: its title, why it is worth seeing, and what happens. Every claim is checked; a failed check ends the demo. */
export interface Step {
  readonly title: string;
  readonly why: string;
  readonly play: (stage: Stage, plot: Plot) => Promise<void>;
}

const EXCLUDE = 'node.kubernetes.io/exclude-from-external-load-balancers';

export const STORY: readonly Step[] = [
  {
    title: 'A cluster without a load balancer',
    why: 'Two nodes with kube-proxy, two pods, and a Service of type LoadBalancer that nobody serves: EXTERNAL-IP stays <pending>.',
    play: async (stage) => {
      await stage.kubectl('get nodes');
      await stage.kubectl('create deployment web --image=agnhost --replicas=2');
      await stage.kubectl('rollout status deployment/web --timeout=120s', isAbout(/success/));
      await stage.kubectl('apply -f config/samples/service.yaml');
      assert.match(await stage.kubectl('get service web'), /<pending>/);
    },
  },
  {
    title: 'Install the operator',
    why: 'One command: namespace, resource definitions, roles without wildcards, and the Deployment, which runs here as in any cluster.',
    play: async (stage) => {
      await stage.kubectl('apply -k config/default', (line) =>
        /crd|customresource|clusterrole\.|deployment/.test(line),
      );
      await stage.kubectl('rollout status deployment/ipvs-operator -n ipvs-system --timeout=120s', (line) =>
        line.includes('success'),
      );
    },
  },
  {
    title: 'Two directors and a pool of addresses',
    why: 'The directors are plain Debian hosts with IPVS and sshd. The operator gets a key that can start one helper there, and nothing else.',
    play: async (stage) => {
      await stage.kubectl(
        `create secret generic director-ssh -n ipvs-system --type=kubernetes.io/ssh-auth --from-file=ssh-privatekey=${stage.lab.operatorKeyFile}`,
      );
      await stage.kubectl('apply -f config/samples/directors.yaml -f config/samples/pool.yaml');
      await stage.wait('both directors are ready', async () => {
        const { status } = await stage.cluster.get('lbpool', 'web');
        return status?.directorsReady === '2/2';
      });
      await stage.kubectl('get dir');
      await stage.kubectl('get lbpool');
    },
  },
  {
    title: 'The Service has an address',
    why: 'Published once every director that was ready had confirmed it from its kernel; the other one follows by itself.',
    play: async (stage, plot) => {
      plot.address = await stage.wait('Service web has an address', async () => addressOf(stage, 'web'));
      assert.match(await stage.kubectl('get service web'), new RegExp(`LoadBalancer.* ${plot.address} `));
      await stage.kubectl(
        'describe service web',
        isAbout(/^(Conditions|Events)|AddressAssigned|Programmed|IPAllocated|Ensured/),
      );
    },
  },
  {
    title: 'What the directors hold',
    why: 'ipvsadm on each host, the witness that is not ours: the address, direct routing to both nodes, the same on both.',
    play: async (stage, { address }) => {
      const tables = [];
      for (const director of stage.lab.directors) tables.push(await stage.ipvsadm(director));
      for (const table of tables) {
        const nodes = directRouting(await nodesOf(stage.lab));
        assert.deepEqual(table.get(`TCP ${address}:80`)?.realServers, nodes);
      }
      assert.deepEqual(tables[0], tables[1]);
      stage.narrator.seen('both kernels hold the same table');
    },
  },
  {
    title: 'A client outside the cluster',
    why: 'The router spreads one client over both directors; two others go by one director each. Pods on both nodes answer, straight to the client.',
    play: async (stage, { address }) => {
      for (const client of ['client', 'client-director-1', 'client-director-2'] as const) {
        const pods = await stage.wait(`${client} is answered by both pods`, async () => {
          const seen = await stage.curl(client, address, 12);
          return seen.size === 2 && seen;
        });
        assert.equal(pods.size, 2);
      }
    },
  },
  {
    title: 'Scale, and take a node out, under load',
    why: 'A client asks again and again meanwhile. Not one request may fail.',
    play: async (stage, { address }) => {
      const [first] = await nodesOf(stage.lab);
      assert.ok(first);
      const loop = await stage.lab.client('client').loop(`http://${address}/hostname`, { requestsPerSecond: 40 });
      await loop.reaches(20);
      await stage.kubectl('scale deployment web --replicas=4');
      await stage.kubectl('rollout status deployment/web --timeout=120s', isAbout(/success/));
      await stage.kubectl(`label node ${first.name} ${EXCLUDE}=true`);
      for (const director of stage.lab.directors) {
        await stage.wait(`${first.name} gets no new connection from ${stage.nameOf(director)}`, async () => {
          const entry = (await tableOf(director)).get(`TCP ${address}:80`);
          return entry?.realServers.every((real) => !real.startsWith(`${first.address}:`));
        });
      }
      await stage.kubectl(`label node ${first.name} ${EXCLUDE}-`);
      for (const director of stage.lab.directors) {
        await stage.wait(`${first.name} is back on ${stage.nameOf(director)}`, async () => {
          const entry = (await tableOf(director)).get(`TCP ${address}:80`);
          return entry?.realServers.includes(`${first.address}:80 DirectRouting 1`);
        });
      }
      await loop.reaches(20);
      const { requests, failures } = await loop.stop();
      assert.deepEqual(failures, [], `${failures.length} of ${requests} requests failed`);
      stage.narrator.seen(`${requests} requests meanwhile, none failed`);
    },
  },
  {
    title: 'The operator is replaced',
    why: 'It finds the directors as they shall be and writes nothing there; clients notice nothing.',
    play: async (stage, { address }) => {
      const loop = await stage.lab.client('client').loop(`http://${address}/hostname`);
      const before = await writesOf(stage);
      await stage.kubectl('rollout restart deployment/ipvs-operator -n ipvs-system');
      await stage.kubectl('rollout status deployment/ipvs-operator -n ipvs-system --timeout=120s', isAbout(/success/));
      await stage.wait('the new process has compared both directors', async () => {
        const synced = await stage.cluster.list('directors');
        return synced.every(({ status }) => Date.parse(status.lastSyncTime) > before.at);
      });
      assert.deepEqual((await writesOf(stage)).counts, before.counts);
      stage.narrator.seen(`no write on a director: their own counts are still ${before.counts.join(' and ')}`);
      const { requests, failures } = await loop.stop();
      assert.deepEqual(failures, [], `${failures.length} of ${requests} requests failed`);
      stage.narrator.seen(`${requests} requests meanwhile, none failed`);
    },
  },
  {
    title: 'A director loses its power',
    why: 'It is named, the other one goes on, and a new Service is served without it.',
    play: async (stage, { address }) => {
      const [, second] = stage.lab.directors;
      assert.ok(second);
      await second.powerOff();
      stage.narrator.seen(`the power of ${stage.nameOf(second)} is cut`);
      await stage.wait('the pool names the director that is away', async () => {
        const { status } = await stage.cluster.get('lbpool', 'web');
        return status?.directorsReady === '1/2';
      });
      await stage.kubectl('get dir');
      await stage.kubectl('describe lbpool web', isAbout(/not ready is/));
      await stage.kubectl('describe dir lb-2', isAbout(/Not connected since/));
      await stage.curl('client-director-1', address, 6);
      await stage.kubectl(
        'expose deployment web --name=late --port=80 --target-port=8080 --type=LoadBalancer --overrides={"apiVersion":"v1","spec":{"loadBalancerClass":"ipvs-operator.io/ipvs"}}',
      );
      const late = await stage.wait('the new Service has an address', async () => addressOf(stage, 'late'));
      await stage.curl('client-director-1', late, 6);
    },
  },
  {
    title: 'It comes back',
    why: 'It boots with an empty table. Nobody types anything.',
    play: async (stage) => {
      const [first, second] = stage.lab.directors;
      assert.ok(first && second);
      await second.powerOn();
      await stage.wait(`${stage.nameOf(second)} holds the same table as ${stage.nameOf(first)} again`, async () => {
        assert.deepEqual(await tableOf(second), await tableOf(first));
        return true;
      });
      await stage.ipvsadm(second);
      await stage.wait('both directors are ready', async () => {
        const { status } = await stage.cluster.get('lbpool', 'web');
        return status?.directorsReady === '2/2';
      });
      await stage.kubectl('get lbpool');
    },
  },
  {
    title: 'Delete, and nothing is left',
    why: 'The addresses are closed on both directors before the Services may go.',
    play: async (stage, { address }) => {
      await stage.kubectl('delete service web late --timeout=60s');
      for (const director of stage.lab.directors) {
        const table = await stage.ipvsadm(director);
        assert.equal(table.size, 0, `${stage.nameOf(director)} still holds ${[...table.keys()].join(', ')}`);
        assert.ok(!(await director.addresses('lo')).some((held) => held.startsWith(address)));
      }
      await stage.client('client', `! curl -sS --max-time 2 http://${address}/hostname 2>&1`);
      await stage.wait('the pool has all its addresses again', async () => {
        const { status } = await stage.cluster.get('lbpool', 'web');
        return status?.assignedIPv4 === 0;
      });
    },
  },
];

/** What the helpers have counted since boot. */
async function writesOf(stage: Stage): Promise<{ at: number; counts: readonly number[] }> {
  return { at: Date.now(), counts: await Promise.all(stage.lab.directors.map(totalWritesOf)) };
}

async function addressOf(stage: Stage, service: string): Promise<string | undefined> {
  const stored = await stage.cluster.get('service', service, 'default');
  return stored?.status.loadBalancer.ingress?.[0]?.ip;
}

/** Picks the lines of a long text that match, each text once. */
function isAbout(pattern: RegExp): (line: string) => boolean {
  const shown = new Set<string>();
  return (line) => {
    const isNew = pattern.test(line) && !shown.has(line.trim());
    if (isNew) shown.add(line.trim());
    return isNew;
  };
}
