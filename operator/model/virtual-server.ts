import type { CidrRange } from './cidr-range.ts';
import { compareAddresses, familyOf, type IpAddress } from './ip-address.ts';

/** Transport protocol of a virtual server, spelled as Kubernetes spells a Service port's protocol. */
export type Protocol = 'TCP' | 'UDP' | 'SCTP';

/** Every scheduler the kernel can load, spelled as in ipvsadm(8). `twos` exists from Linux 5.12 on. */
export const SCHEDULERS = [
  'rr',
  'wrr',
  'lc',
  'wlc',
  'lblc',
  'lblcr',
  'dh',
  'sh',
  'mh',
  'sed',
  'nq',
  'fo',
  'ovf',
  'twos',
] as const;
export type Scheduler = (typeof SCHEDULERS)[number];

/** Scheduler flags as in ipvsadm(8) `--sched-flags`; `flag-1..3` are the generic names of the same three bits. */
export const SCHEDULER_FLAGS = [
  'sh-fallback',
  'sh-port',
  'mh-fallback',
  'mh-port',
  'flag-1',
  'flag-2',
  'flag-3',
] as const;
export type SchedulerFlag = (typeof SCHEDULER_FLAGS)[number];

/** How the director hands a packet to a real server (ipvsadm -g, -i, -m). */
export const FORWARDING_METHODS = ['DirectRouting', 'Tunneling', 'Masquerading'] as const;
export type ForwardingMethod = (typeof FORWARDING_METHODS)[number];

/** Encapsulations of Tunneling, as ipvsadm --tun-type spells them: IP in IP, Generic UDP Encapsulation, Generic Routing Encapsulation. */
export const TUNNEL_TYPES = ['ipip', 'gue', 'gre'] as const;
export type TunnelType = (typeof TUNNEL_TYPES)[number];

/** How packets to a real server are encapsulated. */
export interface Tunnel {
  readonly type: TunnelType;
  /** UDP port at which the real server decapsulates, 1 … 65535; with gue and only then. */
  readonly port?: number;
  /** Checksums in the tunnel header; gue and gre only. */
  readonly checksum: boolean;
  /** Remote checksum offload: real servers make the inner checksum. With gue only; absent: none. */
  readonly remoteChecksum?: true;
}

/** What a client connects to: the identity of a virtual server in the kernel (ip_vs.h: af, protocol, addr, port). */
export interface VirtualServerKey {
  readonly address: IpAddress;
  /** 1 … 65535. */
  readonly port: number;
  readonly protocol: Protocol;
}

/** The identity of a real server inside its virtual server. */
export interface Endpoint {
  readonly address: IpAddress;
  /** 1 … 65535. */
  readonly port: number;
}

/** One destination of a virtual server. Identity inside it: (address, port). */
export interface RealServer {
  readonly address: IpAddress;
  /** 1 … 65535; equal to the virtual server's port but with Masquerading: nothing else translates ports. */
  readonly port: number;
  /** 0 … 2^31-1; 0 takes no new connections. */
  readonly weight: number;
  readonly forwardingMethod: ForwardingMethod;
  /** Connections above which the kernel marks the server overloaded; 0 is no limit. */
  readonly upperThreshold: number;
  /** Connections below which an overloaded server is used again; at most upperThreshold. */
  readonly lowerThreshold: number;
  /** With Tunneling, and only then. */
  readonly tunnel?: Tunnel;
}

/** IPVS persistence: a client (under the mask) stays on one real server for the timeout, in seconds, after its last connection. */
export interface Persistence {
  readonly timeoutSeconds: number;
  /** Prefix length under which clients count as one: 1 … 32 (IPv4) or 1 … 128 (IPv6). */
  readonly prefixLength: number;
}

/** A virtual server, whole, as it shall be. Real servers are sorted by address, then port: `mh` tables depend on it. */
export interface VirtualServer extends VirtualServerKey {
  readonly scheduler: Scheduler;
  readonly schedulerFlags: readonly SchedulerFlag[];
  readonly persistence?: Persistence;
  /** One-packet scheduling: UDP only, no connection state. */
  readonly onePacket: boolean;
  /** How long, in seconds, a real server that leaves the list may stay at weight 0 until its connections have ended; 0 deletes it at once. */
  readonly drainSeconds: number;
  /** Packets to real servers get the director's source address, so that replies return to it; all of them by Masquerading. */
  readonly masquerade?: true;
  /** CIDR ranges of the clients that are let in, sorted, of both families; absent: everyone. Without one of the address's own family nobody is. */
  readonly sourceRanges?: readonly CidrRange[];
  /** Greatest TCP segment that is announced, 536 … 65495 bytes; TCP only. */
  readonly mssClamp?: number;
  readonly realServers: readonly RealServer[];
  /** Those that have left and do not drain, because they are dead. News for the director, no part of its table; absent: none. */
  readonly gone?: readonly Endpoint[];
}

/** Text form of a key, `TCP 203.0.113.10:80` or `UDP [2001:db8::1]:53`: unique, and what people read in messages. */
export type VirtualServerKeyText = string & { readonly __brand: 'VirtualServerKeyText' };

/** See {@link VirtualServerKeyText}. */
export function formatVirtualServerKey(key: VirtualServerKey): VirtualServerKeyText {
  return `${key.protocol} ${formatEndpoint(key.address, key.port)}` as VirtualServerKeyText;
}

/** `address:port`, with brackets around IPv6 (RFC 3986). */
export function formatEndpoint(address: IpAddress, port: number): string {
  return familyOf(address) === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The order in which virtual servers are sent: address, port, protocol. */
export function compareVirtualServerKeys(a: VirtualServerKey, b: VirtualServerKey): number {
  return (
    compareAddresses(a.address, b.address) ||
    a.port - b.port ||
    (a.protocol < b.protocol ? -1 : a.protocol > b.protocol ? 1 : 0)
  );
}

/** The order of real servers inside a virtual server: address, then port. */
export function compareRealServers(a: Endpoint, b: Endpoint): number {
  return compareAddresses(a.address, b.address) || a.port - b.port;
}
