import { eligibleNodes, servingNodes } from '../core/select-nodes.ts';
import type { AddressPool } from '../model/address-pool.ts';
import type { ClusterNode } from '../model/cluster-node.ts';

/** Which nodes of a pool are others now. */
export interface PoolChange {
  /** Those that come into its set of possible real servers, leave it, have settled, or have other addresses. */
  readonly nodes: ReadonlySet<string>;
  /** Whether one of them serves, or did: else it settles, and concerns only Services that want a node with an endpoint. */
  readonly ofServing: boolean;
}

interface SeenNode {
  /** What of it reaches a director. */
  readonly print: string;
  readonly serves: boolean;
}

/**
 * What of a change of nodes matters to the Services of each pool: a node that comes into its set of possible real servers, leaves it, or
 * has other addresses. A heartbeat or a label that no pool asks for matters to nobody.
 */
export class NodeChanges {
  /** Per pool: each node that may be a real server. */
  readonly #seen = new Map<string, ReadonlyMap<string, SeenNode>>();

  /**
   * Takes the nodes as they are now.
   *
   * @returns for each pool whose nodes differ from those of the last call, how.
   */
  take(pools: readonly AddressPool[], nodes: readonly ClusterNode[]): ReadonlyMap<string, PoolChange> {
    const changes = new Map<string, PoolChange>();
    const names = new Set(pools.map(({ name }) => name));
    for (const name of this.#seen.keys()) if (!names.has(name)) this.#seen.delete(name);
    for (const pool of pools) {
      const before = this.#seen.get(pool.name) ?? new Map<string, SeenNode>();
      const now = seenOf(eligibleNodes(nodes, pool));
      this.#seen.set(pool.name, now);
      const differing = [...before.keys(), ...now.keys()].filter((name) => differs(before.get(name), now.get(name)));
      if (differing.length === 0) continue;
      const ofServing = differing.some((name) => before.get(name)?.serves === true || now.get(name)?.serves === true);
      changes.set(pool.name, { nodes: new Set(differing), ofServing });
    }
    return changes;
  }
}

function seenOf(eligible: readonly ClusterNode[]): ReadonlyMap<string, SeenNode> {
  const serving = new Set(servingNodes(eligible));
  return new Map(eligible.map((node) => [node.name, { print: printOf(node), serves: serving.has(node) }]));
}

function differs(before: SeenNode | undefined, now: SeenNode | undefined): boolean {
  return before?.print !== now?.print || before?.serves !== now?.serves;
}

/** All of an eligible node but what has only made it eligible, and whether it settles. */
function printOf(node: ClusterNode): string {
  const settling = node.settling !== undefined;
  return JSON.stringify({ ...node, labels: undefined, taintKeys: undefined, silent: undefined, settling });
}
