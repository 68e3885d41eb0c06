import type { AddressPool } from '../model/address-pool.ts';
import type { Condition } from '../model/condition.ts';
import type { Director } from '../model/director.ts';
import type { ConnectionTimeouts, HostSettings } from '../model/host-settings.ts';
import { matchesSelector } from '../model/labels.ts';

/**
 * Without them connections of a real server that is gone hang, clients that stick keep going to one that drains, and a connection that a
 * router moves to this director is reset (ipvs-sysctl.rst in the kernel's documentation).
 */
const NEEDED_BY_ALL = {
  'net.ipv4.vs.expire_nodest_conn': '1',
  'net.ipv4.vs.expire_quiescent_template': '1',
  'net.ipv4.vs.sloppy_tcp': '1',
} as const;
/** The source of a masqueraded packet is conntrack's affair. */
const NEEDED_BY_SNAT = { 'net.ipv4.vs.conntrack': '1' } as const;

/** What the pools of a director need of the host; undefined when no pool selects it. Of different timeouts those of the oldest pool hold. */
export function hostSettings(director: Director, pools: readonly AddressPool[]): HostSettings | undefined {
  const selecting = pools.filter((pool) => selects(pool, director));
  if (selecting.length === 0) return undefined;
  const snat = selecting.some(({ balancing }) => balancing.snat);
  const timeouts = oldestWithTimeouts(selecting)?.balancing.timeouts;
  return { sysctls: { ...NEEDED_BY_ALL, ...(snat && NEEDED_BY_SNAT) }, ...(timeouts && { timeouts }) };
}

/**
 * Whether the timeouts that a pool asks for hold on its directors: the kernel has one set for all virtual servers, so that of two pools on one
 * director the later one yields. undefined for a pool without timeouts.
 */
export function timeoutsCondition(
  pool: AddressPool,
  pools: readonly AddressPool[],
  directors: readonly Director[],
): Condition | undefined {
  const wanted = pool.balancing.timeouts;
  if (wanted === undefined) return undefined;
  const type = 'TimeoutsApplied';
  for (const director of directors.filter((each) => selects(pool, each))) {
    const oldest = oldestWithTimeouts(pools.filter((other) => selects(other, director)));
    if (oldest?.balancing.timeouts === undefined || equal(oldest.balancing.timeouts, wanted)) continue;
    const message =
      `Director ${director.name} has the timeouts of LoadBalancerPool ${oldest.name}, which is older: its kernel has one set for all virtual servers. ` +
      'Make spec.timeouts equal in both, remove one, or select other directors.';
    return { type, status: 'False', reason: 'TimeoutsOfOlderPool', message };
  }
  return {
    type,
    status: 'True',
    reason: 'Applied',
    message: 'The directors are asked to have the timeouts of this pool.',
  };
}

function oldestWithTimeouts(pools: readonly AddressPool[]): AddressPool | undefined {
  return pools
    .filter(({ balancing }) => balancing.timeouts !== undefined)
    .sort((a, b) => a.createdAt - b.createdAt || (a.name < b.name ? -1 : 1))[0];
}

function selects(pool: AddressPool, director: Director): boolean {
  return matchesSelector(director.labels, pool.directorSelector);
}

function equal(a: ConnectionTimeouts, b: ConnectionTimeouts): boolean {
  return a.tcpSeconds === b.tcpSeconds && a.tcpFinSeconds === b.tcpFinSeconds && a.udpSeconds === b.udpSeconds;
}
