import assert from 'node:assert/strict';
import { AddressBook, type VipDecision } from '../../../operator/core/address-book.ts';
import type { AddressPool } from '../../../operator/model/address-pool.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import type { LoadBalancedService, ServiceKey } from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService } from '../../builders/a-service.ts';

const V4 = '203.0.113.10' as IpAddress;
const DUAL = { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' } as const;
const PREFER = { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'PreferDualStack' } as const;

function aBook(...pools: readonly AddressPool[]): AddressBook {
  const book = new AddressBook();
  book.setPools(pools.length === 0 ? [aPool()] : pools);
  return book;
}

function assigned(decision: VipDecision): readonly IpAddress[] {
  assert.equal(decision.kind, 'assigned', decision.kind === 'refused' ? decision.message : '');
  return decision.kind === 'assigned' ? decision.addresses : [];
}

function refused(decision: VipDecision, reason: string, message: RegExp): void {
  assert.equal(decision.kind, 'refused');
  if (decision.kind !== 'refused') return;
  assert.equal(decision.reason, reason, decision.message);
  assert.match(decision.message, message);
}

const give = (book: AddressBook, service: LoadBalancedService) => book.allocate(service, {});

describe('AddressBook.allocate', () => {
  it('gives the first free address, and the same one when asked again', () => {
    const book = aBook();
    const service = aService();
    assert.deepEqual(give(book, service), { kind: 'assigned', addresses: [V4], pool: 'web' });
    assert.deepEqual(give(book, service), { kind: 'assigned', addresses: [V4], pool: 'web' });
    assert.deepEqual(assigned(give(book, aService({ name: 'b' }))), ['203.0.113.11']);
    assert.equal(book.holder(V4), 'default/web');
    assert.equal(book.poolOf(service.key), 'web');
    assert.deepEqual(book.usage('web'), { assignedIPv4: 2, assignedIPv6: 0, availableIPv4: 2n, availableIPv6: 0n });
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
      /No LoadBalancerPool may serve this Service.*web is paused.*o is not for namespace/,
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

describe('AddressBook.allocate with two families', () => {
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
    assert.deepEqual(book.releaseLeaving(aService().key), ['2001:db8::10']);
    assert.equal(book.usage('web').availableIPv6, 2n);
  });
});

describe('AddressBook keeps what is assigned', () => {
  const changes: readonly [what: string, pools: readonly AddressPool[]][] = [
    ['the pool is paused', [aPool({ paused: true })]],
    ['the pool no longer admits the Service', [aPool({ serviceAllocation: { namespaces: ['prod'] } })]],
    ['the pool is being deleted', [aPool({ deleting: true })]],
    ['autoAssign is switched off', [aPool({ autoAssign: false })]],
    [
      'a better pool appears',
      [aPool(), aPool({ name: 'a', addresses: ['198.51.100.1'], serviceAllocation: { priority: 1 } })],
    ],
    [
      'the pool begins to yield',
      [aPool({ createdAt: 5 }), aPool({ name: 'old', createdAt: 1, addresses: ['203.0.113.0/24'] })],
    ],
  ];
  for (const [what, pools] of changes) {
    it(`when ${what}`, () => {
      const book = aBook();
      give(book, aService());
      book.setPools(pools);
      assert.deepEqual(give(book, aService()), { kind: 'assigned', addresses: [V4], pool: 'web' });
    });
  }

  it('when the pool is gone, and says so', () => {
    const book = aBook();
    give(book, aService());
    book.setPools([]);
    const decision = give(book, aService());
    assert.deepEqual(assigned(decision), [V4]);
    assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'PoolNotFound');
    assert.match(decision.unmet.message, /LoadBalancerPool web, which gave 203\.0\.113\.10, is gone/);
    book.setPools([aPool()]);
    assert.deepEqual(give(book, aService()), { kind: 'assigned', addresses: [V4], pool: 'web' });
    assert.deepEqual(assigned(give(book, aService({ name: 'b' }))), ['203.0.113.11'], 'nobody else gets it');
  });

  it('when the pool no longer contains it, and says so', () => {
    const book = aBook();
    give(book, aService());
    book.setPools([aPool({ addresses: ['198.51.100.1'] })]);
    const decision = give(book, aService());
    assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'AddressOutsidePools');
    assert.equal(book.usage('web').availableIPv4, 1n);
  });

  it('when its range moves to another pool, which then is its pool', () => {
    const book = aBook();
    give(book, aService());
    book.setPools([aPool({ name: 'renamed' })]);
    assert.deepEqual(give(book, aService()), { kind: 'assigned', addresses: [V4], pool: 'renamed' });
    assert.equal(book.usage('renamed').assignedIPv4, 1);
    assert.equal(book.usage('web').assignedIPv4, 0);
  });

  it('when a new request cannot be met, and says so; and moves as soon as it can', () => {
    const book = aBook();
    give(book, aService());
    give(book, aService({ name: 'holder', request: { addresses: ['203.0.113.12'] } }));
    const wish = aService({ request: { addresses: ['203.0.113.12'] } });
    const decision = give(book, wish);
    assert.deepEqual(assigned(decision), [V4]);
    assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'AddressInUse');
    assert.match(decision.unmet.message, /Service default\/holder.*The Service keeps 203\.0\.113\.10/);
    assert.deepEqual(book.wakeable(book.release('default/holder' as ServiceKey)), [wish.key]);
    assert.deepEqual(give(book, wish), { kind: 'assigned', addresses: ['203.0.113.12'], pool: 'web' });
  });
});

describe('AddressBook when a request changes', () => {
  it('gives the new address and holds the old one until no director can have it', () => {
    const book = aBook();
    give(book, aService());
    assert.deepEqual(assigned(give(book, aService({ request: { addresses: ['203.0.113.12'] } }))), ['203.0.113.12']);
    assert.deepEqual(book.leavingOf(aService().key), [V4]);
    refused(give(book, aService({ name: 'b', request: { addresses: [V4] } })), 'AddressInUse', /default\/web/);
    assert.deepEqual(book.wakeable(book.releaseLeaving(aService().key)), ['default/b']);
    assert.deepEqual(assigned(give(book, aService({ name: 'b', request: { addresses: [V4] } }))), [V4]);
  });

  it('moves to another pool', () => {
    const book = aBook(aPool(), aPool({ name: 'other', addresses: ['198.51.100.1'] }));
    give(book, aService({ request: { pool: 'web' } }));
    assert.deepEqual(assigned(give(book, aService({ request: { pool: 'other' } }))), ['198.51.100.1']);
    assert.equal(book.poolOf(aService().key), 'other');
    assert.equal(book.usage('web').assignedIPv4, 0);
  });

  it('may go back to an address that it is giving up', () => {
    const book = aBook();
    give(book, aService());
    give(book, aService({ request: { addresses: ['203.0.113.12'] } }));
    assert.deepEqual(assigned(give(book, aService({ request: { addresses: [V4] } }))), [V4]);
    assert.deepEqual(book.leavingOf(aService().key), ['203.0.113.12']);
  });
});

describe('AddressBook.release', () => {
  it('frees what the Service has, and tells who could use it, oldest first', () => {
    const book = aBook(
      aPool({ addresses: [V4] }),
      aPool({ name: 'other', addresses: ['198.51.100.1'], autoAssign: false }),
    );
    give(book, aService());
    give(book, aService({ name: 'young', createdAt: 30 }));
    give(book, aService({ name: 'old', createdAt: 10 }));
    give(book, aService({ name: 'exact', createdAt: 20, request: { addresses: [V4] } }));
    give(book, aService({ name: 'six', ipFamilies: ['IPv6'] }));
    give(book, aService({ name: 'missing-pool', request: { pool: 'nope' } }));
    assert.deepEqual(book.wakeable(['198.51.100.1' as IpAddress]), []);
    assert.deepEqual(book.waiting().length, 5);
    const freed = book.release(aService().key);
    assert.deepEqual(freed, [V4]);
    assert.deepEqual(book.wakeable(freed), ['default/old', 'default/exact', 'default/young']);
    assert.equal(book.holder(V4), undefined);
    assert.deepEqual(book.release(aService().key), [], 'a second time there is nothing');
  });

  it('forgets that a Service waits', () => {
    const book = new AddressBook();
    give(book, aService());
    assert.deepEqual(book.waiting(), ['default/web']);
    book.release(aService().key);
    assert.deepEqual(book.waiting(), []);
  });
});

describe('AddressBook with a Service made anew under an old name', () => {
  const second = aService({ uid: 'another', createdAt: 9_000 });

  it('treats it as a new Service: the old address is leaving', () => {
    const book = aBook();
    give(book, aService());
    assert.deepEqual(assigned(give(book, second)), ['203.0.113.11']);
    assert.deepEqual(book.leavingOf(second.key), [V4]);
    assert.deepEqual(book.releaseLeaving(second.key), [V4]);
    assert.deepEqual(assigned(give(book, second)), ['203.0.113.11']);
  });

  it('lets it ask for the very address', () => {
    const book = aBook();
    give(book, aService());
    assert.deepEqual(assigned(give(book, { ...second, request: { addresses: [V4] } })), [V4]);
    assert.deepEqual(book.leavingOf(second.key), []);
  });

  it('does not show it the old address when it is refused', () => {
    const book = aBook(aPool({ addresses: [V4] }));
    give(book, aService());
    refused(give(book, second), 'PoolExhausted', /web/);
    assert.deepEqual(book.addressesOf(second.key), []);
    assert.deepEqual(book.wakeable(book.releaseLeaving(second.key)), [second.key]);
    assert.deepEqual(assigned(give(book, second)), [V4]);
  });
});

describe('AddressBook.adopt', () => {
  it('takes over what a status shows, before anything is given out', () => {
    const book = aBook();
    const service = aPublishedService({ ingress: ['203.0.113.11'] });
    assert.deepEqual(book.adopt(service), { kind: 'adopted', addresses: ['203.0.113.11'], pool: 'web' });
    assert.deepEqual(book.adopt(service), { kind: 'adopted', addresses: ['203.0.113.11'], pool: 'web' });
    assert.deepEqual(assigned(give(book, service)), ['203.0.113.11']);
    assert.deepEqual(assigned(give(book, aService({ name: 'b' }))), [V4]);
  });

  const rows: readonly [what: string, service: LoadBalancedService, kind: string][] = [
    ['a Service that is not ours', aPublishedService({ finalizers: [] }), 'nothing'],
    ['a Service without an address', aPublishedService({ ingress: [] }), 'nothing'],
    [
      'an address of no pool, without annotation',
      unannotated(aPublishedService({ ingress: ['192.0.2.1'] })),
      'nothing',
    ],
    [
      'an address of no pool, with annotation',
      aPublishedService({ ingress: ['192.0.2.1'], allocatedFromPool: 'gone' }),
      'adopted',
    ],
    ['an address of a pool, without annotation', unannotated(aPublishedService()), 'adopted'],
    ['a Service that is being deleted', aPublishedService({ deleting: true, wanted: false }), 'adopted'],
  ];
  for (const [what, service, kind] of rows)
    it(`${what}: ${kind}`, () => assert.equal(aBook().adopt(service).kind, kind));

  it('follows the annotation when two pools have the address', () => {
    const late = aPool({ name: 'late', createdAt: 9_999 });
    assert.deepEqual(aBook(aPool(), late).adopt(aPublishedService({ allocatedFromPool: 'late' })), {
      kind: 'adopted',
      addresses: [V4],
      pool: 'late',
    });
    assert.equal(aBook(late, aPool()).adopt(unannotated(aPublishedService())).kind, 'adopted');
  });

  it('leaves an address that two statuses show to the older Service', () => {
    const book = aBook();
    const young = aPublishedService({ name: 'young', createdAt: 50 });
    const old = aPublishedService({ name: 'old', createdAt: 40 });
    const results = book.adoptAll([young, old]);
    assert.equal(results.get(old.key)?.kind, 'adopted');
    const result = results.get(young.key);
    assert.ok(result?.kind === 'refused');
    assert.match(result.message, /203\.0\.113\.10.*default\/young belongs to Service default\/old/);
    assert.deepEqual(assigned(give(book, young)), ['203.0.113.11']);
  });
});

function unannotated(service: LoadBalancedService): LoadBalancedService {
  const { allocatedFromPool, ...rest } = service;
  assert.equal(allocatedFromPool, 'web');
  return rest;
}
