import { randomUUID } from 'node:crypto';
import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CLUSTER_RANGES, nodeAddresses, nodeNumber, podRanges } from './addresses.ts';
import type { LabDir } from './lab-dir.ts';
import { addNodeNamespace, removeNodeNamespace } from './network.ts';

/** Names of the nodes that the lab runs, in the order of their numbers. */
export async function nodeNames(dir: LabDir): Promise<string[]> {
  const files = (await readdir(dir.nodes)).filter((file) => file.endsWith('.json'));
  return files.map((file) => file.slice(0, -'.json'.length)).toSorted((a, b) => nodeNumber(a) - nodeNumber(b));
}

/** Gives a node its network namespace and tells the kubelet stand-in to run it; the cluster sees it a moment later. */
export async function startNode(dir: LabDir, name: string): Promise<void> {
  const number = nodeNumber(name);
  const [addresses, ranges] = [nodeAddresses(number), podRanges(number)];
  await addNodeNamespace(name, number);
  const description = {
    name,
    // A node that comes back under its name is another one to the kubelet stand-in, however soon it comes.
    incarnation: randomUUID(),
    networkNamespace: name,
    addresses: [addresses.v4, addresses.v6],
    podRanges: [ranges.v4, ranges.v6],
    kubeProxy: [
      `--proxy-mode=${dir.state().proxyMode}`,
      `--cluster-cidr=${CLUSTER_RANGES.v4},${CLUSTER_RANGES.v6}`,
      // The limit of tracked connections belongs to the whole machine, which a lab leaves alone.
      '--conntrack-max-per-core=0',
    ],
  };
  const file = join(dir.nodes, `${name}.json`);
  await writeFile(`${file}.new`, JSON.stringify(description, null, 2));
  await rename(`${file}.new`, file);
}

/** Ends a node as a power cut would: its pods, its kube-proxy and its network are gone; its Node object stays. */
export async function stopNode(dir: LabDir, name: string): Promise<void> {
  await rm(join(dir.nodes, `${name}.json`));
  await removeNodeNamespace(name);
}
