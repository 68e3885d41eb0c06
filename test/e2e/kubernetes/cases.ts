import { changesTypeAndPorts } from './e01-type-and-ports.ts';
import { keepsSourceRanges } from './e03-source-ranges.ts';
import { keepsAffinity, switchesAffinity } from './e04-affinity.ts';
import { cleansUp, needsNoNodePorts } from './e08-life-cycle.ts';
import { movesUdpFlow } from './e10-udp-flow.ts';
import { mostWereAnswered, type RollingUpdates, updatesUnderLoad } from './e12-rolling-update.ts';
import { followsTheOnlyPod, hitsAllNodes, servesPods, showsClients } from './e14-local-policy.ts';
import type { Stage } from './stage.ts';

/** One assertion of Kubernetes' own end-to-end suite for load balancers (test/e2e/network/loadbalancer.go), re-created. */
export interface Case {
  readonly id: string;
  readonly title: string;
  readonly run: (stage: Stage) => Promise<void>;
}

const CASES: readonly Omit<Case, 'id'>[] = [
  { title: 'changes the type and ports of a TCP service', run: (stage) => changesTypeAndPorts(stage, 'TCP') },
  { title: 'changes the type and ports of a UDP service', run: (stage) => changesTypeAndPorts(stage, 'UDP') },
  { title: 'only allows access from its source ranges', run: keepsSourceRanges },
  { title: 'keeps session affinity, policy Local', run: (stage) => keepsAffinity(stage, 'Local') },
  { title: 'switches session affinity, policy Local', run: (stage) => switchesAffinity(stage, 'Local') },
  { title: 'keeps session affinity, policy Cluster', run: (stage) => keepsAffinity(stage, 'Cluster') },
  { title: 'switches session affinity, policy Cluster', run: (stage) => switchesAffinity(stage, 'Cluster') },
  { title: 'has the cleanup finalizer while it is a load balancer', run: cleansUp },
  { title: 'works without node ports, and gets them on demand', run: needsNoNodePorts },
  { title: 'moves a UDP flow to a pod on another node', run: (stage) => movesUdpFlow(stage, 'different nodes') },
  { title: 'moves a UDP flow to a pod on the same node', run: (stage) => movesUdpFlow(stage, 'same node') },
  {
    title: 'loses at most 1 % of new connections in rolling updates, policy Cluster',
    run: async (stage) => mostWereAnswered((await updated(stage)).Cluster),
  },
  {
    title: 'loses at most 1 % of new connections in rolling updates, policy Local',
    run: async (stage) => mostWereAnswered((await updated(stage)).Local),
  },
  { title: 'has a health check port with policy Local, and shows the client', run: showsClients },
  { title: 'follows the only pod from node to node, policy Local', run: followsTheOnlyPod },
  { title: 'hits all nodes with pods, policy Local', run: hitsAllNodes },
  { title: 'serves pods, of either policy', run: servesPods },
];

/** E01 to E17, in order. */
export const kubernetesCases: readonly Case[] = CASES.map((one, index) => ({
  id: `E${String(index + 1).padStart(2, '0')}`,
  ...one,
}));

/** E12 and E13 happen at the same time, once for each stage. */
const updates = new WeakMap<Stage, Promise<RollingUpdates>>();

function updated(stage: Stage): Promise<RollingUpdates> {
  const known = updates.get(stage) ?? updatesUnderLoad(stage);
  updates.set(stage, known);
  return known;
}
