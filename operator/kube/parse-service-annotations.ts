import { parseDuration } from '../lib/parse-duration.ts';
import { BACKENDS, LONGEST_DRAIN_SECONDS, WEIGHTS } from '../model/balancing-options.ts';
import { familyOf, type IpAddress, type IpFamily, parseIpAddress } from '../model/ip-address.ts';
import type { AddressRequest, LoadBalancedService } from '../model/load-balanced-service.ts';
import { ANNOTATION } from '../model/names.ts';
import { FORWARDING_METHODS, SCHEDULER_FLAGS, SCHEDULERS, type SchedulerFlag } from '../model/virtual-server.ts';
import { quoted } from './quoted.ts';

type Annotations = Readonly<Record<string, string>>;

/**
 * The addresses and the pool that a Service asks for: annotation `loadBalancerIPs` (comma list, at most one per family) or
 * the older `spec.loadBalancerIP`; both only when they agree.
 */
export function parseAddressRequest(
  annotations: Annotations,
  loadBalancerIP: string | undefined,
  families: readonly IpFamily[],
  problems: string[],
): AddressRequest {
  const annotated = parseAddresses(ANNOTATION.loadBalancerIPs, annotations[ANNOTATION.loadBalancerIPs], problems);
  const specified = parseAddresses('spec.loadBalancerIP', loadBalancerIP, problems);
  const [address] = specified;
  if (annotated.length > 0 && address !== undefined && !annotated.includes(address)) {
    problems.push(
      `spec.loadBalancerIP is ${address}, but the annotation ${ANNOTATION.loadBalancerIPs} asks for ${firstAddresses(annotated)}: remove one of them.`,
    );
  }
  const addresses = annotated.length > 0 ? annotated : specified;
  for (const wanted of addresses) {
    if (families.length > 0 && !families.includes(familyOf(wanted))) {
      problems.push(
        `The address ${wanted} is asked for, but spec.ipFamilies of the Service has no ${familyOf(wanted)}: ask for another address or add the family.`,
      );
    }
  }
  const pool = annotations[ANNOTATION.addressPool]?.trim();
  const sharingKey = annotations[ANNOTATION.allowSharedIP]?.trim();
  const reallocate = annotations[ANNOTATION.reallocate]?.trim();
  return {
    addresses,
    ...(pool && { pool }),
    ...(sharingKey && { sharingKey }),
    ...(reallocate && { reallocate }),
  };
}

/** Annotations that override the pool's balancing options for one Service. */
export function parseOverrides(annotations: Annotations, problems: string[]): LoadBalancedService['overrides'] {
  const scheduler = oneOf(annotations, ANNOTATION.scheduler, SCHEDULERS, problems);
  const schedulerFlags = parseFlags(annotations[ANNOTATION.schedulerFlags], problems);
  const forwardingMethod = oneOf(annotations, ANNOTATION.forwardingMethod, FORWARDING_METHODS, problems);
  const backends = oneOf(annotations, ANNOTATION.backends, BACKENDS, problems);
  const weights = oneOf(annotations, ANNOTATION.weights, WEIGHTS, problems);
  const upperThreshold = parseThreshold(ANNOTATION.upperThreshold, annotations, problems);
  const lowerThreshold = parseThreshold(ANNOTATION.lowerThreshold, annotations, problems);
  const onePacket = oneOf(annotations, ANNOTATION.udpOnePacket, ['true', 'false'], problems);
  const drainSeconds = parseDrainTimeout(annotations[ANNOTATION.drainTimeout]?.trim(), problems);
  return {
    ...(scheduler && { scheduler }),
    ...(schedulerFlags && { schedulerFlags }),
    ...(forwardingMethod && { forwardingMethod }),
    ...(backends && { backends }),
    ...(weights && { weights }),
    ...(upperThreshold !== undefined && { upperThreshold }),
    ...(lowerThreshold !== undefined && { lowerThreshold }),
    ...(onePacket && { udpOnePacket: onePacket === 'true' }),
    ...(drainSeconds !== undefined && { drainSeconds }),
  };
}

function parseAddresses(field: string, text: string | undefined, problems: string[]): readonly IpAddress[] {
  const addresses: IpAddress[] = [];
  for (const word of listed(text)) {
    const address = parseIpAddress(word);
    if (address === undefined)
      problems.push(`${field}: ${quoted(word)} is not an IP address; write one, without a prefix.`);
    else if (!addresses.includes(address)) addresses.push(address);
  }
  for (const family of ['IPv4', 'IPv6'] as const) {
    const ofFamily = addresses.filter((address) => familyOf(address) === family);
    if (ofFamily.length > 1) {
      problems.push(`${field} asks for several ${family} addresses (${firstAddresses(ofFamily)}): keep one of them.`);
    }
  }
  return addresses;
}

function firstAddresses(addresses: readonly IpAddress[]): string {
  return addresses.slice(0, 3).join(', ') + (addresses.length > 3 ? ` and ${addresses.length - 3} more` : '');
}

function parseFlags(text: string | undefined, problems: string[]): readonly SchedulerFlag[] | undefined {
  if (text === undefined) return undefined;
  const flags: SchedulerFlag[] = [];
  for (const word of listed(text)) {
    const flag = SCHEDULER_FLAGS.find((known) => known === word);
    if (flag === undefined) problems.push(unknownValue(ANNOTATION.schedulerFlags, word, SCHEDULER_FLAGS));
    else if (!flags.includes(flag)) flags.push(flag);
  }
  return flags;
}

function parseDrainTimeout(text: string | undefined, problems: string[]): number | undefined {
  const seconds = text === undefined ? undefined : parseDuration(text);
  if (text === undefined || (seconds !== undefined && seconds <= LONGEST_DRAIN_SECONDS)) return seconds;
  problems.push(
    `The annotation ${ANNOTATION.drainTimeout} has the value ${quoted(text)}, which is no duration up to 24h: write for example 30s, 5m or 1h30m, or remove it.`,
  );
  return undefined;
}

/** The kernel takes 32 bits; half of that is the limit of the pool's field too. */
const GREATEST_THRESHOLD = 2 ** 31 - 1;

function parseThreshold(name: string, annotations: Annotations, problems: string[]): number | undefined {
  const text = annotations[name]?.trim();
  if (text === undefined) return undefined;
  if (/^[0-9]{1,10}$/.test(text) && Number(text) <= GREATEST_THRESHOLD) return Number(text);
  problems.push(
    `The annotation ${name} has the value ${quoted(text)}, which is no number from 0 to ${GREATEST_THRESHOLD}: write a number of connections, 0 for no limit, or remove it.`,
  );
  return undefined;
}

function oneOf<T extends string>(
  annotations: Annotations,
  name: string,
  known: readonly T[],
  problems: string[],
): T | undefined {
  const text = annotations[name]?.trim();
  if (text === undefined) return undefined;
  const value = known.find((candidate) => candidate === text);
  if (value === undefined) problems.push(unknownValue(name, text, known));
  return value;
}

function unknownValue(annotation: string, value: string, known: readonly string[]): string {
  return `The annotation ${annotation} has the value ${quoted(value)}, which is none of ${known.join(', ')}: use one of these or remove it.`;
}

/** The words of a comma list, trimmed; none for a list that is missing or blank. */
function listed(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}
