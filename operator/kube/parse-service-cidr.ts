import { parseCidrRange } from '../model/cidr-range.ts';
import type { ServiceRanges } from '../model/service-ranges.ts';
import { asArray, asRecord, asText, type KubeObject } from './kube-object.ts';

/** The ranges of a ServiceCIDR; also of one that is being deleted, for the API server keeps it while cluster IPs are taken from it. */
export function parseServiceCidr({ metadata, spec }: KubeObject): ServiceRanges {
  const cidrs = asArray(asRecord(spec).cidrs).flatMap((cidr) => parseCidrRange(asText(cidr) ?? '') ?? []);
  return { name: metadata.name, cidrs };
}
