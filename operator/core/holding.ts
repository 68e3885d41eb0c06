import { familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';

/** What one Service has. */
export interface Holding {
  readonly key: ServiceKey;
  readonly namespace: string;
  readonly uid: string;
  readonly pool: string;
  /** One per family at most, in the order of ipFamilies. */
  readonly current: readonly IpAddress[];
  /** No longer wanted, but a director may still have them. */
  readonly leaving: readonly IpAddress[];
  /** Set when others may share the addresses. */
  readonly sharingKey: string | undefined;
  /** Ports that are its own at its addresses, as `TCP/80`. */
  readonly ports: readonly string[];
  /** No longer wanted, but a director may still have them. */
  readonly leavingPorts: readonly string[];
  readonly reallocated: string | undefined;
}

/** What a Service has and what it is giving up. */
export function everythingOf(holding: Holding | undefined): readonly IpAddress[] {
  if (holding === undefined) return NO_ADDRESSES;
  return holding.leaving.length === 0 ? holding.current : [...holding.current, ...holding.leaving];
}

export function sameHolding(a: Holding, b: Holding): boolean {
  return (
    a.uid === b.uid &&
    a.pool === b.pool &&
    a.sharingKey === b.sharingKey &&
    a.reallocated === b.reallocated &&
    sameList(a.current, b.current) &&
    sameList(a.leaving, b.leaving) &&
    sameList(a.ports, b.ports) &&
    sameList(a.leavingPorts, b.leavingPorts)
  );
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

export function inFamilyOrder(addresses: readonly IpAddress[], families: readonly IpFamily[]): readonly IpAddress[] {
  if (addresses.length < 2) return addresses;
  return [...addresses].sort((a, b) => families.indexOf(familyOf(a)) - families.indexOf(familyOf(b)));
}

const NO_ADDRESSES: readonly IpAddress[] = [];
