import assert from 'node:assert/strict';
import { AddressBook } from '../../../operator/core/address-book.ts';
import type { AddressPool } from '../../../operator/model/address-pool.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import type { ServiceKey } from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService } from '../../builders/a-service.ts';
import { aBook, assigned, give, refused } from '../../builders/an-address-book.ts';

const V4 = '203.0.113.10' as IpAddress;
const DUAL = { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' } as const;
const PREFER = { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'PreferDualStack' } as const;

describe('chooseAddresses', () => {
  it('gives the first free address, and the same one when asked again', () => {
    const book = aBook();
    const service = aService();
    assert.deepEqual(give(book, service), { kind: 'assigned', addresses: [V4], pool: 'web' });
    assert.deepEqual(give(book, service), { kind: 'assigned', addresses: [V4], pool: 'web' });
    assert.deepEqual(assigned(give(book, aService({ name: 'b' }))), ['203.0.113.11']);
    assert.deepEqual(book.users(V4), ['default/web']);
    assert.equal(book.poolOf(service.key), 'web');
    assert.deepEqual(book.usage('web'), {
      assignedIPv4: 2,
      assignedIPv6: 0,
      availableIPv4: 2n,
      availableIPv6: 0n,
      outside: 0,
    });
  });

  it('gives a requested address', () => {
    assert.deepEqual(assigned(give(aBook(), aService({ request: { addresses: ['203.0.113.12'] } }))), ['203.0.113.12']);
  });

  it('gives from a requested pool, also without autoAssign', () => {
    const book = aBook(aPool(), aPool({ name: 'special', addresses: ['198.51.100.1'], autoAssign: false }));
    assert.deepEqual(assigned(give(book, aService({ request: { pool: 'special' } }))), ['198.51.100.1']);
    assert.deepEqual(assigned(give(book, aService({ name: 'b' }))), [V4]);
  });

  const other = (name: string, overrides: Parameters<typeof aPool>[0] = {}) =>
    aPool({ name, addresses: ['198.51.100.1'], ...overrides });
  const preferences: readonly [what: string, pools: readonly AddressPool[], expected: string][] = [
    [
      'the lower priority',
      [aPool({ serviceAllocation: { priority: 5 } }), other('z', { serviceAllocation: { priority: 1 } })],
      '198.51.100.1',
    ],
    ['any priority before none', [aPool(), other('z', { serviceAllocation: { priority: 9 } })], '198.51.100.1'],
    [
      'a pool for the namespace before one for all',
      [aPool(), other('z', { serviceAllocation: { namespaces: ['default'] } })],
      '198.51.100.1',
    ],
    ['the first name among equals', [aPool(), other('a')], '198.51.100.1'],
    ['the next pool when the first is full', [other('a', { addresses: ['198.51.100.9'], paused: true }), aPool()], V4],
  ];
  for (const [what, pools, expected] of preferences) {
    it(`prefers ${what}`, () => assert.deepEqual(assigned(give(aBook(...pools), aService())), [expected]));
  }

  it('moves on to the next pool when one is exhausted', () => {
    const book = aBook(other('a'), aPool());
    give(book, aService({ name: 'first' }));
    assert.deepEqual(assigned(give(book, aService())), [V4]);
  });

  const taken = aService({ name: 'holder', request: { addresses: [V4] } });
  const refusals: readonly [
    what: string,
    pools: readonly AddressPool[],
    service: Parameters<typeof aService>[0],
    reason: string,
    message: RegExp,
  ][] = [
    ['no pool', [], {}, 'NoPool', /no LoadBalancerPool\. Create one/],
    ['no autoAssign', [aPool({ autoAssign: false })], {}, 'NoPool', /autoAssign.*web/],
    [
      'a pool that is not there',
      [aPool()],
      { request: { pool: 'wbe' } },
      'PoolNotFound',
      /LoadBalancerPool wbe; there is web/,
    ],
    [
      'an address that is taken',
      [aPool()],
      { request: { addresses: [V4] } },
      'AddressInUse',
      /203\.0\.113\.10 is in use by Service default\/holder/,
    ],
    [
      'an address outside',
      [aPool()],
      { request: { addresses: ['192.0.2.1'] } },
      'AddressOutsidePools',
      /192\.0\.2\.1 is in no LoadBalancerPool.*web/,
    ],
    [
      'an address outside the named pool',
      [aPool(), other('o')],
      { request: { addresses: ['198.51.100.1'], pool: 'web' } },
      'AddressOutsidePools',
      /198\.51\.100\.1 is not in LoadBalancerPool web/,
    ],
    [
      'an address of a paused pool',
      [aPool({ paused: true })],
      { request: { addresses: ['203.0.113.11'] } },
      'PoolPaused',
      /web is paused/,
    ],
    ['a paused pool', [aPool({ paused: true })], {}, 'PoolPaused', /spec\.paused to false/],
    [
      'another namespace',
      [aPool({ serviceAllocation: { namespaces: ['prod'] } })],
      {},
      'PoolNotAllowed',
      /not for namespace default/,
    ],
    [
      'another namespace, asked for by name',
      [aPool({ serviceAllocation: { namespaces: ['prod'] } })],
      { request: { pool: 'web' } },
      'PoolNotAllowed',
      /not for namespace default/,
    ],
    [
      'namespace labels that do not match',
      [aPool({ serviceAllocation: { namespaceSelectors: [{ matchLabels: { tier: 'x' } }] } })],
      {},
      'PoolNotAllowed',
      /namespace default/,
    ],
    [
      'labels that do not match',
      [aPool({ serviceAllocation: { serviceSelectors: [{ matchLabels: { app: 'x' } }] } })],
      { labels: { app: 'y' } },
      'PoolNotAllowed',
      /serviceSelector/,
    ],
    ['a pool that is being deleted', [aPool({ deleting: true })], {}, 'PoolNotFound', /being deleted/],
    ['a family no pool has', [aPool()], { ipFamilies: ['IPv6'] }, 'FamilyUnavailable', /web has no IPv6 addresses/],
    ['a second family no pool has', [aPool()], DUAL, 'FamilyUnavailable', /no IPv6/],
    [
      'an address of a family that is not its own',
      [aPool()],
      { request: { addresses: ['2001:db8::1'] } },
      'InvalidRequest',
      /2001:db8::1 is IPv6/,
    ],
    [
      'two addresses of one family',
      [aPool()],
      { request: { addresses: ['203.0.113.11', '203.0.113.12'] } },
      'InvalidRequest',
      /one address per family/,
    ],
    [
      'two addresses of two pools',
      [aPool(), other('o', { addresses: ['2001:db8::1'] })],
      { ...DUAL, request: { addresses: [V4, '2001:db8::1'] } },
      'InvalidRequest',
      /different LoadBalancerPools/,
    ],
    [
      'a Service that cannot be read',
      [aPool()],
      { problems: ['Annotation x is wrong.'] },
      'InvalidRequest',
      /Annotation x is wrong/,
    ],
    [
      'several pools, each for another reason',
      [aPool({ paused: true }), other('o', { serviceAllocation: { namespaces: ['prod'] } })],
      {},
      'NoPool',
      /No LoadBalancerPool may serve this Service.*o is not for namespace.*web is paused/,
    ],
  ];
  for (const [what, pools, service, reason, message] of refusals) {
    it(`refuses ${what}: ${reason}`, () => {
      const book = new AddressBook();
      book.setPools(pools);
      give(book, taken);
      refused(give(book, aService(service)), reason, message);
      assert.deepEqual(book.addressesOf(aService(service).key), []);
    });
  }

  it('gives to a namespace whose labels match', () => {
    const book = aBook(aPool({ serviceAllocation: { namespaceSelectors: [{ matchLabels: { tier: 'x' } }] } }));
    assert.equal(book.allocate(aService(), undefined).kind, 'refused');
    assert.equal(book.allocate(aService(), { tier: 'x' }).kind, 'assigned');
  });

  it('refuses when all are in use, and says how many there are', () => {
    const book = aBook();
    for (const name of ['a', 'b', 'c', 'd']) give(book, aService({ name }));
    refused(give(book, aService()), 'PoolExhausted', /web \(4 IPv4 addresses\) is in use/);
  });

  it('lets a pool yield to an earlier one', () => {
    const book = aBook(aPool(), aPool({ name: 'late', createdAt: 9_999, addresses: ['203.0.113.13-203.0.113.20'] }));
    refused(give(book, aService({ request: { pool: 'late' } })), 'PoolConflict', /late.*earlier LoadBalancerPool web/);
    assert.deepEqual(assigned(give(book, aService({ name: 'b', request: { addresses: ['203.0.113.13'] } }))), [
      '203.0.113.13',
    ]);
    assert.equal(book.poolOf('default/b' as ServiceKey), 'web');
  });
});

describe('chooseAddresses with two families', () => {
  const dualPool = () => aPool({ addresses: ['203.0.113.10-203.0.113.13', '2001:db8::10-2001:db8::11'] });

  it('gives one of each, in the order of ipFamilies', () => {
    const book = aBook(dualPool());
    assert.deepEqual(assigned(give(book, aService(DUAL))), [V4, '2001:db8::10']);
    const reversed = aService({ name: 'b', ...DUAL, ipFamilies: ['IPv6', 'IPv4'] });
    assert.deepEqual(assigned(give(book, reversed)), ['2001:db8::11', '203.0.113.11']);
  });

  it('adds the other family to a requested address', () => {
    const service = aService({ ...DUAL, request: { addresses: ['2001:db8::11'] } });
    assert.deepEqual(assigned(give(aBook(dualPool()), service)), [V4, '2001:db8::11']);
  });

  it('is content with one when it only prefers two, and takes the second when the pool gets some', () => {
    const book = aBook();
    assert.deepEqual(assigned(give(book, aService(PREFER))), [V4]);
    book.setPools([dualPool()]);
    assert.deepEqual(assigned(give(book, aService(PREFER))), [V4, '2001:db8::10']);
  });

  it('prefers a pool with both over an earlier one with one', () => {
    const book = aBook(aPool({ name: 'a', addresses: ['198.51.100.1'] }), dualPool());
    assert.deepEqual(assigned(give(book, aService(PREFER))), [V4, '2001:db8::10']);
  });

  it('prefers the primary family when only one can be had', () => {
    const book = aBook(aPool({ name: 'a', addresses: ['2001:db8::1'] }), aPool());
    assert.deepEqual(assigned(give(book, aService(PREFER))), [V4]);
  });

  it('keeps the first when a family is added, and gives up the one that is removed', () => {
    const book = aBook(dualPool());
    give(book, aService());
    assert.deepEqual(assigned(give(book, aService(DUAL))), [V4, '2001:db8::10']);
    assert.deepEqual(assigned(give(book, aService())), [V4]);
    assert.deepEqual(book.leavingOf(aService().key), ['2001:db8::10']);
    assert.equal(book.usage('web').availableIPv6, 1n);
    assert.deepEqual(book.releaseLeaving(aService().key, 0), ['2001:db8::10']);
    assert.equal(book.usage('web').availableIPv6, 2n);
  });
});
