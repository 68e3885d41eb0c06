import { nodeAddresses } from './addresses.ts';
import { startNode } from './cluster-nodes.ts';
import { startControlPlane } from './control-plane.ts';
import { startDirectors, writeOperatorKey } from './directors.ts';
import { CONTROLPLANE, type LabDir } from './lab-dir.ts';
import { buildNetwork } from './network.ts';
import type { LabOptions } from './options.ts';
import { runProgram } from './run-program.ts';
import { waitFor } from './wait-for.ts';

// A node that is a virtual machine boots first, and several share the processors.
const NODE_TIMEOUT_MS = 180_000;

/** Builds a whole lab in the namespaces of this process; returns when it can be used. */
export async function startLab(dir: LabDir, options: LabOptions, report: (sentence: string) => void): Promise<void> {
  await buildNetwork(options.directors);
  await writeOperatorKey(dir);
  report(`network built; starting the control plane and ${options.directors} directors`);
  await Promise.all([startCluster(dir, options, report), startDirectors(dir, options, report)]);
}

async function startCluster(dir: LabDir, options: LabOptions, report: (sentence: string) => void): Promise<void> {
  await startControlPlane(dir);
  report('API server ready; starting nodes');
  const names = Array.from({ length: options.nodes }, (_, i) => `node${i + 1}`);
  await Promise.all(names.map((name) => startNode(dir, name)));
  await Promise.all(names.map((name, i) => waitForNode(dir, name, nodeAddresses(i + 1).v4)));
  await waitForServiceAccount(dir);
  report(`${names.length} nodes ready`);
}

/** Waits until the cluster calls a node Ready and its kube-proxy has programmed the kernel. */
export async function waitForNode(dir: LabDir, name: string, address: string): Promise<void> {
  await waitFor(
    `node ${name} to be ready (log: ${dir.log('kubelet-standin')})`,
    async (see) => {
      const { stdout, stderr } = await kubectl(dir, [
        ...[
          'get',
          'node',
          name,
          '-o',
          'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.spec.taints[*].key}',
        ],
      ]);
      see(stderr || stdout);
      return stdout.trim() === 'True' ? true : undefined;
    },
    { timeoutMs: NODE_TIMEOUT_MS },
  );
  await waitFor(
    `kube-proxy of ${name} to be healthy (log: ${dir.log(`kube-proxy-${name}`)})`,
    async (see) => {
      const { stdout, stderr, code } = await runProgram('curl', [
        '-sSf',
        '--max-time',
        '2',
        `http://${address}:10256/healthz`,
      ]);
      see(stderr || stdout);
      return code === 0 ? true : undefined;
    },
    { timeoutMs: NODE_TIMEOUT_MS },
  );
}

/** No pod can be created before the controller manager has made the service account it will have. */
async function waitForServiceAccount(dir: LabDir): Promise<void> {
  await waitFor(
    'the default service account',
    async (see) => {
      const { stderr, code } = await kubectl(dir, ['get', 'serviceaccount/default', 'configmap/kube-root-ca.crt']);
      see(stderr);
      return code === 0 ? true : undefined;
    },
    { timeoutMs: NODE_TIMEOUT_MS },
  );
}

function kubectl(dir: LabDir, args: readonly string[]) {
  return runProgram(CONTROLPLANE, ['kubectl', `--kubeconfig=${dir.kubeconfig('admin')}`, ...args]);
}
