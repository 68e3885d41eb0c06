import { count } from '../lib/list-in-words.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { LoadBalancedService } from '../model/load-balanced-service.ts';
import { type Choice, NOTHING_AWAITED } from './address-decision.ts';
import type { AddressLedger } from './address-ledger.ts';
import { othersAt } from './obstacles.ts';
import type { PoolSpace } from './pool-space.ts';

/** What an address costs of the quota that the namespace of a Service has in a pool. */
export class NamespaceQuota {
  readonly #ledger: AddressLedger;
  readonly #service: LoadBalancedService;
  readonly #pool: PoolSpace['pool'];
  /** What the Service has of the pool: it goes on having it, or gives it up for something else. */
  readonly #has: readonly IpAddress[];

  constructor(ledger: AddressLedger, service: LoadBalancedService, { pool }: PoolSpace) {
    this.#ledger = ledger;
    this.#service = service;
    this.#pool = pool;
    const holding = ledger.holding(service.key);
    this.#has = holding?.pool === pool.name ? holding.current : [];
  }

  /** Whether the Service may have these: they are no more than the namespace may have, or no more than it has. */
  permits(picks: readonly IpAddress[]): boolean {
    const quota = this.#pool.serviceAllocation.quotaPerNamespace;
    if (quota === 0) return true;
    const places = this.#placesFor(picks);
    return picks.every((address) => this.isFree(address)) || this.#used() + places <= quota;
  }

  /** Whether the Service may have the address without the namespace having more for it. What the pool reserves for a Service counts, but is not refused. */
  isFree(address: IpAddress): boolean {
    return (
      this.#has.includes(address) || this.#ledger.reservedFor(address) === this.#service.key || this.#isCounted(address)
    );
  }

  /** Whether the namespace has no more for it, not even when the Service gives up something else for it. */
  isSaving(address: IpAddress): boolean {
    return this.#isCounted(address) || (this.isFree(address) && !this.#has.includes(address));
  }

  /** The refusal of a Service that needs one of these, and what it waits for. */
  refuse(candidates: readonly (readonly IpAddress[])[]): Extract<Choice, { ok: false }> {
    const { name, serviceAllocation } = this.#pool;
    const message =
      `Namespace ${this.#service.namespace} has ${count(serviceAllocation.quotaPerNamespace, 'address', 'addresses')} of LoadBalancerPool ${name}, as many as its serviceAllocation.quotaPerNamespace permits. ` +
      'Delete a Service, share an address, or use another pool.';
    const places = Math.min(...candidates.map((picks) => this.#placesFor(picks)));
    return {
      ok: false,
      refusal: { reason: 'QuotaExceeded', message },
      awaited: { ...NOTHING_AWAITED, quotas: [{ pool: name, places }] },
    };
  }

  #placesFor(picks: readonly IpAddress[]): number {
    const added = picks.filter((address) => !this.isFree(address)).length;
    const givenUp = this.#has.filter((address) => !picks.includes(address) && !this.#isCounted(address)).length;
    return added - givenUp;
  }

  #used(): number {
    return this.#ledger.usedIn(this.#pool.name, this.#service.namespace);
  }

  /** Whether the namespace has the address already, by another Service. */
  #isCounted(address: IpAddress): boolean {
    const { key, namespace } = this.#service;
    return othersAt(this.#ledger, address, key).some(
      (other) => other.namespace === namespace && other.pool === this.#pool.name && other.current.includes(address),
    );
  }
}
