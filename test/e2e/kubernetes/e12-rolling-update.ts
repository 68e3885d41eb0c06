import assert from 'node:assert/strict';
import type { RunningLoop } from '../../lab/client.ts';
import { LabDir } from '../../lab/lab-dir.ts';
import type { LoopReport } from '../../lab/request-loop.ts';
import { authority } from '../answers.ts';
import { HTTP_PORT, type Manifest, UDP_PORT } from '../manifests.ts';
import { cluster, lab } from '../world.ts';
import type { Stage } from './stage.ts';

const UPDATES = 5;
/** There a replaced pod takes a minute and a half. */
const UPDATES_EMULATED = 2;
const LONGEST_MS = 1_800_000;
const LINGER_S = 4;
/** kube-proxy on an emulated node was seen to take most of a minute. */
const LINGER_EMULATED_S = 75;
/** What Kubernetes asks for is 95 %, and 99 % is its goal. */
const SHARE = 0.99;
const POLICIES = ['Cluster', 'Local'] as const;
export type RollingUpdates = Readonly<Record<(typeof POLICIES)[number], readonly LoopReport[]>>;

/**
 * A DaemonSet behind two Services, of either traffic policy, updated five times (twice on emulated nodes), while a client opens new connections to each address of
 * both: what became of these. E12 and E13 judge it.
 */
export async function updatesUnderLoad(stage: Stage): Promise<RollingUpdates> {
  const { namespace } = stage;
  const rolling = 'daemonset/rolling';
  await stage.scene.apply(daemonSet(namespace));
  await cluster().rolledOut(rolling, namespace);
  const pods = (await stage.readyPods('rolling')).length;
  const names = POLICIES.map((policy) => `rolling-${policy.toLowerCase()}`);
  const loops: RunningLoop[][] = [];
  try {
    for (const [index, externalTrafficPolicy] of POLICIES.entries()) {
      const name = names[index] ?? '';
      const addresses = await stage.serve(name, { app: 'rolling', spec: { externalTrafficPolicy } });
      await stage.untilProgrammed(name);
      await stage.untilAnswered(addresses, 'TCP', 80, pods);
      const group: RunningLoop[] = [];
      loops.push(group);
      for (const address of addresses) group.push(await ask(`http://${authority(address, 80)}/hostname`));
    }
    const updates = isEmulated() ? UPDATES_EMULATED : UPDATES;
    for (let update = 1; update <= updates; update += 1) {
      await cluster().kubectl('set', 'env', rolling, '-n', namespace, `UPDATE=${update}`);
      await cluster().rolledOut(rolling, namespace);
    }
  } finally {
    for (const loop of loops.flat()) loop.finish();
  }
  const reports = await Promise.all(loops.map((group) => Promise.all(group.map((loop) => loop.stop()))));
  for (const name of names) await stage.remove(name);
  await cluster().kubectl('delete', rolling, '-n', namespace, '--wait=false');
  return { Cluster: reports[0] ?? [], Local: reports[1] ?? [] };
}

function isEmulated(): boolean {
  return LabDir.current().state().vmNodes > 0;
}

function ask(url: string): Promise<RunningLoop> {
  return lab().client('client').loop(url, { requestsPerSecond: 10, longestMs: LONGEST_MS });
}

/** At least 99 % of the requests were answered; says how many. */
export function mostWereAnswered(reports: readonly LoopReport[]): void {
  for (const { requests, failures, slowestMs } of reports) {
    const said = `${requests - failures.length} of ${requests} requests answered, the slowest after ${slowestMs} ms`;
    console.log(`        ${said}`);
    assert.ok(requests >= 100, `only ${requests} requests`);
    const why = [...new Set(failures.map(({ error }) => error))].join('; ');
    assert.ok(failures.length <= requests * (1 - SHARE), `${said}: ${why}`);
  }
}

/**
 * Its pods serve on for a while after they were told to end, as pods must for an update that nobody notices: for as long as kube-proxy may
 * take to send nobody there any more.
 */
function daemonSet(namespace: string): Manifest {
  const labels = { app: 'rolling' };
  const seconds = isEmulated() ? LINGER_EMULATED_S : LINGER_S;
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'rolling', namespace },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: seconds + 30,
          containers: [
            {
              name: 'echo',
              image: 'agnhost',
              args: ['netexec', `--http-port=${HTTP_PORT}`, `--udp-port=${UDP_PORT}`],
              lifecycle: { preStop: { sleep: { seconds } } },
              readinessProbe: { httpGet: { path: '/healthz', port: HTTP_PORT }, periodSeconds: 1 },
            },
          ],
        },
      },
    },
  };
}
