import type { AddressRange } from './address-pool.ts';
import {
  addressFromNumber,
  addressToNumber,
  familyOf,
  type IpAddress,
  type IpFamily,
  parseIpAddress,
} from './ip-address.ts';

const BITS: Readonly<Record<IpFamily, number>> = { IPv4: 32, IPv6: 128 };

/**
 * Reads a single address, a CIDR without bits behind its prefix, or a range `a-b`.
 *
 * @returns the range, or a sentence that says what is wrong with the text and how to write it.
 */
export function parseAddressRange(text: string): AddressRange | string {
  if (text.includes('-')) return parseSpan(text);
  if (text.includes('/')) return parseCidr(text);
  const address = parseIpAddress(text);
  if (address === undefined)
    return `'${text}' is not an address, a CIDR or a range a-b: write for example 192.0.2.10, 192.0.2.0/28 or 192.0.2.10-192.0.2.20.`;
  const number = addressToNumber(address);
  return { family: familyOf(address), first: number, last: number };
}

/** A single address or a range `a-b`. */
export function formatAddressRange({ family, first, last }: AddressRange): string {
  const start = addressFromNumber(family, first);
  return first === last ? start : `${start}-${addressFromNumber(family, last)}`;
}

function parseSpan(text: string): AddressRange | string {
  const ends = text.split('-').map((end) => parseIpAddress(end.trim()));
  const [a, b] = ends;
  if (ends.length !== 2 || a === undefined || b === undefined)
    return `'${text}' is not a range of addresses: write for example 192.0.2.10-192.0.2.20.`;
  if (familyOf(a) !== familyOf(b))
    return `'${text}' begins with ${familyOf(a)} and ends with ${familyOf(b)}: write one range per family.`;
  const first = addressToNumber(a);
  const last = addressToNumber(b);
  if (first > last) return `'${text}' is reversed, its first address lies behind its last: exchange them.`;
  return { family: familyOf(a), first, last };
}

function parseCidr(text: string): AddressRange | string {
  const [base, prefix, ...rest] = text.split('/');
  const address = parseIpAddress(base ?? '');
  const length = prefixLength(prefix ?? '', address);
  if (address === undefined || length === undefined || rest.length > 0)
    return `'${text}' is not a CIDR: write for example 192.0.2.0/28 or 2001:db8::/64.`;
  const size = 1n << BigInt(BITS[familyOf(address)] - length);
  const first = addressToNumber(address);
  if (first % size !== 0n)
    return `'${text}' has bits set behind its prefix: write the network address, or a range a-b for a part of it.`;
  return { family: familyOf(address), first, last: first + size - 1n };
}

function prefixLength(text: string, address: IpAddress | undefined): number | undefined {
  if (address === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(text)) return undefined;
  const length = Number(text);
  return length <= BITS[familyOf(address)] ? length : undefined;
}
