import { compareAddresses, type IpAddress } from '../model/ip-address.ts';

/** Where packets of one virtual server can go. Lists of these are sorted by address, then port: `mh` tables depend on it. */
export interface Backend {
  readonly address: IpAddress;
  readonly port: number;
  /** 0 takes no new connections. */
  readonly weight: number;
}

/** The order of compareRealServers. */
export function compareBackends(a: Backend, b: Backend): number {
  return compareAddresses(a.address, b.address) || a.port - b.port;
}
