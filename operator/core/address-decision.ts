import type { IpAddress, IpFamily } from '../model/ip-address.ts';

/** Why a Service gets no address, or not the one it asks for; documented in docs/conditions.md. */
export type RefusalReason =
  | 'NoPool'
  | 'PoolExhausted'
  | 'AddressInUse'
  | 'AddressReserved'
  | 'PortInUse'
  | 'SharingConflict'
  | 'QuotaExceeded'
  | 'AddressOutsidePools'
  | 'PoolNotFound'
  | 'PoolNotAllowed'
  | 'PoolPaused'
  | 'PoolConflict'
  | 'FamilyUnavailable'
  | 'InvalidRequest';

/** A request that cannot be met, and the sentence that says so: what, who holds it, what to do. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly message: string;
}

/** What a Service has been given. */
export type VipDecision =
  | {
      readonly kind: 'assigned';
      /** In the order of `ipFamilies`. */
      readonly addresses: readonly IpAddress[];
      readonly pool: string;
      /** The Service keeps what it has although it asks for something else now, or its pool no longer covers it. */
      readonly unmet?: Refusal;
    }
  | ({ readonly kind: 'refused' } & Refusal);

/** What has to become free before a refused Service has a chance. Empty: only a change of pools or of the Service helps. */
export interface Awaited {
  readonly addresses: readonly IpAddress[];
  /** A free address of one of these families in one of these pools would do. */
  readonly free: readonly FreeAddress[];
  /** The namespace has what it may have of these pools, or so much that what the Service needs is too much. */
  readonly quotas?: readonly QuotaPlaces[];
}

/** Any free address of a family in a pool. */
export interface FreeAddress {
  readonly pool: string;
  readonly family: IpFamily;
}

/** How many more addresses of a pool the namespace has to be allowed to have: none or less when more are given up, by somebody whose namespace has too many. */
export interface QuotaPlaces {
  readonly pool: string;
  readonly places: number;
}

export const NOTHING_AWAITED: Awaited = { addresses: [], free: [] };

/** Addresses to give, all of one pool; or why not. */
export type Choice =
  | { readonly ok: true; readonly pool: string; readonly picks: readonly IpAddress[]; readonly unmet?: Refusal }
  | { readonly ok: false; readonly refusal: Refusal; readonly awaited: Awaited };
