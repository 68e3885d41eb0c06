import type { ClusterNode } from '../model/cluster-node.ts';
import type { Director } from '../model/director.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceEndpoints } from '../model/load-balanced-service.ts';

/** Addresses of the cluster's own machinery, with whose each is: traffic for a tenant's Service has no business there. */
export function reservedAddresses(
  nodes: Iterable<ClusterNode>,
  directors: Iterable<Director>,
  apiServer: Pick<ServiceEndpoints, 'groups'>,
): ReadonlyMap<IpAddress, string> {
  const reserved = new Map<IpAddress, string>();
  for (const { name, internalIPs } of nodes)
    for (const ip of internalIPs) reserved.set(ip, `the address of node ${name}`);
  for (const { name, address } of directors) reserved.set(address, `the address of director ${name}`);
  for (const { endpoints } of apiServer.groups)
    for (const { address } of endpoints) reserved.set(address, 'the address of the API server');
  return reserved;
}
