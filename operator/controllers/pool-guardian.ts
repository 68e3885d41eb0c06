import type { AddressBook } from '../core/address-book.ts';
import { DONE, type Outcome } from './outcome.ts';
import type { Cluster, ClusterWriter } from './ports.ts';
import { outcomeOfWrite } from './write-outcome.ts';

export interface PoolGuardianOptions {
  readonly cluster: Cluster;
  readonly writer: ClusterWriter;
  readonly book: AddressBook;
}

/**
 * Lets no pool vanish under its Services: our finalizer stands on a pool from its first Service on, and goes when the pool is deleted and the last one has left. It does
 * not go before, for a pool that fills and empties would cost a write each time.
 */
export class PoolGuardian {
  readonly #options: PoolGuardianOptions;

  constructor(options: PoolGuardianOptions) {
    this.#options = options;
  }

  async reconcile(name: string): Promise<Outcome> {
    const { cluster, writer, book } = this.#options;
    const marked = cluster.isPoolMarked(name);
    const inUse = book.servicesIn(name) > 0;
    const deleting = cluster.isPoolDeleting(name);
    if (inUse && !marked && !deleting)
      return outcomeOfWrite(await writer.markPool(name, true), 'mark the pool as used');
    if (!inUse && marked && deleting) return outcomeOfWrite(await writer.markPool(name, false), 'let the pool go');
    return DONE;
  }
}
