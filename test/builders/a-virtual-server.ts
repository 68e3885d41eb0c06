import type { IpAddress } from '../../operator/model/ip-address.ts';
import type { RealServer, VirtualServer } from '../../operator/model/virtual-server.ts';

/** Overrides with plain strings as addresses, which tests write in canonical form. */
type Overrides<T extends { address: IpAddress }> = Partial<Omit<T, 'address'>> & { readonly address?: string };

/** A real server at 192.0.2.21:80, weight 1, direct routing. */
export function aRealServer({ address = '192.0.2.21', ...overrides }: Overrides<RealServer> = {}): RealServer {
  return {
    address: address as IpAddress,
    port: 80,
    weight: 1,
    forwardingMethod: 'DirectRouting',
    upperThreshold: 0,
    lowerThreshold: 0,
    ...overrides,
  };
}

/** TCP 203.0.113.10:80 with scheduler mh and one real server. */
export function aVirtualServer({
  address = '203.0.113.10',
  ...overrides
}: Overrides<VirtualServer> = {}): VirtualServer {
  return {
    address: address as IpAddress,
    port: 80,
    protocol: 'TCP',
    scheduler: 'mh',
    schedulerFlags: ['mh-fallback'],
    onePacket: false,
    drainSeconds: 0,
    realServers: [aRealServer()],
    ...overrides,
  };
}
