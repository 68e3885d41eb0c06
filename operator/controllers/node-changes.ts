import { eligibleNodes } from '../core/select-nodes.ts';
import type { AddressPool } from '../model/address-pool.ts';
import type { ClusterNode } from '../model/cluster-node.ts';

/**
 * What of a change of nodes matters to the Services of each pool: a node that comes into its set of possible real servers, leaves it, or
 * has other addresses. A heartbeat or a label that no pool asks for matters to nobody.
 */
export class NodeChanges {
  /** Per pool: each node that may be a real server, and what of it reaches a director. */
  readonly #seen = new Map<string, ReadonlyMap<string, string>>();

  /**
   * Takes the nodes as they are now.
   *
   * @returns for each pool whose nodes differ from those of the last call, the names of those that do.
   */
  take(pools: readonly AddressPool[], nodes: readonly ClusterNode[]): ReadonlyMap<string, ReadonlySet<string>> {
    const changes = new Map<string, ReadonlySet<string>>();
    const names = new Set(pools.map(({ name }) => name));
    for (const name of this.#seen.keys()) if (!names.has(name)) this.#seen.delete(name);
    for (const pool of pools) {
      const before = this.#seen.get(pool.name) ?? new Map<string, string>();
      const now = new Map(eligibleNodes(nodes, pool).map((node) => [node.name, printOf(node)]));
      this.#seen.set(pool.name, now);
      const differing = [...before.keys(), ...now.keys()].filter((name) => before.get(name) !== now.get(name));
      if (differing.length > 0) changes.set(pool.name, new Set(differing));
    }
    return changes;
  }
}

/** All of an eligible node but what has only made it eligible. */
function printOf(node: ClusterNode): string {
  return JSON.stringify({ ...node, labels: undefined, taintKeys: undefined, silent: undefined });
}
