import { listInWords } from '../lib/list-in-words.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { LabelSet } from '../model/labels.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import type { Refusal } from './address-decision.ts';
import type { AddressLedger } from './address-ledger.ts';
import type { AdoptionClaim } from './adoption-claims.ts';
import { everythingOf } from './holding.ts';
import { nameService } from './name-service.ts';
import { claims, othersAt, portsOf } from './obstacles.ts';
import { whyNotAdmitted } from './pool-admission.ts';
import { covers, poolCovering } from './pool-space.ts';

/** What became of the addresses that a Service was found with. */
export type Adoption =
  | { readonly kind: 'adopted'; readonly addresses: readonly IpAddress[]; readonly pool: string }
  | { readonly kind: 'nothing' }
  | ({ readonly kind: 'refused' } & Refusal);

/** Takes what Services were found with into the ledger. */
export class Adopter {
  readonly #ledger: AddressLedger;
  readonly #unusable: ReadonlySet<string>;

  /** @param unusable names of pools that exist but cannot be read. */
  constructor(ledger: AddressLedger, unusable: ReadonlySet<string>) {
    this.#ledger = ledger;
    this.#unusable = unusable;
  }

  adopt(claim: AdoptionClaim, namespaceLabels: LabelSet | undefined): Adoption {
    const { service, addresses } = claim;
    const { key, uid, namespace, record } = service;
    const held = this.#ledger.holding(key);
    if (held?.uid === uid) return { kind: 'adopted', addresses: held.current, pool: held.pool };
    const pool = this.#originOf(addresses, claim.pool);
    const refusal = claim.confirmed ? undefined : this.#whyNotClaimable(claim, pool, namespaceLabels);
    if (pool === undefined || refusal !== undefined) return { kind: 'refused', ...(refusal ?? outsidePools(claim)) };
    const taken = addresses.find((address) => this.#isTaken(address, claim, pool));
    const current = addresses.filter((address) => !this.#isTaken(address, claim, pool));
    const leaving = everythingOf(held).filter((address) => !current.includes(address));
    const ports = record?.sharing?.ports ?? portsOf(service);
    // Without a record nothing was granted yet: what it shares now is as good as what it asks for.
    const sharingKey = record === undefined ? service.request.sharingKey : record.sharing?.key;
    const reallocated = record?.reallocated;
    if (current.length > 0)
      this.#ledger.replace(held, {
        ...{ key, namespace, uid, pool, current, leaving, sharingKey, ports, leavingPorts: [], reallocated },
      });
    if (taken === undefined) return { kind: 'adopted', addresses: current, pool };
    const owner =
      this.#ledger.users(taken).find((user) => user !== key) ??
      this.#ledger.reservedFor(taken) ??
      this.#ledger.held(taken)?.service;
    const message = `${sourceOf(claim)} of Service ${key} names ${taken}, which belongs to ${nameService(owner as ServiceKey, namespace)}; ${key} gets another address.`;
    return { kind: 'refused', reason: 'AddressInUse', message };
  }

  /** Another Service has it and does not share it with this one; or it is kept for another, and no status confirms that it was given all the same. */
  #isTaken(address: IpAddress, { service, confirmed }: AdoptionClaim, pool: string): boolean {
    const { key, namespace, record } = service;
    const others = othersAt(this.#ledger, address, key);
    const keeper = this.#ledger.reservedFor(address) ?? this.#ledger.held(address)?.service ?? key;
    if (!confirmed && keeper !== key) return true;
    if (others.length === 0) return false;
    const asked = service.request.sharingKey;
    const sharing =
      record?.sharing ??
      (record === undefined && asked !== undefined ? { key: asked, ports: portsOf(service) } : undefined);
    if (sharing === undefined) return true;
    const mayCross = confirmed || this.#ledger.pools.get(pool)?.pool.serviceAllocation.sharingAcrossNamespaces === true;
    return others.some(
      (other) =>
        other.sharingKey !== sharing.key ||
        (!mayCross && other.namespace !== namespace) ||
        sharing.ports.some((port) => claims(other, port)),
    );
  }

  #whyNotClaimable(
    claim: AdoptionClaim,
    pool: string | undefined,
    namespaceLabels: LabelSet | undefined,
  ): Refusal | undefined {
    const space = pool === undefined ? undefined : this.#ledger.pools.get(pool);
    if (space === undefined || !covers(space, claim.addresses)) return outsidePools(claim);
    const refusal = whyNotAdmitted(space.pool, claim.service, namespaceLabels);
    if (refusal === undefined) return undefined;
    const message = `${sourceOf(claim)} of Service ${claim.service.key} is not honoured: ${refusal.message}`;
    return { ...refusal, message };
  }

  /** Where addresses came from: the pool that is named when it has them, cannot be read or is gone, else the pool that has them. */
  #originOf(addresses: readonly IpAddress[], named: string | undefined): string | undefined {
    const { pools } = this.#ledger;
    if (named !== undefined && (this.#unusable.has(named) || covers(pools.get(named), addresses))) return named;
    return poolCovering(pools, addresses) ?? named;
  }
}

/** Where it says so. */
function sourceOf({ service }: AdoptionClaim): string {
  return service.record === undefined ? 'The status' : 'The allocation record';
}

function outsidePools(claim: AdoptionClaim): Refusal {
  const message = `${sourceOf(claim)} of Service ${claim.service.key} is not honoured: no LoadBalancerPool has ${listInWords(claim.addresses)}.`;
  return { reason: 'AddressOutsidePools', message };
}
