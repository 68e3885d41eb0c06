import type { AddressPool, AddressRange, ServiceAllocation } from '../../operator/model/address-pool.ts';
import { parseAddressRange } from '../../operator/model/address-range.ts';
import type { BalancingOptions } from '../../operator/model/balancing-options.ts';

type Overrides = Partial<Omit<AddressPool, 'ranges' | 'balancing' | 'serviceAllocation'>> & {
  /** As in spec.addresses, sorted and disjoint. */
  readonly addresses?: readonly string[];
  readonly balancing?: Partial<BalancingOptions>;
  readonly serviceAllocation?: Partial<ServiceAllocation>;
};

/** Pool `web` with 203.0.113.10 … 203.0.113.13 for everybody, direct routing, scheduler mh, every Director. */
export function aPool({ addresses, balancing, serviceAllocation, ...overrides }: Overrides = {}): AddressPool {
  const name = overrides.name ?? 'web';
  return {
    name,
    uid: `uid-of-pool-${name}`,
    generation: 1,
    createdAt: 1_000,
    deleting: false,
    ranges: (addresses ?? ['203.0.113.10-203.0.113.13']).map(aRange),
    autoAssign: true,
    paused: false,
    serviceAllocation: {
      priority: 0,
      namespaces: [],
      namespaceSelectors: [],
      serviceSelectors: [],
      quotaPerNamespace: 0,
      sharingAcrossNamespaces: false,
      ...serviceAllocation,
    },
    reservations: [],
    releaseDelaySeconds: 0,
    directorSelector: {},
    balancing: {
      forwardingMethod: 'DirectRouting',
      tunnel: { type: 'ipip', checksum: false },
      backends: 'Nodes',
      snat: false,
      scheduler: 'mh',
      schedulerFlags: [],
      connectionThresholds: { upper: 0, lower: 0 },
      udpOnePacket: false,
      persistencePrefixLength: 32,
      weights: 'Equal',
      drainSeconds: 30,
      ...balancing,
    },
    ...overrides,
  };
}

/** The range of a text that must be one. */
export function aRange(text: string): AddressRange {
  const range = parseAddressRange(text);
  if (typeof range === 'string') throw new Error(range);
  return range;
}
