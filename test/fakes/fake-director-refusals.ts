import { LONGEST_DRAIN_SECONDS } from '../../operator/model/balancing-options.ts';
import { parseCidrRange } from '../../operator/model/cidr-range.ts';
import { addressToNumber, familyOf, type IpAddress } from '../../operator/model/ip-address.ts';
import type { RealServer, VirtualServer } from '../../operator/model/virtual-server.ts';

/** What a director's host lets this owner do; the fake's form of the policy file. */
export interface FakePolicy {
  /** CIDRs of virtual addresses. */
  readonly addresses: readonly string[];
  /** CIDRs of real servers. */
  readonly realServers: readonly string[];
  /** Interfaces that may carry virtual addresses. */
  readonly interfaces: readonly string[];
  /** Of virtual servers and real servers together in one request; no limit when undefined. */
  readonly maxDeletions?: number;
  /** Kernel parameters by name or `*`, and timeouts; what is not named may not be set. */
  readonly host?: { readonly sysctls: readonly string[]; readonly timeouts: boolean };
}

/** Which rule of the policy forbids the virtual server, if any. */
export function forbidden(policy: FakePolicy, { address, realServers }: VirtualServer): string | undefined {
  if (!insideAny(policy.addresses, address)) return `policy rule virtualServers forbids address ${address}`;
  const stranger = realServers.find((real) => !insideAny(policy.realServers, real.address));
  return stranger && `policy rule realServers forbids real server ${stranger.address}`;
}

export function insideAny(ranges: readonly string[], address: IpAddress): boolean {
  return ranges.some((range) => {
    const [base, length] = range.split('/') as [IpAddress, string];
    if (familyOf(base) !== familyOf(address)) return false;
    const hostBits = BigInt((familyOf(base) === 'IPv4' ? 32 : 128) - Number(length));
    return addressToNumber(base) >> hostBits === addressToNumber(address) >> hostBits;
  });
}

/** ipvsadm's limit, which the helper keeps: 31 days. */
const MAX_PERSISTENCE_SECONDS = 31 * 24 * 3600;

/** What makes a virtual server one that cannot work, though its types are right; undefined for a sound one. */
export function nonsense(virtualServer: VirtualServer): string | undefined {
  const { scheduler, schedulerFlags, onePacket, protocol, persistence, address } = virtualServer;
  const flag = schedulerFlags.find((each) => !each.startsWith('flag-') && !each.startsWith(`${scheduler}-`));
  if (flag !== undefined) return `scheduler flag ${flag} does not belong to scheduler ${scheduler}`;
  if (onePacket && protocol !== 'UDP') return `one-packet scheduling works with UDP only, not with ${protocol}`;
  if (persistence !== undefined) {
    const { timeoutSeconds, prefixLength } = persistence;
    const bits = familyOf(address) === 'IPv4' ? 32 : 128;
    if (timeoutSeconds < 1 || timeoutSeconds > MAX_PERSISTENCE_SECONDS) return `persistence timeout ${timeoutSeconds}`;
    if (prefixLength < 1 || prefixLength > bits) return `persistence prefix length ${prefixLength}`;
  }
  if (!(virtualServer.drainSeconds >= 0 && virtualServer.drainSeconds <= LONGEST_DRAIN_SECONDS)) {
    return `drain time ${virtualServer.drainSeconds}`;
  }
  const rule = nonsenseInPacketRules(virtualServer);
  if (rule !== undefined) return rule;
  const seen = new Set<string>();
  for (const real of virtualServer.realServers) {
    const name = `${real.address} ${real.port}`;
    const problem = seen.has(name) ? 'it is listed twice' : nonsenseInRealServer(virtualServer, real);
    if (problem !== undefined) return `real server ${name}: ${problem}`;
    seen.add(name);
  }
  return undefined;
}

function nonsenseInRealServer(virtualServer: VirtualServer, real: RealServer): string | undefined {
  if (familyOf(real.address) !== familyOf(virtualServer.address) && real.forwardingMethod !== 'Tunneling') {
    return 'its address family differs';
  }
  if (UNUSABLE.some((range) => insideAny([range], real.address))) return 'its address cannot be a real server';
  if (real.forwardingMethod !== 'Masquerading' && real.port !== virtualServer.port) {
    return `its port differs from the virtual server's port ${virtualServer.port}, which ${real.forwardingMethod} cannot translate`;
  }
  const tunnel = nonsenseInTunnel(real);
  if (tunnel !== undefined) return tunnel;
  if (real.weight < 0 || real.weight > 2 ** 31 - 1) return `weight ${real.weight} is outside 0 … 2147483647`;
  if (real.lowerThreshold < 0 || real.lowerThreshold > real.upperThreshold) return 'its thresholds are out of order';
  return undefined;
}

/** Unspecified, loopback, link-local and multicast addresses. */
const UNUSABLE = [
  '0.0.0.0/32',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '::/128',
  '::1/128',
  'fe80::/10',
  'ff00::/8',
];

function nonsenseInTunnel({ forwardingMethod, tunnel }: RealServer): string | undefined {
  if (forwardingMethod !== 'Tunneling') return tunnel && `${forwardingMethod} has no tunnel`;
  if (tunnel === undefined) return 'Tunneling needs a tunnel';
  if ((tunnel.type === 'gue') !== (tunnel.port !== undefined)) return 'a tunnel of type gue has a port, and no other';
  if (tunnel.remoteChecksum === true && tunnel.type !== 'gue') return 'only a tunnel of type gue has remote checksums';
  if (tunnel.remoteChecksum === true && tunnel.checksum) return 'a tunnel has checksum or remoteChecksum';
  return tunnel.type === 'ipip' && tunnel.checksum ? 'a tunnel of type ipip has no checksum' : undefined;
}

function nonsenseInPacketRules(virtualServer: VirtualServer): string | undefined {
  const { masquerade, sourceRanges = [], mssClamp, protocol, realServers } = virtualServer;
  if (masquerade === true && realServers.some(({ forwardingMethod }) => forwardingMethod !== 'Masquerading')) {
    return 'masquerade works with forwarding method Masquerading only';
  }
  const range = sourceRanges.find((each) => parseCidrRange(each) !== each);
  if (range !== undefined) return `source range ${range} is not a CIDR range`;
  if (mssClamp === undefined) return undefined;
  if (protocol !== 'TCP') return `mssClamp works with TCP only, not with ${protocol}`;
  return mssClamp < 536 || mssClamp > 65_495 ? `mssClamp ${mssClamp} is outside 536 … 65495` : undefined;
}
