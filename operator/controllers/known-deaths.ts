import { deadNodes, type NodeDeaths } from '../core/dead-nodes.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import type { Clock } from './ports.ts';

/** Longer than any drain: who has been away for so long is in no table any more. */
const REMEMBERED_MS = 25 * 3_600_000;

/**
 * Which nodes are dead, those included whose Node object has been deleted since. Deleting it kills nobody: an administrator deletes that of
 * a machine that still runs before he switches it off. So a deleted node stays what it was when it was seen last.
 */
export class KnownDeaths implements NodeDeaths {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** By name, with when its Node was seen last. */
  readonly #dead = new Map<string, { readonly node: ClusterNode; readonly seen: number }>();
  #addresses: ReadonlySet<string> = new Set();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Takes the nodes as they are now. */
  observe(nodes: Iterable<ClusterNode>): void {
    const all = [...nodes];
    const now = this.#clock.monotonic();
    for (const [name, { seen }] of this.#dead) if (now - seen > REMEMBERED_MS) this.#dead.delete(name);
    for (const { name } of all) this.#dead.delete(name);
    for (const node of deadNodes(all)) this.#dead.set(node.name, { node, seen: now });
    const living = new Set(all.filter(({ name }) => !this.#dead.has(name)).flatMap(({ internalIPs }) => internalIPs));
    const left = [...this.#dead.values()].flatMap(({ node }) => node.internalIPs);
    this.#addresses = new Set(left.filter((address) => !living.has(address)));
  }

  hasNode(name: string): boolean {
    return this.#dead.has(name);
  }

  hasAddress(address: string): boolean {
    return this.#addresses.has(address);
  }
}
