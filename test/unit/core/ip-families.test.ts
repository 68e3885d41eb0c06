import assert from 'node:assert/strict';
import type { AddressPool } from '../../../operator/model/address-pool.ts';
import type { IpFamily } from '../../../operator/model/ip-address.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService } from '../../builders/a-service.ts';
import { aBook, assigned, give } from '../../builders/an-address-book.ts';

const POLICIES = ['SingleStack', 'PreferDualStack', 'RequireDualStack'] as const;

/** SingleStack with two families, and RequireDualStack with one, is what the API server never stores; as many addresses as ipFamilies names are given then. */
const FAMILIES = {
  '4': ['IPv4'],
  '6': ['IPv6'],
  '4,6': ['IPv4', 'IPv6'],
  '6,4': ['IPv6', 'IPv4'],
} as const satisfies Record<string, readonly IpFamily[]>;

const V4 = '203.0.113.10-203.0.113.11';
const V6 = '2001:db8::10-2001:db8::11';
const four = aPool({ name: 'four', addresses: [V4] });
const six = aPool({ name: 'six', addresses: [V6] });
const both = aPool({ name: 'both', addresses: [V4, V6] });

/** The last part of each address in order; or the reason and what the message must say. */
type Expected = string;
type Row = readonly [families: keyof typeof FAMILIES, ...byPolicy: readonly [Expected, Expected, Expected]];

interface Site {
  readonly pools: readonly AddressPool[];
  /** Families of which others have every address. */
  readonly full?: readonly IpFamily[];
  readonly rows: readonly Row[];
}

const NO4 = 'FamilyUnavailable: LoadBalancerPool six has no IPv4 addresses';
const NO6 = 'FamilyUnavailable: LoadBalancerPool four has no IPv6 addresses';
const FULL4 = 'PoolExhausted: Every address of LoadBalancerPool both (2 IPv4 addresses) is in use';
const FULL6 = 'PoolExhausted: Every address of LoadBalancerPool both (2 IPv6 addresses) is in use';
const FULL46 = 'PoolExhausted: Every address of LoadBalancerPool both (2 IPv4 addresses, 2 IPv6 addresses) is in use';
const FULL64 = 'PoolExhausted: Every address of LoadBalancerPool both (2 IPv6 addresses, 2 IPv4 addresses) is in use';
const apart = (families: string) =>
  `FamilyUnavailable: None of LoadBalancerPool four and six has ${families} addresses, and a Service takes all its addresses from one pool`;
const APART46 = apart('IPv4 and IPv6');
const APART64 = apart('IPv6 and IPv4');
const fullOf = (pools: string) => `PoolExhausted: Every address of LoadBalancerPool ${pools} is in use`;
const FULL_FOUR = fullOf('four (2 IPv4 addresses)');
const FULL_SIX = fullOf('six (2 IPv6 addresses)');
const FULL_EACH = fullOf('four (2 IPv4 addresses) and six (2 IPv6 addresses)');

const SITES: Readonly<Record<string, Site>> = {
  'a pool of IPv4': {
    pools: [four],
    rows: [
      ['4', '.10', '.10', '.10'],
      ['6', NO6, NO6, NO6],
      ['4,6', NO6, '.10', NO6],
      ['6,4', NO6, '.10', NO6],
    ],
  },
  'a pool of IPv6': {
    pools: [six],
    rows: [
      ['4', NO4, NO4, NO4],
      ['6', '::10', '::10', '::10'],
      ['4,6', NO4, '::10', NO4],
      ['6,4', NO4, '::10', NO4],
    ],
  },
  'a pool of both': {
    pools: [both],
    rows: [
      ['4', '.10', '.10', '.10'],
      ['6', '::10', '::10', '::10'],
      ['4,6', '.10 ::10', '.10 ::10', '.10 ::10'],
      ['6,4', '::10 .10', '::10 .10', '::10 .10'],
    ],
  },
  'a pool of each': {
    pools: [four, six],
    rows: [
      ['4', '.10', '.10', '.10'],
      ['6', '::10', '::10', '::10'],
      ['4,6', APART46, '.10', APART46],
      ['6,4', APART64, '::10', APART64],
    ],
  },
  'a pool of each, and after them one of both': {
    pools: [four, six, aPool({ name: 'wide', addresses: ['203.0.113.20', '2001:db8::20'] })],
    rows: [
      ['4', '.10', '.10', '.10'],
      ['6', '::10', '::10', '::10'],
      ['4,6', '.20 ::20', '.20 ::20', '.20 ::20'],
      ['6,4', '::20 .20', '::20 .20', '::20 .20'],
    ],
  },
  'a full pool of IPv4': {
    pools: [four],
    full: ['IPv4'],
    rows: [
      ['4', FULL_FOUR, FULL_FOUR, FULL_FOUR],
      ['6', NO6, NO6, NO6],
      ['4,6', NO6, FULL_FOUR, NO6],
      ['6,4', NO6, FULL_FOUR, NO6],
    ],
  },
  'a full pool of each': {
    pools: [four, six],
    full: ['IPv4', 'IPv6'],
    rows: [
      ['4', FULL_FOUR, FULL_FOUR, FULL_FOUR],
      ['6', FULL_SIX, FULL_SIX, FULL_SIX],
      ['4,6', APART46, FULL_EACH, APART46],
      ['6,4', APART64, FULL_EACH, APART64],
    ],
  },
  'a full pool of IPv4, and one of IPv6': {
    pools: [four, six],
    full: ['IPv4'],
    rows: [
      ['4', FULL_FOUR, FULL_FOUR, FULL_FOUR],
      ['6', '::10', '::10', '::10'],
      ['4,6', APART46, '::10', APART46],
      ['6,4', APART64, '::10', APART64],
    ],
  },
  'a pool of both without a free IPv4 address': {
    pools: [both],
    full: ['IPv4'],
    rows: [
      ['4', FULL4, FULL4, FULL4],
      ['6', '::10', '::10', '::10'],
      ['4,6', FULL4, '::10', FULL4],
      ['6,4', FULL4, '::10', FULL4],
    ],
  },
  'a pool of both without a free IPv6 address': {
    pools: [both],
    full: ['IPv6'],
    rows: [
      ['4', '.10', '.10', '.10'],
      ['6', FULL6, FULL6, FULL6],
      ['4,6', FULL6, '.10', FULL6],
      ['6,4', FULL6, '.10', FULL6],
    ],
  },
  'a pool of both without a free address': {
    pools: [both],
    full: ['IPv4', 'IPv6'],
    rows: [
      ['4', FULL4, FULL4, FULL4],
      ['6', FULL6, FULL6, FULL6],
      ['4,6', FULL46, FULL46, FULL46],
      ['6,4', FULL64, FULL64, FULL64],
    ],
  },
};

describe('ipFamilyPolicy and ipFamilies', () => {
  for (const [where, { pools, full = [], rows }] of Object.entries(SITES)) {
    for (const [families, ...byPolicy] of rows) {
      for (const [index, ipFamilyPolicy] of POLICIES.entries()) {
        const expected = byPolicy[index] as Expected;
        it(`${ipFamilyPolicy} ${families} at ${where}: ${expected.replace(/: .*/, '')}`, () => {
          const book = aBook(...pools);
          const others = full.flatMap((family) =>
            ['one', 'two'].map((name) => aService({ name: `${name}-${family}`, ipFamilies: [family] })),
          );
          for (const other of others) assigned(give(book, other));
          const service = aService({ ipFamilies: FAMILIES[families], ipFamilyPolicy });
          const decision = give(book, service);
          if (decision.kind === 'assigned') assert.equal(decision.addresses.map(lastPart).join(' '), expected);
          else assert.equal(`${decision.reason}: ${decision.message}`.slice(0, expected.length), expected);
          if (decision.kind === 'assigned') return;
          for (const other of others) book.release(other.key, 0);
          assert.deepEqual(book.wakeable(), expected.startsWith('PoolExhausted') ? [service.key] : []);
        });
      }
    }
  }
});

function lastPart(address: string): string {
  return address.replace('203.0.113', '').replace('2001:db8', '');
}
