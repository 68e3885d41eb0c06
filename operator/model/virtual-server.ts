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

/** How the director hands a packet to a real server. Tunneling is not offered by this version. */
export const FORWARDING_METHODS = ['DirectRouting', 'Masquerading'] as const;
export type ForwardingMethod = (typeof FORWARDING_METHODS)[number];

/** What a client connects to: the identity of a virtual server in the kernel (ip_vs.h: af, protocol, addr, port). */
export interface VirtualServerKey {
  readonly address: IpAddress;
  /** 1 … 65535. */
  readonly port: number;
  readonly protocol: Protocol;
}

/** One destination of a virtual server. Identity inside it: (address, port). */
export interface RealServer {
  readonly address: IpAddress;
  /** 1 … 65535; equal to the virtual server's port with DirectRouting, which cannot translate ports. */
  readonly port: number;
  /** 0 … 2^31-1; 0 takes no new connections. */
  readonly weight: number;
  readonly forwardingMethod: ForwardingMethod;
  /** Connections above which the kernel marks the server overloaded; 0 is no limit. */
  readonly upperThreshold: number;
  /** Connections below which an overloaded server is used again; at most upperThreshold. */
  readonly lowerThreshold: number;
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
  readonly realServers: readonly RealServer[];
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
export function compareRealServers(a: RealServer, b: RealServer): number {
  return compareAddresses(a.address, b.address) || a.port - b.port;
}
