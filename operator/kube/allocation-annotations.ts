import type { AllocationRecord } from '../model/allocation-record.ts';
import { parseIpAddress } from '../model/ip-address.ts';
import { ANNOTATION } from '../model/names.ts';

type Annotations = Readonly<Record<string, string>>;

/**
 * Reads the allocation record of a Service.
 *
 * @param uid of the Service that carries the annotations: a record copied from another object, such as one made anew from a backup, says nothing.
 * @returns undefined when there is none, or one that cannot be ours.
 */
export function parseAllocationRecord(annotations: Annotations, uid: string): AllocationRecord | undefined {
  const pool = annotations[ANNOTATION.allocatedFromPool];
  const text = annotations[ANNOTATION.allocatedAddresses];
  if (!pool || !text || annotations[ANNOTATION.allocatedTo] !== uid) return undefined;
  const addresses = text.split(',').map(parseIpAddress);
  if (addresses.length > 2 || addresses.some((address) => address === undefined)) return undefined;
  const key = annotations[ANNOTATION.allocatedSharing];
  const ports = annotations[ANNOTATION.allocatedPorts]?.split(',').filter((port) => port !== '') ?? [];
  const reallocated = annotations[ANNOTATION.reallocated];
  return {
    pool,
    addresses: addresses.filter((address) => address !== undefined),
    ...(key !== undefined && { sharing: { key, ports } }),
    ...(reallocated !== undefined && { reallocated }),
  };
}

/** The annotations of a record for a merge patch, where null removes; those of no record are all null. */
export function recordAnnotations(
  record: AllocationRecord | undefined,
  uid: string,
): Readonly<Record<string, string | null>> {
  return {
    [ANNOTATION.allocatedFromPool]: record?.pool ?? null,
    [ANNOTATION.allocatedAddresses]: record?.addresses.join() ?? null,
    [ANNOTATION.allocatedTo]: record === undefined ? null : uid,
    [ANNOTATION.allocatedSharing]: record?.sharing?.key ?? null,
    [ANNOTATION.allocatedPorts]: record?.sharing?.ports.join() ?? null,
    [ANNOTATION.reallocated]: record?.reallocated ?? null,
  };
}
