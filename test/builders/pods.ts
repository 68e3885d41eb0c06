import type { IpAddress } from '../../operator/model/ip-address.ts';
import type { ServiceEndpoints } from '../../operator/model/load-balanced-service.ts';
import type { EndpointGroup, EndpointPort, PodEndpoint } from '../../operator/model/pod-endpoints.ts';

/** One slice with port `http`, TCP 8080; addresses are ready unless they end in `!`: those are serving while they terminate. */
export function aGroup(addresses: readonly string[], ...ports: readonly Partial<EndpointPort>[]): EndpointGroup {
  const http = { name: 'http', protocol: 'TCP', port: 8080 } as const;
  return {
    ports: ports.length === 0 ? [http] : ports.map((port) => ({ ...http, ...port })),
    endpoints: addresses.map(
      (text): PodEndpoint => ({
        address: text.replace('!', '') as IpAddress,
        state: text.endsWith('!') ? 'serving terminating' : 'ready',
      }),
    ),
  };
}

/** Endpoints with these slices, on no node. */
export function slices(...groups: readonly EndpointGroup[]): ServiceEndpoints {
  return { readyByNode: new Map(), servingTerminatingByNode: new Map(), groups };
}
