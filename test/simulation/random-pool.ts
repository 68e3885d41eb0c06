import type { AddressPool } from '../../operator/model/address-pool.ts';
import type { IpAddress } from '../../operator/model/ip-address.ts';
import { type ServiceKey, serviceKey } from '../../operator/model/load-balanced-service.ts';
import { aPool } from '../builders/a-pool.ts';

/** Addresses with which a pool can be left: the second leaves one out, the third has lost the last ones. */
const WEB = [
  ['203.0.113.10-203.0.113.14'],
  ['203.0.113.10-203.0.113.11', '203.0.113.13-203.0.113.14'],
  ['203.0.113.10-203.0.113.12'],
];
const EDGE = [['203.0.113.20-203.0.113.22'], ['203.0.113.20-203.0.113.21'], ['203.0.113.20', '203.0.113.22']];
const TIMEOUTS = { tcpSeconds: 600, tcpFinSeconds: 60, udpSeconds: 120 };
/** Kept for a Service that comes and goes like the others. */
const RESERVED = { address: '203.0.113.11' as IpAddress, service: serviceKey('default', 'service-7') };

export const POOLS = ['web', 'edge'] as const;
export type PoolName = (typeof POOLS)[number];

/** Labels of a Service that every pool admits; others only while a pool has no selector. */
export const ADMITTED = { tier: 'web' };

/** Pool `web` for everybody, or `edge`, with pods behind it, for who asks for it; as an administrator may have left it. */
export function aRandomPool(name: PoolName, pick: <T>(from: readonly T[]) => T): AddressPool {
  const common = {
    addresses: pick([...(name === 'web' ? [WEB[0]] : [EDGE[0]]), ...(name === 'web' ? WEB : EDGE)]) ?? [],
    releaseDelaySeconds: pick([0, 0, 30]),
    paused: pick([false, false, false, false, true]),
    serviceAllocation: {
      quotaPerNamespace: pick([0, 0, 2]),
      serviceSelectors: pick([[], [], [{ matchLabels: ADMITTED }]]),
    },
  };
  if (name === 'web') return aPool({ ...common, reservations: pick([[], [RESERVED]]) });
  return aPool({
    ...common,
    name,
    createdAt: 1_500,
    autoAssign: false,
    directorSelector: { matchLabels: { edge: 'yes' } },
    balancing: { forwardingMethod: 'Masquerading', backends: 'Pods', snat: true, timeouts: TIMEOUTS },
  });
}

/** The pool before anybody edits it. */
export function aFreshPool(name: PoolName): AddressPool {
  return aRandomPool(name, ([first]) => first as never);
}

/** For whom the pool keeps an address. */
export function reservedFor({ reservations }: AddressPool, address: IpAddress): ServiceKey | undefined {
  return reservations.find((reservation) => reservation.address === address)?.service;
}
