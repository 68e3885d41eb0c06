import { nodeAddresses, nodeNumber } from '../lab/addresses.ts';
import type { Lab } from '../lab/lab.ts';

/** A cluster node of the lab and its InternalIPs. */
export interface LabNode {
  readonly name: string;
  readonly address: string;
  readonly address6: string;
}

/** The nodes that run now, in the order of their numbers. */
export async function nodesOf(lab: Lab): Promise<readonly LabNode[]> {
  return (await lab.nodes()).map(nodeNamed);
}

export function nodeNamed(name: string): LabNode {
  const { v4, v6 } = nodeAddresses(nodeNumber(name));
  return { name, address: v4, address6: v6 };
}

/** What ipvsadm shows for these nodes as real servers by direct routing. */
export function directRouting(nodes: readonly LabNode[], port = 80): string[] {
  return nodes.map(({ address }) => `${address}:${port} DirectRouting 1`);
}
