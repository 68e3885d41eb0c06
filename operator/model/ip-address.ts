import { isIP, isIPv4 } from 'node:net';
import { Address4, Address6 } from 'ip-address';

/**
 * An IPv4 or IPv6 address in canonical text: dotted decimal, or RFC 5952 (lower case, longest zero run shortened).
 * Two values are the same address exactly when they are the same string. Made by {@link parseIpAddress} only.
 */
export type IpAddress = string & { readonly __brand: 'IpAddress' };

/** Address family, spelled as Kubernetes spells `ipFamilies`. */
export type IpFamily = 'IPv4' | 'IPv6';

/** ::ffff:0:0/96 in canonical text, however it was written (RFC 4291 2.5.5.2). */
const IPV4_MAPPED = /^::ffff:[0-9a-f]{1,4}:[0-9a-f]{1,4}$/;

/**
 * Reads an address as a person would write it. Zone identifiers, prefixes, leading zeros and IPv4-mapped IPv6 addresses
 * are refused: none of them names one address that a virtual server can have.
 *
 * @returns the canonical address, or undefined when the text is not an address.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  if (isIP(text) === 0 || text.includes('%')) return undefined;
  if (isIPv4(text)) return text as IpAddress;
  const address = new Address6(text).correctForm();
  return IPV4_MAPPED.test(address) ? undefined : (address as IpAddress);
}

/** The family of a parsed address. */
export function familyOf(address: IpAddress): IpFamily {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/** The address as a number: 0 … 2^32-1 for IPv4, 0 … 2^128-1 for IPv6. */
export function addressToNumber(address: IpAddress): bigint {
  return familyOf(address) === 'IPv4' ? BigInt(ipv4Number(address)) : ipv6Number(address);
}

/** The inverse of {@link addressToNumber}. The number must lie within the family. */
export function addressFromNumber(family: IpFamily, value: bigint): IpAddress {
  const address = family === 'IPv4' ? Address4.fromBigInt(value) : Address6.fromBigInt(value);
  return address.correctForm() as IpAddress;
}

/** Orders addresses: IPv4 before IPv6, then by number. Every list that reaches a director is in this order. */
export function compareAddresses(a: IpAddress, b: IpAddress): number {
  const familyA = familyOf(a);
  const familyB = familyOf(b);
  if (familyA !== familyB) return familyA === 'IPv4' ? -1 : 1;
  if (familyA === 'IPv4') return ipv4Number(a) - ipv4Number(b);
  const numberA = ipv6Number(a);
  const numberB = ipv6Number(b);
  return numberA < numberB ? -1 : numberA > numberB ? 1 : 0;
}

// Tables of a thousand nodes are sorted often, so these two do not go through a library; both rely on canonical text.

function ipv4Number(address: string): number {
  return address.split('.').reduce((number, octet) => number * 256 + Number(octet), 0);
}

function ipv6Number(address: string): bigint {
  const [before = '', after] = address.split('::');
  const head = groups(before);
  const tail = groups(after ?? '');
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0000');
  return BigInt(`0x${[...head, ...zeros, ...tail].join('')}`);
}

function groups(text: string): readonly string[] {
  return text === '' ? [] : text.split(':').map((group) => group.padStart(4, '0'));
}
