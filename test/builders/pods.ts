import type { IpAddress } from '../../operator/model/ip-address.ts';
import type { ServiceEndpoints } from '../../operator/model/load-balanced-service.ts';
import type { EndpointGroup, EndpointPort, PodEndpoint, SilentEndpoint } from '../../operator/model/pod-endpoints.ts';

/**
 * One slice with port `http`, TCP 8080; addresses are ready unless they end in `!`, serving while they terminate, in `?`, not ready, or in
 * `?!`, terminating and no longer serving. `address@node` says where one is.
 */
export function aGroup(addresses: readonly string[], ...ports: readonly Partial<EndpointPort>[]): EndpointGroup {
  const http = { name: 'http', protocol: 'TCP', port: 8080 } as const;
  return {
    ports: ports.length === 0 ? [http] : ports.map((port) => ({ ...http, ...port })),
    endpoints: addresses
      .filter((text) => !text.includes('?'))
      .map((text): PodEndpoint => ({ ...placeOf(text), state: text.endsWith('!') ? 'serving terminating' : 'ready' })),
    silent: addresses
      .filter((text) => text.includes('?'))
      .map((text): SilentEndpoint => ({ ...placeOf(text), terminating: text.endsWith('!') })),
  };
}

function placeOf(text: string): Pick<PodEndpoint, 'address' | 'node'> {
  const [address = '', node] = text.replace(/[?!]+$/, '').split('@');
  return { address: address as IpAddress, ...(node !== undefined && { node }) };
}

/** Endpoints with these slices, on no node. */
export function slices(...groups: readonly EndpointGroup[]): ServiceEndpoints {
  return { readyByNode: new Map(), servingTerminatingByNode: new Map(), groups };
}
