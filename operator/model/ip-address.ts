import { isIP, isIPv4 } from 'node:net';
import { Address6 } from 'ip-address';

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

/** The same, but a plain number for IPv4. */
export function addressToOrdinal(address: IpAddress): number | bigint {
  return familyOf(address) === 'IPv4' ? ipv4Number(address) : ipv6Number(address);
}

/** The inverse of {@link addressToNumber}. The number must lie within the family. */
export function addressFromNumber(family: IpFamily, value: number | bigint): IpAddress {
  return (family === 'IPv4' ? ipv4Text(Number(value)) : ipv6Text(BigInt(value))) as IpAddress;
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

// Tables of a thousand nodes are sorted often and every allocation writes an address, so these do not go through a library; the first two rely on canonical text.

function ipv4Number(address: string): number {
  let number = 0;
  let octet = 0;
  for (let index = 0; index < address.length; index += 1) {
    const code = address.charCodeAt(index);
    if (code === DOT) {
      number = number * 256 + octet;
      octet = 0;
    } else octet = octet * 10 + code - ZERO;
  }
  return number * 256 + octet;
}

const DOT = 46;
const ZERO = 48;

function ipv4Text(number: number): string {
  return `${Math.floor(number / 16_777_216)}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups shortened, the first of equal ones. */
function ipv6Text(value: bigint): string {
  SCRATCH.setBigUint64(0, value >> 64n);
  SCRATCH.setBigUint64(8, BigInt.asUintN(64, value));
  let from = 8;
  let until = 8;
  for (let start = 0; start < 8; start += 1) {
    let end = start;
    while (end < 8 && SCRATCH.getUint16(2 * end) === 0) end += 1;
    if (end - start > Math.max(1, until - from)) {
      from = start;
      until = end;
    }
    if (end > start) start = end;
  }
  return until > from ? `${hexGroups(0, from)}::${hexGroups(until, 8)}` : hexGroups(0, 8);
}

function hexGroups(from: number, until: number): string {
  let text = '';
  for (let group = from; group < until; group += 1) {
    if (group > from) text += ':';
    text += SCRATCH.getUint16(2 * group).toString(16);
  }
  return text;
}

const SCRATCH = new DataView(new ArrayBuffer(16));

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
