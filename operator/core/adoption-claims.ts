import { familyOf, type IpAddress } from '../model/ip-address.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import { FINALIZER } from '../model/names.ts';

/** What a Service, as it was found at start, says about addresses of its own. */
export interface AdoptionClaim {
  readonly service: LoadBalancedService;
  /** The pool it says they are from; undefined when it does not say. */
  readonly pool: string | undefined;
  /** At most one per family. */
  readonly addresses: readonly IpAddress[];
  /**
   * Record and published status agree. A record alone was either written by a process of ours that did not live to publish, or by somebody who may write
   * annotations: it is good for what a request would be good for.
   */
  readonly confirmed: boolean;
}

/**
 * The claims of all Services, in the order in which they are honoured: those that record and status confirm, then those of a record alone,
 * then addresses that only a status shows; of each kind the oldest Service first.
 *
 * @param ofOthers whether a status counts that another implementation wrote.
 */
export function adoptionClaims(services: Iterable<LoadBalancedService>, ofOthers = false): readonly AdoptionClaim[] {
  const claims = [...services].flatMap((service) => claimOf(service, ofOthers) ?? []);
  const order = (claim: AdoptionClaim) => (claim.confirmed ? 0 : claim.service.record === undefined ? 2 : 1);
  return claims.sort((a, b) => order(a) - order(b) || byAge(a.service, b.service));
}

/** What the Service claims, or undefined when it claims nothing. */
export function claimOf(service: LoadBalancedService, ofOthers = false): AdoptionClaim | undefined {
  const { record, finalizers, ingress, allocatedFromPool } = service;
  const published = onePerFamily(ingress.map(({ ip }) => ip));
  if (record !== undefined) {
    const confirmed = record.addresses.some((address) => published.includes(address));
    return { service, pool: record.pool, addresses: onePerFamily(record.addresses), confirmed };
  }
  // A version of ours that kept no record left its finalizer.
  const ours = finalizers.includes(FINALIZER) || (ofOthers && service.wanted);
  if (!ours || published.length === 0) return undefined;
  return { service, pool: allocatedFromPool, addresses: published, confirmed: false };
}

/** The oldest first; names decide between equals. */
export function byAge(a: { createdAt: number; key: ServiceKey }, b: { createdAt: number; key: ServiceKey }): number {
  return a.createdAt - b.createdAt || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

function onePerFamily(addresses: readonly IpAddress[]): readonly IpAddress[] {
  return addresses.filter(
    (address, index) => addresses.findIndex((one) => familyOf(one) === familyOf(address)) === index,
  );
}
