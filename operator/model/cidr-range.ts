import {
  addressFromNumber,
  addressToNumber,
  compareAddresses,
  familyOf,
  type IpAddress,
  type IpFamily,
  parseIpAddress,
} from './ip-address.ts';

/**
 * A CIDR range in canonical text, `198.51.100.0/24` or `2001:db8::/32`: no bits behind the prefix, canonical address. Two values are the
 * same range exactly when they are the same string. Made by {@link parseCidrRange} only.
 */
export type CidrRange = string & { readonly __brand: 'CidrRange' };

/**
 * Reads a CIDR range. Bits behind the prefix are dropped, as the API server and kube-proxy do with source ranges.
 *
 * @returns undefined when the text is not `address/prefix`.
 */
export function parseCidrRange(text: string): CidrRange | undefined {
  const match = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text);
  const address = parseIpAddress(match?.[1] ?? '');
  const length = Number(match?.[2]);
  if (address === undefined || length > bitsOf(familyOf(address))) return undefined;
  const hostBits = BigInt(bitsOf(familyOf(address)) - length);
  const base = (addressToNumber(address) >> hostBits) << hostBits;
  return `${addressFromNumber(familyOf(address), base)}/${length}` as CidrRange;
}

/** The family of a range's addresses. */
export function familyOfRange(range: CidrRange): IpFamily {
  return familyOf(baseOf(range));
}

/** Whether the address lies in the range; never for an address of the other family. */
export function rangeContains(range: CidrRange, address: IpAddress): boolean {
  const family = familyOfRange(range);
  if (familyOf(address) !== family) return false;
  const hostBits = BigInt(bitsOf(family) - prefixLengthOf(range));
  return addressToNumber(address) >> hostBits === addressToNumber(baseOf(range)) >> hostBits;
}

/** Orders ranges: IPv4 before IPv6, then by address, then the wider first. */
export function compareCidrRanges(a: CidrRange, b: CidrRange): number {
  return compareAddresses(baseOf(a), baseOf(b)) || prefixLengthOf(a) - prefixLengthOf(b);
}

function baseOf(range: CidrRange): IpAddress {
  return range.slice(0, range.indexOf('/')) as IpAddress;
}

function prefixLengthOf(range: CidrRange): number {
  return Number(range.slice(range.indexOf('/') + 1));
}

function bitsOf(family: IpFamily): number {
  return family === 'IPv4' ? 32 : 128;
}
