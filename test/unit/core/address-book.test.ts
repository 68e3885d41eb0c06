import assert from 'node:assert/strict';
import { AddressBook } from '../../../operator/core/address-book.ts';
import type { AddressPool } from '../../../operator/model/address-pool.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import type { LoadBalancedService, ServiceKey } from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService } from '../../builders/a-service.ts';
import { aBook, assigned, give, refused } from '../../builders/an-address-book.ts';

const NOW = 1_000_000;
const V4 = '203.0.113.10' as IpAddress;

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
    assert.match(
      decision.unmet.message,
      /LoadBalancerPool web, which gave 203\.0\.113\.10, does not exist or cannot be used/,
    );
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

  it('when its pool cannot be read, even if another pool has the address', () => {
    const book = aBook();
    give(book, aService());
    const late = aPool({ name: 'late', createdAt: 9_999 });
    assert.deepEqual(book.setPools([late], new Set(['web'])), []);
    assert.equal(book.poolOf(aService().key), 'web');
    assert.deepEqual(assigned(give(book, aService())), [V4]);
    assert.deepEqual(book.setPools([late, aPool()]), []);
    assert.deepEqual(give(book, aService()), { kind: 'assigned', addresses: [V4], pool: 'web' });
  });

  it('when its range moves to another pool, which then is its pool', () => {
    const book = aBook();
    give(book, aService());
    assert.deepEqual(book.setPools([aPool({ name: 'renamed' })]), ['default/web']);
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
    book.release('default/holder' as ServiceKey, NOW);
    assert.deepEqual(book.wakeable(), [wish.key]);
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
    book.releaseLeaving(aService().key, NOW);
    assert.deepEqual(book.wakeable(), ['default/b']);
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
    assert.deepEqual(book.wakeable(), []);
    assert.deepEqual(book.waiting().length, 5);
    const freed = book.release(aService().key, NOW);
    assert.deepEqual(freed, [V4]);
    assert.deepEqual(
      book.wakeable(),
      ['default/old', 'default/exact'],
      'one place for the oldest, and who wants this very one',
    );
    assert.deepEqual(book.users(V4), []);
    assert.deepEqual(book.release(aService().key, NOW), [], 'a second time there is nothing');
  });

  it('forgets that a Service waits', () => {
    const book = new AddressBook();
    give(book, aService());
    assert.deepEqual(book.waiting(), ['default/web']);
    book.release(aService().key, NOW);
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
    assert.deepEqual(book.releaseLeaving(second.key, NOW), [V4]);
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
    book.releaseLeaving(second.key, NOW);
    assert.deepEqual(book.wakeable(), [second.key]);
    assert.deepEqual(assigned(give(book, second)), [V4]);
  });
});

describe('AddressBook.adopt', () => {
  it('takes over what a record says, before anything is given out', () => {
    const book = aBook();
    const service = aPublishedService({ ingress: ['203.0.113.11'] });
    assert.deepEqual(book.adopt(service), { kind: 'adopted', addresses: ['203.0.113.11'], pool: 'web' });
    assert.deepEqual(book.adopt(service), { kind: 'adopted', addresses: ['203.0.113.11'], pool: 'web' });
    assert.deepEqual(assigned(give(book, service)), ['203.0.113.11']);
    assert.deepEqual(assigned(give(book, aService({ name: 'b' }))), [V4]);
  });

  const record = { pool: 'web', addresses: ['203.0.113.12' as IpAddress] };
  const gone = { pool: 'gone', addresses: ['192.0.2.1' as IpAddress] };
  const prod = aPool({ serviceAllocation: { namespaces: ['prod'] } });
  const rows: readonly [what: string, service: LoadBalancedService, outcome: string, pools?: readonly AddressPool[]][] =
    [
      ['a Service without a record', aService(), 'nothing'],
      ['a status that somebody else wrote', aService({ ingress: ['203.0.113.12'] }), 'nothing'],
      ['a record, whatever the status shows', aService({ record, ingress: ['203.0.113.13'] }), 'adopted'],
      ['a record without finalizers, which somebody has removed', aService({ record }), 'adopted'],
      ['a Service that is being deleted', aPublishedService({ deleting: true, wanted: false }), 'adopted'],
      ['record and status with an address of no pool', aService({ record: gone, ingress: ['192.0.2.1'] }), 'adopted'],
      ['record and status, admitted no more', aService({ record, ingress: ['203.0.113.12'] }), 'adopted', [prod]],
      ['a record alone with an address of no pool', aService({ record: gone }), 'AddressOutsidePools'],
      ['a record alone, not admitted', aService({ record }), 'PoolNotAllowed', [prod]],
      ['a version of ours without records', unrecorded(aPublishedService()), 'adopted'],
      [
        'a version without records, with an address of no pool',
        unrecorded(aPublishedService({ ingress: ['192.0.2.1'] })),
        'AddressOutsidePools',
      ],
    ];
  for (const [what, service, outcome, pools = []] of rows)
    it(`${what}: ${outcome}`, () => {
      const adoption = aBook(...pools).adopt(service, {});
      assert.equal(adoption.kind === 'refused' ? adoption.reason : adoption.kind, outcome);
    });

  it('follows the record when two pools have the address', () => {
    const late = aPool({ name: 'late', createdAt: 9_999 });
    assert.deepEqual(aBook(aPool(), late).adopt(aPublishedService({ allocatedFromPool: 'late' })), {
      kind: 'adopted',
      addresses: [V4],
      pool: 'late',
    });
  });

  it('follows the record to a pool that cannot be read', () => {
    const book = new AddressBook();
    book.setPools([aPool({ name: 'late' })], new Set(['web']));
    assert.deepEqual(book.adopt(aPublishedService()), { kind: 'adopted', addresses: [V4], pool: 'web' });
  });

  it('leaves an address that two confirm to the older Service', () => {
    const book = aBook();
    const young = aPublishedService({ name: 'young', createdAt: 50 });
    const old = aPublishedService({ name: 'old', createdAt: 40 });
    const results = book.adoptAll([young, old]);
    assert.equal(results.get(old.key)?.kind, 'adopted');
    const result = results.get(young.key);
    assert.ok(result?.kind === 'refused');
    assert.match(result.message, /default\/young names 203\.0\.113\.10, which belongs to Service default\/old/);
    assert.deepEqual(assigned(give(book, young)), ['203.0.113.11']);
  });

  it('lets nobody take a published address by a forged record, however old he is, and names no other namespace', () => {
    const book = aBook();
    const holder = aPublishedService({ name: 'holder', createdAt: 50 });
    const thief = aService({ namespace: 'evil', createdAt: 1, record: { pool: 'web', addresses: [V4] } });
    const results = book.adoptAll([thief, holder]);
    assert.deepEqual(book.addressesOf(holder.key), [V4]);
    const result = results.get(thief.key);
    assert.ok(result?.kind === 'refused');
    assert.match(result.message, /which belongs to a Service of another namespace; evil\/web gets another address/);
    assert.doesNotMatch(result.message, /holder/);
  });
});

function unrecorded(service: LoadBalancedService): LoadBalancedService {
  const { record: _, ...rest } = service;
  return rest;
}
