import type { IpAddress } from './ip-address.ts';

/**
 * What we gave a Service, as it is stored on the Service itself in annotations of our group. This record says who has which address: the status
 * only shows it. It is written in one patch with the finalizers, before anything reaches a director.
 */
export interface AllocationRecord {
  readonly pool: string;
  /** In the order of ipFamilies; never empty. */
  readonly addresses: readonly IpAddress[];
  /** Set when it may share its addresses: under which key, and which ports (`TCP/80`) are its own there, sorted. */
  readonly sharing?: { readonly key: string; readonly ports: readonly string[] };
  /** The value of the annotation `reallocate` that was carried out last. */
  readonly reallocated?: string;
}

/** Whether both say the same; undefined is no record. */
export function sameRecord(a: AllocationRecord | undefined, b: AllocationRecord | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.pool === b.pool &&
    a.addresses.join() === b.addresses.join() &&
    a.sharing?.key === b.sharing?.key &&
    a.sharing?.ports.join() === b.sharing?.ports.join() &&
    a.reallocated === b.reallocated
  );
}
