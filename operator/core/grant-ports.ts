import { listInWords } from '../lib/list-in-words.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { LoadBalancedService } from '../model/load-balanced-service.ts';
import type { Refusal } from './address-decision.ts';
import type { AddressLedger } from './address-ledger.ts';
import type { Holding } from './holding.ts';
import { nameService } from './name-service.ts';
import { claims, othersAt, portsOf } from './obstacles.ts';

/** Under which key a Service shares its addresses, and which ports are its own there. */
export interface PortGrant {
  readonly sharingKey: string | undefined;
  readonly ports: readonly string[];
  readonly leavingPorts: readonly string[];
  /** What it asks for and does not get. */
  readonly refusal?: Refusal;
  /** Addresses at which something has to change before it gets it. */
  readonly awaited: readonly IpAddress[];
}

/**
 * What a Service that has addresses has of their ports. Alone it has all, under whatever key it likes; beside others it keeps the key that they share, and
 * gets no port that is another's.
 */
export function grantPorts(
  ledger: AddressLedger,
  service: LoadBalancedService,
  held: Holding | undefined,
  current: readonly IpAddress[],
  leaving: readonly IpAddress[],
): PortGrant {
  const wishes = portsOf(service);
  const asked = service.request.sharingKey;
  // What is new and not to be shared was free.
  if (held === undefined && asked === undefined)
    return { sharingKey: asked, ports: wishes, leavingPorts: NO_PORTS, awaited: NO_ADDRESSES };
  const beside = current.flatMap((address) => othersAt(ledger, address, service.key));
  const others =
    leaving.length === 0 ? beside : [...beside, ...leaving.flatMap((one) => othersAt(ledger, one, service.key))];
  if (others.length === 0) {
    return { sharingKey: asked, ports: wishes, leavingPorts: leftOf(held, wishes), awaited: [] };
  }
  const sharingKey = sharingKeyAt(ledger, service, held, current);
  const ports = wishes.filter((port) => !others.some((other) => claims(other, port)));
  const denied = wishes.filter((port) => !ports.includes(port));
  const grant = { sharingKey, ports, leavingPorts: leftOf(held, ports) };
  const awaited = [...current, ...leaving];
  if (denied.length > 0) {
    const owner = others.find((other) => claims(other, denied[0] as string)) as Holding;
    const message =
      `Port ${listInWords(denied)} of ${listInWords(current)} belongs to ${nameService(owner.key, service.namespace)}, which shares the address, and is not served for this Service. ` +
      'Use another port or another address; it is served as soon as it is free.';
    return { ...grant, refusal: { reason: 'PortInUse', message }, awaited };
  }
  if (sharingKey === asked) return { ...grant, awaited: NO_ADDRESSES };
  const message =
    `The Service shares ${listInWords(current)} with others under another sharing key, which stays until it is alone there. ` +
    'Ask for another address, or set the annotation allow-shared-ip back.';
  return { ...grant, refusal: { reason: 'SharingConflict', message }, awaited };
}

/**
 * The key under which the Service has these addresses: beside others at one that it had already it is the one they share, whatever it asks for by now. Of those beside it
 * one may be leaving, and have another key or none: what it shared it under before is what counts.
 */
export function sharingKeyAt(
  ledger: AddressLedger,
  service: LoadBalancedService,
  held: Holding | undefined,
  addresses: readonly IpAddress[],
): string | undefined {
  const asked = service.request.sharingKey;
  const isBeside = addresses.some(
    (address) => held?.current.includes(address) === true && othersAt(ledger, address, service.key).length > 0,
  );
  return isBeside ? (held?.sharingKey ?? asked) : asked;
}

const NO_PORTS: readonly string[] = [];
const NO_ADDRESSES: readonly IpAddress[] = [];

/** Ports that it had and has no more; a director may still have them. */
function leftOf(held: Holding | undefined, ports: readonly string[]): readonly string[] {
  if (held === undefined) return NO_PORTS;
  if (held.leavingPorts.length === 0 && held.ports.every((port) => ports.includes(port))) return NO_PORTS;
  return [...new Set([...held.ports, ...held.leavingPorts])].filter((port) => !ports.includes(port));
}
