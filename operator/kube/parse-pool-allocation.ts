import type { z } from 'zod';
import type { loadBalancerPoolSpec } from '../api/load-balancer-pool.ts';
import { rangesInclude } from '../core/free-addresses.ts';
import { parseDuration } from '../lib/parse-duration.ts';
import type { AddressPool, AddressRange, HeldAddress, Reservation } from '../model/address-pool.ts';
import { addressToNumber, familyOf, parseIpAddress } from '../model/ip-address.ts';
import type { LabelSelector } from '../model/labels.ts';
import { type ServiceKey, serviceKey } from '../model/load-balanced-service.ts';
import { asArray, asRecord, asText } from './kube-object.ts';

type Spec = z.output<typeof loadBalancerPoolSpec>;

/** Thirty days: what is still held then is held by mistake. */
const LONGEST_RELEASE_DELAY_SECONDS = 2_592_000;

/** Who gets which address of the pool, and for how long one is held; what is wrong goes to `problems`. */
export function parsePoolAllocation(
  spec: Spec,
  ranges: readonly AddressRange[],
  problems: string[],
): Pick<AddressPool, 'serviceAllocation' | 'reservations' | 'releaseDelaySeconds'> {
  const allocation = spec.serviceAllocation;
  const releaseDelaySeconds = parseDuration(spec.releaseDelay);
  if (releaseDelaySeconds === undefined || releaseDelaySeconds > LONGEST_RELEASE_DELAY_SECONDS)
    problems.push(`spec.releaseDelay: '${spec.releaseDelay}' is no duration up to 720h; write for example 5m or 24h.`);
  return {
    serviceAllocation: {
      priority: allocation?.priority ?? 0,
      namespaces: allocation?.namespaces ?? [],
      namespaceSelectors: (allocation?.namespaceSelectors ?? []) as readonly LabelSelector[],
      serviceSelectors: (allocation?.serviceSelectors ?? []) as readonly LabelSelector[],
      quotaPerNamespace: allocation?.quotaPerNamespace ?? 0,
      sharingAcrossNamespaces: allocation?.sharingAcrossNamespaces ?? false,
    },
    reservations: parseReservations(spec, ranges, problems),
    releaseDelaySeconds: releaseDelaySeconds ?? 0,
  };
}

function parseReservations(spec: Spec, ranges: readonly AddressRange[], problems: string[]): readonly Reservation[] {
  const seen = new Set<string>();
  return (spec.reservations ?? []).flatMap(({ address: text, service }) => {
    const address = parseIpAddress(text);
    const [namespace = '', name = '', ...rest] = service.split('/');
    if (address === undefined)
      problems.push(`spec.reservations: '${text}' is not an address; write for example 192.0.2.10.`);
    else if (seen.has(address)) problems.push(`spec.reservations: ${address} is reserved twice; remove one of them.`);
    else if (!inRanges(ranges, address))
      problems.push(
        `spec.reservations: ${address} is not an address of this pool, or excluded; reserve one of spec.addresses.`,
      );
    if (namespace === '' || name === '' || rest.length > 0)
      problems.push(`spec.reservations: '${service}' is not namespace/name of a Service; write for example shop/web.`);
    if (address === undefined) return [];
    seen.add(address);
    return [{ address, service: serviceKey(namespace, name) }];
  });
}

function inRanges(ranges: readonly AddressRange[], address: NonNullable<ReturnType<typeof parseIpAddress>>): boolean {
  const family = familyOf(address);
  return rangesInclude(
    ranges.filter((range) => range.family === family),
    addressToNumber(address),
  );
}

/** The held addresses in the stored status of a pool; what cannot be read is not held. */
export function parseHeld(status: unknown): readonly HeldAddress[] {
  return asArray(asRecord(status).held).flatMap((entry) => {
    const { address: text, service, until: time } = asRecord(entry);
    const address = parseIpAddress(asText(text) ?? '');
    const until = Date.parse(asText(time) ?? '');
    const key = asText(service);
    if (address === undefined || key === undefined || Number.isNaN(until)) return [];
    return [{ address, service: key as ServiceKey, until }];
  });
}
