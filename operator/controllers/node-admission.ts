import type { ClusterNode } from '../model/cluster-node.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import type { Clock } from './ports.ts';

interface Settling {
  readonly cancel: () => void;
  /** Services that it serves meanwhile, for they had no other node. */
  readonly serves: Set<ServiceKey>;
}

const NO_SERVICES: ReadonlySet<ServiceKey> = new Set();

/**
 * Which nodes may become real servers of any Service. A node that joins shows up, and even calls itself Ready, before its kube-proxy can take packets for a
 * VIP; used at once it would refuse connections of every Service. So it settles until it has been Ready for a while, and is spared for
 * all Services that have another node. One that has none uses it, and keeps it: its set does not shrink when another node has settled first. A
 * node that has been admitted stays so, whatever becomes of its readiness, and nodes that were there before us are admitted as they are.
 */
export class NodeAdmission {
  readonly #clock: Clock;
  /** From a new node's first Ready to its first packet: its kube-proxy needs a moment to know the Services. */
  readonly #settleMs: number;
  readonly #onAdmitted: () => void;
  readonly #admitted = new Set<string>();
  readonly #settling = new Map<string, Settling>();

  constructor(clock: Clock, settleMs: number, onAdmitted: () => void) {
    this.#clock = clock;
    this.#settleMs = settleMs;
    this.#onAdmitted = onAdmitted;
  }

  /** Takes the nodes that are there when we begin. */
  begin(nodes: Iterable<ClusterNode>): void {
    for (const { name } of nodes) this.#admitted.add(name);
  }

  /** Takes the nodes as they are now. */
  observe(nodes: Iterable<ClusterNode>): void {
    const present = new Map([...nodes].map((node) => [node.name, node]));
    for (const name of [...this.#admitted]) if (!present.has(name)) this.#admitted.delete(name);
    for (const name of [...this.#settling.keys()]) {
      if (!present.has(name)) this.#cancel(name);
    }
    for (const node of present.values()) this.#settle(node);
  }

  /** The nodes, each that has not been admitted marked as settling. */
  marked(nodes: Iterable<ClusterNode>): readonly ClusterNode[] {
    return [...nodes].map((node) =>
      this.#admitted.has(node.name)
        ? node
        : { ...node, settling: this.#settling.get(node.name)?.serves ?? NO_SERVICES },
    );
  }

  /** Whether any node settles. */
  get pending(): boolean {
    return this.#settling.size > 0;
  }

  /** The Service uses these nodes: those that settle stay with it. */
  keep(service: ServiceKey, nodes: Iterable<ClusterNode>): void {
    for (const { name } of nodes) this.#settling.get(name)?.serves.add(service);
  }

  /** Ends all waiting. */
  stop(): void {
    for (const name of [...this.#settling.keys()]) this.#cancel(name);
  }

  #settle({ name, hasBeenReady }: ClusterNode): void {
    if (this.#admitted.has(name) || this.#settling.has(name) || !hasBeenReady) return;
    const cancel = this.#clock.schedule(this.#settleMs, () => {
      this.#settling.delete(name);
      this.#admitted.add(name);
      this.#onAdmitted();
    });
    this.#settling.set(name, { cancel, serves: new Set() });
  }

  #cancel(name: string): void {
    this.#settling.get(name)?.cancel();
    this.#settling.delete(name);
  }
}
