import { listInWords } from '../lib/list-in-words.ts';
import type { AddressPool, HeldAddress } from '../model/address-pool.ts';
import { addressToNumber, familyOf, type IpAddress } from '../model/ip-address.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import { SERVICE_CONDITION } from '../model/names.ts';
import { rangesInclude } from './free-addresses.ts';

/** What a look-up is made from: everything as the API server stores it. */
export interface LookUp {
  readonly services: Iterable<{
    readonly service: LoadBalancedService;
    /** lastTransitionTime of its condition AddressAssigned. */
    readonly since?: string;
  }>;
  readonly pools: Iterable<{ readonly pool: AddressPool; readonly held: readonly HeldAddress[] }>;
}

/** A Service that has to do with the address. */
export interface AddressHolder {
  readonly service: ServiceKey;
  /** `Given`: recorded and published. `Recorded`: not published yet. `Shown`: in its status only, where somebody else wrote it. */
  readonly state: 'Given' | 'Recorded' | 'Shown';
  readonly pool?: string;
  readonly since?: string;
  /** What its condition Programmed says: which directors have it. */
  readonly programmed?: string;
}

/** Who has an address, and where it belongs. */
export interface AddressAnswer {
  readonly address: IpAddress;
  readonly holders: readonly AddressHolder[];
  readonly reservedFor?: ServiceKey;
  readonly heldFor?: { readonly service: ServiceKey; readonly until: number };
  /** Pools that may hand it out, sorted. */
  readonly pools: readonly string[];
}

/** The one answer to the question who has an address, since when, and from which pool. */
export function whoHas(address: IpAddress, { services, pools }: LookUp): AddressAnswer {
  const holders = [...services].flatMap(({ service, since }) => holderOf(address, service, since) ?? []);
  const all = [...pools];
  const reserved = all.flatMap(({ pool }) => pool.reservations).find((reservation) => reservation.address === address);
  const held = all.flatMap((one) => one.held).find((one) => one.address === address);
  return {
    address,
    holders: holders.sort((a, b) => (a.service < b.service ? -1 : 1)),
    ...(reserved && { reservedFor: reserved.service }),
    ...(held && { heldFor: { service: held.service, until: held.until } }),
    pools: all
      .filter(({ pool }) => contains(pool, address))
      .map(({ pool }) => pool.name)
      .sort(),
  };
}

/** The answer as sentences, one a line. */
export function describeAnswer({ address, holders, reservedFor, heldFor, pools }: AddressAnswer): string {
  const lines = holders.map(describeHolder);
  const where = pools.length > 0 ? `LoadBalancerPool ${listInWords(pools)}` : undefined;
  if (reservedFor !== undefined) lines.push(`It is reserved for Service ${reservedFor}${where ? ` in ${where}` : ''}.`);
  if (heldFor !== undefined) {
    const until = new Date(heldFor.until).toISOString();
    lines.push(`It is held for Service ${heldFor.service}, which had it, until ${until}.`);
  }
  if (lines.length === 0)
    lines.push(where === undefined ? 'Nobody: it is outside every pool.' : `Nobody: it is free in ${where}.`);
  return [address, ...lines.map((line) => `  ${line}`)].join('\n');
}

function describeHolder({ service, state, pool, since, programmed }: AddressHolder): string {
  const details = `${since === undefined ? '' : ` since ${since}`}.${programmed === undefined ? '' : ` ${programmed}`}`;
  if (state === 'Shown')
    return `Service ${service} shows it in its status, but we did not give it: somebody else wrote that.`;
  const has = state === 'Given' ? 'has it' : 'has been given it, but does not show it yet';
  return `Service ${service} ${has}, from LoadBalancerPool ${pool},${details}`.replace(',.', '.');
}

function holderOf(
  address: IpAddress,
  service: LoadBalancedService,
  since: string | undefined,
): AddressHolder | undefined {
  const { key, record, ingress, conditions } = service;
  const recorded = record?.addresses.includes(address) === true;
  const published = ingress.some(({ ip }) => ip === address);
  if (!recorded && !published) return undefined;
  if (!recorded) return { service: key, state: 'Shown' };
  const programmed = conditions.find(({ type }) => type === SERVICE_CONDITION.programmed)?.message;
  return {
    service: key,
    state: published ? 'Given' : 'Recorded',
    pool: record.pool,
    ...(since !== undefined && { since }),
    ...(programmed !== undefined && { programmed }),
  };
}

function contains({ ranges }: AddressPool, address: IpAddress): boolean {
  const family = familyOf(address);
  return rangesInclude(
    ranges.filter((range) => range.family === family),
    addressToNumber(address),
  );
}
