import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CLUSTER_RANGES, nodeAddresses, nodeNumber, podRanges, ROUTER } from './addresses.ts';
import { IMAGES } from './control-plane.ts';
import { CONTROLPLANE, type LabDir } from './lab-dir.ts';
import {
  addNodeNamespace,
  addTap,
  missedByKubeProxy,
  otherPodRoutes,
  removeNodeNamespace,
  removeTap,
} from './network.ts';
import { NodeVm, TUNNEL_DEVICES } from './vm/node-vm.ts';

/** A description of a node whose pods the machine's own kubelet stand-in runs; the other kind is for the lab's. */
const VM_SUFFIX = '.vm';
const NAMESPACE_SUFFIX = '.json';

/** Names of the nodes that the lab runs, in the order of their numbers. */
export async function nodeNames(dir: LabDir): Promise<string[]> {
  const names = (await readdir(dir.nodes)).flatMap((file) => /^(node\d+)\.(?:json|vm)$/.exec(file)?.[1] ?? []);
  return names.toSorted((a, b) => nodeNumber(a) - nodeNumber(b));
}

/** The first nodes of a lab may be virtual machines. */
export function isVmNode(dir: LabDir, name: string): boolean {
  return nodeNumber(name) <= dir.state().vmNodes;
}

/** Switches a node on; the cluster sees it a moment later. */
export async function startNode(dir: LabDir, name: string): Promise<void> {
  if (isVmNode(dir, name)) await startVmNode(dir, name);
  else await startNamespaceNode(dir, name);
}

/** Ends a node as a power cut would: its pods, its kube-proxy and its network are gone; its Node object stays. */
export async function stopNode(dir: LabDir, name: string): Promise<void> {
  if (isVmNode(dir, name)) {
    await rm(join(dir.nodes, `${name}${VM_SUFFIX}`));
    await NodeVm.attach(dir.vmNodes, name).stop();
    await removeTap(name);
  } else {
    await rm(join(dir.nodes, `${name}${NAMESPACE_SUFFIX}`));
    await removeNodeNamespace(name);
  }
}

/** Gives a node its network namespace and tells the lab's kubelet stand-in to run it. */
async function startNamespaceNode(dir: LabDir, name: string): Promise<void> {
  await addNodeNamespace(name, nodeNumber(name));
  await writeDescription(dir, `${name}${NAMESPACE_SUFFIX}`, describe(name, dir.state().proxyMode));
}

/** Boots a node with a kubelet stand-in of its own. */
async function startVmNode(dir: LabDir, name: string): Promise<void> {
  const number = nodeNumber(name);
  const addresses = nodeAddresses(number);
  const description = describe(name, dir.state().vmProxyMode);
  const credentials = async (user: string) => readFile(dir.kubeconfig(user), 'utf8');
  await mkdir(dir.vmNodes, { recursive: true });
  await addTap(name);
  const vm = await NodeVm.start({
    name,
    kernel: dir.state().kernel,
    tap: name,
    address4: `${addresses.v4}/24`,
    gateway4: ROUTER.v4,
    address6: `${addresses.v6}/64`,
    gateway6: ROUTER.v6,
    routes: otherPodRoutes(number),
    blackholes: [],
    workDir: dir.vmNodes,
    controlplane: CONTROLPLANE,
    files: {
      [`${name}.json`]: description,
      'missed.nft': missedByKubeProxy(['eth0', ...TUNNEL_DEVICES]),
      'images.json': JSON.stringify(IMAGES),
      'kubelet.kubeconfig': await credentials('kubelet'),
      'proxy.kubeconfig': await credentials('proxy'),
    },
  });
  vm.close();
  await writeDescription(dir, `${name}${VM_SUFFIX}`, description);
}

/** What the kubelet stand-in must know of a node. */
function describe(name: string, proxyMode: string): string {
  const [addresses, ranges] = [nodeAddresses(nodeNumber(name)), podRanges(nodeNumber(name))];
  const description = {
    name,
    // A node that comes back under its name is another one to the kubelet stand-in, however soon it comes.
    incarnation: randomUUID(),
    networkNamespace: name,
    addresses: [addresses.v4, addresses.v6],
    podRanges: [ranges.v4, ranges.v6],
    kubeProxy: [
      `--proxy-mode=${proxyMode}`,
      `--cluster-cidr=${CLUSTER_RANGES.v4},${CLUSTER_RANGES.v6}`,
      // The limit of tracked connections belongs to the whole machine, which a lab leaves alone.
      '--conntrack-max-per-core=0',
      ...(proxyMode === 'ipvs' ? ['--ipvs-scheduler=rr', '--ipvs-strict-arp'] : []),
    ],
  };
  return JSON.stringify(description, null, 2);
}

async function writeDescription(dir: LabDir, fileName: string, description: string): Promise<void> {
  const file = join(dir.nodes, fileName);
  await writeFile(`${file}.new`, description);
  await rename(`${file}.new`, file);
}
