import type { ClusterNode } from '../model/cluster-node.ts';
import type { Clock } from './ports.ts';

/**
 * Which nodes may become real servers. A node that joins shows up, and even calls itself Ready, before its kube-proxy can take packets for a
 * VIP; used at once it would refuse connections of every Service. So it waits until it has been Ready for a while. A node that has been admitted
 * stays so, whatever becomes of its readiness, and nodes that were there before us are admitted as they are.
 */
export class NodeAdmission {
  readonly #clock: Clock;
  /** From a new node's first Ready to its first packet: its kube-proxy needs a moment to know the Services. */
  readonly #settleMs: number;
  readonly #onAdmitted: () => void;
  readonly #admitted = new Set<string>();
  readonly #settling = new Map<string, () => void>();

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

  /** Those of the nodes that may be used; all of them while none has been admitted, for then there is nothing to spare. */
  usable(nodes: Iterable<ClusterNode>): readonly ClusterNode[] {
    const all = [...nodes];
    const admitted = all.filter(({ name }) => this.#admitted.has(name));
    return admitted.length > 0 ? admitted : all;
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
    this.#settling.set(name, cancel);
  }

  #cancel(name: string): void {
    this.#settling.get(name)?.();
    this.#settling.delete(name);
  }
}
