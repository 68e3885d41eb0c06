import { type CidrRange, parseCidrRange } from '../model/cidr-range.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import { type IpAddress, parseIpAddress } from '../model/ip-address.ts';
import { asArray, asRecord, asText, type KubeObject } from './kube-object.ts';

/**
 * A Node as far as a load balancer cares. Addresses that are none are left out: the node then lacks that family.
 *
 * @param wasReady whether this node is known to have been Ready before.
 */
export function parseNode(object: KubeObject, wasReady: boolean): ClusterNode {
  const spec = asRecord(object.spec);
  const status = asRecord(object.status);
  return {
    name: object.metadata.name,
    uid: object.metadata.uid,
    labels: object.metadata.labels ?? {},
    deleting: object.metadata.deletionTimestamp !== undefined,
    hasBeenReady: wasReady || readiness(status.conditions) === 'True',
    silent: readiness(status.conditions) === 'Unknown',
    taintKeys: asArray(spec.taints).flatMap((taint) => asText(asRecord(taint).key) ?? []),
    internalIPs: addressesOf(status.addresses, 'InternalIP'),
    externalIPs: addressesOf(status.addresses, 'ExternalIP'),
    podRanges: asArray(spec.podCIDRs).flatMap(rangeOf),
  };
}

function readiness(conditions: unknown): unknown {
  return asArray(conditions)
    .map(asRecord)
    .find(({ type }) => type === 'Ready')?.status;
}

function addressesOf(addresses: unknown, wanted: 'InternalIP' | 'ExternalIP'): readonly IpAddress[] {
  return asArray(addresses).flatMap((entry) => {
    const { type, address } = asRecord(entry);
    const parsed = type === wanted ? parseIpAddress(asText(address) ?? '') : undefined;
    return parsed === undefined ? [] : [parsed];
  });
}

function rangeOf(cidr: unknown): readonly CidrRange[] {
  const range = parseCidrRange(asText(cidr) ?? '');
  return range === undefined ? [] : [range];
}
