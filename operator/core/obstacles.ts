import { listInWords } from '../lib/list-in-words.ts';
import type { AddressPool } from '../model/address-pool.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import type { RefusalReason } from './address-decision.ts';
import type { AddressLedger } from './address-ledger.ts';
import type { Holding } from './holding.ts';
import { nameService } from './name-service.ts';

/** Why a Service cannot have an address now, as the rest of a sentence that begins with the address. */
export interface Obstacle {
  readonly reason: RefusalReason;
  readonly text: string;
}

/** The ports of a Service as the book writes them, sorted. */
export function portsOf({ ports }: Pick<LoadBalancedService, 'ports'>): readonly string[] {
  const texts = ports.map(({ protocol, port }) => `${protocol}/${port}`);
  return texts.length === 1 ? texts : texts.sort();
}

/** What stands between a Service and an address of the pool, or undefined. Sharing is possible under one key, with ports of one's own. */
export function obstacle(
  ledger: AddressLedger,
  address: IpAddress,
  service: LoadBalancedService,
  pool: AddressPool,
): Obstacle | undefined {
  const { key, namespace } = service;
  const others = othersAt(ledger, address, key);
  if (others.length === 0) return keptForAnother(ledger, address, key, namespace);
  const whose = nameService((others[0] as Holding).key, namespace);
  const inUse = (why: string): Obstacle => ({ reason: 'AddressInUse', text: `is in use by ${whose}${why}` });
  const { sharingKey } = service.request;
  if (sharingKey === undefined) return inUse('');
  if (others.some((other) => other.sharingKey !== sharingKey)) return inUse(' under another sharing key, or none');
  if (!pool.serviceAllocation.sharingAcrossNamespaces && others.some((other) => other.namespace !== namespace))
    return inUse(`, and LoadBalancerPool ${pool.name} does not permit sharing across namespaces`);
  const taken = portsOf(service).filter((port) => others.some((other) => claims(other, port)));
  if (taken.length === 0) {
    // A new Service under the name of one that is leaving joins like any other.
    const has = ledger.holding(key)?.current.includes(address) === true;
    return has ? undefined : reservedForAnother(ledger, address, key, namespace);
  }
  const owner = others.find((other) => claims(other, taken[0] as string)) as Holding;
  return {
    reason: 'PortInUse',
    text: `is shared, but its port ${listInWords(taken)} belongs to ${nameService(owner.key, namespace)}`,
  };
}

/** The other Services that have the address or are giving it up. */
export function othersAt(ledger: AddressLedger, address: IpAddress, key: ServiceKey): readonly Holding[] {
  const users = ledger.users(address);
  if (users.length === 0 || (users.length === 1 && users[0] === key)) return NOBODY;
  return users.filter((user) => user !== key).flatMap((user) => ledger.holding(user) ?? []);
}

/** Whether a port is the Service's own at its addresses, or may still be on a director. */
export function claims({ ports, leavingPorts }: Holding, port: string): boolean {
  return ports.includes(port) || leavingPorts.includes(port);
}

function keptForAnother(
  ledger: AddressLedger,
  address: IpAddress,
  key: ServiceKey,
  namespace: string,
): Obstacle | undefined {
  const reserved = reservedForAnother(ledger, address, key, namespace);
  if (reserved !== undefined) return reserved;
  const held = ledger.held(address);
  if (held === undefined || held.service === key) return undefined;
  return {
    reason: 'AddressReserved',
    text: `is held for ${nameService(held.service, namespace)}, which had it until a moment ago`,
  };
}

/** Also an address in use: who joins it would keep it from the Service that it is reserved for. */
function reservedForAnother(
  ledger: AddressLedger,
  address: IpAddress,
  key: ServiceKey,
  namespace: string,
): Obstacle | undefined {
  const reserved = ledger.reservedFor(address);
  if (reserved === undefined || reserved === key) return undefined;
  return { reason: 'AddressReserved', text: `is reserved for ${nameService(reserved, namespace)}` };
}

const NOBODY: readonly Holding[] = [];
