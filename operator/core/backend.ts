import type { IpAddress } from '../model/ip-address.ts';

/** Where packets of one virtual server can go. Lists of these are in the order of compareRealServers. */
export interface Backend {
  readonly address: IpAddress;
  readonly port: number;
  /** 0 takes no new connections. */
  readonly weight: number;
}
