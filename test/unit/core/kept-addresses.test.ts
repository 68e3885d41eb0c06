import assert from 'node:assert/strict';
import type { HeldAddress, Reservation } from '../../../operator/model/address-pool.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { type ServiceKey, serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService, aServicePort } from '../../builders/a-service.ts';
import { aBook, assigned, give, refused } from '../../builders/an-address-book.ts';

const V4 = '203.0.113.10' as IpAddress;
const NOW = 1_000_000;
const HOUR_MS = 3_600_000;
const keyOf = (name: string) => serviceKey('default', name);
const reserve = (address: string, service: string): Reservation => ({
  address: address as IpAddress,
  service: service as ServiceKey,
});

describe('An address that a pool reserves', () => {
  const pool = aPool({ reservations: [reserve(V4, 'shop/web'), reserve('203.0.113.12', 'shop/api')] });

  it('is given to nobody else, asked for or not, and not counted as free', () => {
    const book = aBook(pool);
    assert.equal(book.usage('web').availableIPv4, 2n);
    assert.deepEqual(assigned(give(book, aService())), ['203.0.113.11']);
    const wish = give(book, aService({ name: 'b', request: { addresses: [V4] } }));
    refused(wish, 'AddressReserved', /203\.0\.113\.10 is reserved for a Service of another namespace/);
  });

  it('is given to its Service, which asks for nothing, also by a pool that admits nobody or has no autoAssign', () => {
    for (const rules of [{}, { autoAssign: false }, { serviceAllocation: { namespaces: ['prod'] } }]) {
      const book = aBook(aPool({ name: 'a', addresses: ['198.51.100.1'] }), { ...pool, ...aPool(rules), ...pool });
      assert.deepEqual(assigned(give(book, aService({ namespace: 'shop', name: 'api' }))), ['203.0.113.12']);
    }
  });

  it("stays with who has it already, and is its Service's from then on", () => {
    const book = aBook();
    give(book, aService());
    book.setPools([pool]);
    assert.deepEqual(assigned(give(book, aService())), [V4]);
    const owner = aService({ namespace: 'shop' });
    assert.deepEqual(assigned(give(book, owner)), ['203.0.113.11']);
    book.release(aService().key, NOW);
    refused(give(book, aService({ request: { addresses: [V4] } })), 'AddressReserved', /reserved/);
    assert.deepEqual(assigned(give(book, owner)), ['203.0.113.11'], 'what it has it keeps');
  });

  it('is joined by nobody while somebody has it from before, asked for or not, also by a forged record', () => {
    const share = (name: string, port: number, overrides: Parameters<typeof aService>[0] = {}) =>
      aService({ name, ports: [aServicePort({ port })], request: { sharingKey: 'k' }, ...overrides });
    const book = aBook();
    give(book, share('first', 80));
    give(book, share('second', 81));
    book.setPools([pool]);
    assert.deepEqual(assigned(give(book, share('second', 81))), [V4], 'who has it keeps it');
    assert.deepEqual(assigned(give(book, share('third', 82))), ['203.0.113.11']);
    const wish = share('fourth', 83, { request: { sharingKey: 'k', addresses: [V4] } });
    refused(give(book, wish), 'AddressReserved', /203\.0\.113\.10 is reserved for a Service of another namespace/);
    const record = { pool: 'web', addresses: [V4], sharing: { key: 'k', ports: ['TCP/84'] } };
    assert.equal(book.adopt(share('fifth', 84, { record }), {}).kind, 'refused');
    assert.deepEqual(book.users(V4), [keyOf('first'), keyOf('second')]);
  });

  it('comes free when the reservation goes, and who waits for it is woken', () => {
    const book = aBook(pool);
    const wish = aService({ name: 'b', request: { addresses: [V4] } });
    give(book, wish);
    assert.deepEqual(book.wakeable(), []);
    book.setPools([aPool()]);
    assert.deepEqual(book.wakeable(), [wish.key]);
    assert.deepEqual(assigned(give(book, wish)), [V4]);
  });

  it('is not taken by a forged record', () => {
    const record = { pool: 'web', addresses: [V4] };
    assert.equal(aBook(pool).adopt(aService({ record }), {}).kind, 'refused');
    assert.equal(aBook(pool).adopt(aPublishedService()).kind, 'adopted', 'but kept by who was published with it');
  });
});

describe('An address that is held after its release', () => {
  const pool = aPool({ addresses: [`${V4}-203.0.113.11`], releaseDelaySeconds: 3_600 });

  it('is given to the same namespace and name again, and to nobody else', () => {
    const book = aBook(pool);
    give(book, aService());
    assert.deepEqual(book.release(aService().key, NOW), [V4]);
    assert.deepEqual(book.held.of('web'), [{ address: V4, service: keyOf('web'), until: NOW + HOUR_MS }]);
    assert.equal(book.usage('web').availableIPv4, 1n);
    const other = aService({ name: 'b', request: { addresses: [V4] } });
    refused(give(book, other), 'AddressReserved', /203\.0\.113\.10 is held for Service default\/web/);
    assert.deepEqual(assigned(give(book, aService({ uid: 'another' }))), [V4]);
    assert.deepEqual(book.held.of('web'), []);
  });

  it('is given back also before the directors have let go of it', () => {
    const book = aBook(pool);
    give(book, aService());
    assert.deepEqual(assigned(give(book, aService({ uid: 'another' }))), [V4]);
    assert.deepEqual(book.leavingOf(keyOf('web')), []);
  });

  it('comes free when its time has come: the oldest who waits is woken', () => {
    const book = aBook(pool);
    give(book, aService());
    give(book, aService({ name: 'b' }));
    const young = aService({ name: 'young', createdAt: 30 });
    const old = aService({ name: 'old', createdAt: 20 });
    give(book, young);
    give(book, old);
    book.release(keyOf('web'), NOW);
    assert.deepEqual(book.wakeable(), []);
    assert.equal(book.held.nextExpiry(), NOW + HOUR_MS);
    assert.equal(book.held.expire(NOW + HOUR_MS - 1).size, 0);
    assert.deepEqual([...book.held.expire(NOW + HOUR_MS)], ['web']);
    assert.deepEqual(book.wakeable(), [old.key]);
    assert.deepEqual(assigned(give(book, old)), [V4]);
    assert.equal(book.held.nextExpiry(), undefined);
  });

  it('is held again by the next process, but not when somebody has it, the time is over, or the pool has it no more', () => {
    const held = (address: string, until: number): HeldAddress => ({ ...reserve(address, 'default/gone'), until });
    const book = aBook(pool);
    book.adopt(aPublishedService({ ingress: ['203.0.113.11'] }));
    book.held.restore('web', [held(V4, NOW + 1), held('203.0.113.11', NOW + 1), held('192.0.2.1', NOW + 1)], NOW);
    assert.deepEqual(
      book.held.of('web').map(({ address }) => address),
      [V4],
    );
    const late = aBook(pool);
    late.held.restore('web', [held(V4, NOW)], NOW);
    assert.deepEqual(late.held.of('web'), []);
  });

  it('is not taken by a forged record', () => {
    const book = aBook(pool);
    book.held.restore('web', [{ ...reserve(V4, 'default/gone'), until: NOW + 1 }], NOW);
    assert.equal(book.adopt(aService({ record: { pool: 'web', addresses: [V4] } }), {}).kind, 'refused');
  });

  it('is held for at most a thousand of a pool: the ones that come free first go', () => {
    const book = aBook(aPool({ addresses: ['198.18.0.0/16'], releaseDelaySeconds: 3_600 }));
    for (let index = 0; index < 1_002; index += 1) {
      give(book, aService({ name: `s${index}` }));
      book.release(keyOf(`s${index}`), NOW + index);
    }
    const held = book.held.of('web');
    assert.equal(held.length, 1_000);
    assert.equal(held[0]?.service, keyOf('s2'));
  });
});

describe('A quota per namespace', () => {
  const pool = aPool({ serviceAllocation: { quotaPerNamespace: 2 } });

  it('bounds what a namespace has, asked for or not; others are not concerned', () => {
    const book = aBook(pool);
    give(book, aService({ name: 'a' }));
    give(book, aService({ name: 'b' }));
    refused(
      give(book, aService({ name: 'c' })),
      'QuotaExceeded',
      /Namespace default has 2 addresses of LoadBalancerPool web/,
    );
    const wish = aService({ name: 'd', request: { addresses: ['203.0.113.13'] } });
    refused(give(book, wish), 'QuotaExceeded', /quotaPerNamespace/);
    assert.deepEqual(assigned(give(book, aService({ namespace: 'other' }))), ['203.0.113.12']);
  });

  it('lets a Service move, and share', () => {
    const book = aBook(pool);
    const shared = (name: string, port: number) =>
      aService({ name, ports: [{ name: 'p', protocol: 'TCP', port, nodePort: 0 }], request: { sharingKey: 'k' } });
    give(book, shared('a', 80));
    give(book, aService({ name: 'b' }));
    assert.deepEqual(assigned(give(book, shared('c', 81))), [V4]);
    const moved = give(book, aService({ name: 'b', request: { addresses: ['203.0.113.13'] } }));
    assert.deepEqual(assigned(moved), ['203.0.113.13']);
  });

  it('sends to the next pool, and wakes the oldest of the namespace when it has less', () => {
    const book = aBook(pool, aPool({ name: 'z', addresses: ['198.51.100.1'] }));
    for (const name of ['a', 'b', 'c']) give(book, aService({ name }));
    assert.deepEqual(book.addressesOf(keyOf('c')), ['198.51.100.1']);
    const waiting = aService({ name: 'd' });
    refused(give(book, waiting), 'QuotaExceeded', /default/);
    const foreign = aService({ namespace: 'other', name: 'w', request: { pool: 'z' } });
    refused(give(book, foreign), 'PoolExhausted', /z/);
    book.release(keyOf('a'), NOW);
    assert.deepEqual(book.wakeable(), [waiting.key]);
    assert.deepEqual(assigned(give(book, waiting)), [V4]);
  });

  it('takes nothing from who has more already', () => {
    const book = aBook();
    for (const name of ['a', 'b', 'c']) give(book, aService({ name }));
    book.setPools([pool]);
    assert.deepEqual(give(book, aService({ name: 'c' })), {
      kind: 'assigned',
      addresses: ['203.0.113.12'],
      pool: 'web',
    });
  });

  it('counts both families', () => {
    const book = aBook(aPool({ addresses: [V4, '2001:db8::1'], serviceAllocation: { quotaPerNamespace: 1 } }));
    const both = { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' } as const;
    refused(give(book, aService(both)), 'QuotaExceeded', /1 address/);
  });
});

describe('Asking for another address', () => {
  const asks = (reallocate: string) => aService({ request: { reallocate } });

  it('gives one for a value that was not seen before, once', () => {
    const book = aBook();
    give(book, aService());
    assert.deepEqual(assigned(give(book, asks('1'))), ['203.0.113.11']);
    assert.deepEqual(book.leavingOf(aService().key), [V4]);
    assert.deepEqual(assigned(give(book, asks('1'))), ['203.0.113.11']);
    assert.equal(book.recordOf(aService().key)?.reallocated, '1');
    assert.deepEqual(assigned(give(book, aService())), ['203.0.113.11'], 'also when the annotation goes');
    assert.deepEqual(assigned(give(book, asks('1'))), ['203.0.113.11'], 'and comes back');
    book.releaseLeaving(aService().key, NOW);
    assert.deepEqual(assigned(give(book, asks('2'))), [V4]);
  });

  it('counts as done for a Service that is made with it, and after a restart', () => {
    const book = aBook();
    assert.deepEqual(assigned(give(book, asks('1'))), [V4]);
    assert.deepEqual(assigned(give(book, asks('1'))), [V4]);
    const next = aBook();
    next.adopt({ ...aPublishedService(), record: { pool: 'web', addresses: [V4], reallocated: '1' } });
    assert.deepEqual(assigned(give(next, asks('1'))), [V4]);
  });

  it('moves a Service back into its pool after an edit', () => {
    const book = aBook();
    give(book, aService());
    book.setPools([aPool({ addresses: ['198.51.100.1'] })]);
    assert.equal(give(book, aService()).kind, 'assigned');
    assert.equal(book.usage('web').outside, 1);
    assert.deepEqual(give(book, asks('1')), { kind: 'assigned', addresses: ['198.51.100.1'], pool: 'web' });
    assert.equal(book.usage('web').outside, 0);
  });

  it('keeps what it has while there is no other, says so, and moves when there is', () => {
    const book = aBook(aPool({ addresses: [`${V4}-203.0.113.11`] }));
    give(book, aService());
    give(book, aService({ name: 'b' }));
    const decision = give(book, asks('1'));
    assert.deepEqual(assigned(decision), [V4]);
    assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'PoolExhausted');
    book.release(keyOf('b'), NOW);
    assert.deepEqual(book.wakeable(), [keyOf('web')]);
    assert.deepEqual(give(book, asks('1')), { kind: 'assigned', addresses: ['203.0.113.11'], pool: 'web' });
  });
});

describe('Waking those who wait', () => {
  it('wakes nobody for a pool edit that gives nothing new, and all whom it may concern for one that does', () => {
    const book = aBook(
      aPool({ addresses: [V4] }),
      aPool({ name: 'other', addresses: ['198.51.100.1'], autoAssign: false }),
    );
    give(book, aService());
    give(book, aService({ name: 'b' }));
    give(book, aService({ name: 'o', request: { pool: 'other' } }));
    give(book, aService({ name: 'named', request: { pool: 'other' } }));
    const other = aPool({ name: 'other', addresses: ['198.51.100.1'], autoAssign: false });
    book.setPools([aPool({ addresses: [V4], generation: 2, balancing: { drainSeconds: 5 } }), other]);
    assert.deepEqual(book.wakeable(), []);
    book.setPools([aPool({ addresses: [`${V4}-203.0.113.11`] }), other]);
    assert.deepEqual(book.wakeable(), [keyOf('b')]);
  });

  it('wakes the next when the one that was woken wants something else now', () => {
    const book = aBook(aPool({ addresses: [V4] }));
    give(book, aService());
    const first = aService({ name: 'first', createdAt: 10 });
    const second = aService({ name: 'second', createdAt: 20 });
    for (const service of [first, second]) give(book, service);
    book.release(keyOf('web'), NOW);
    assert.deepEqual(book.wakeable(), [first.key]);
    give(book, { ...first, request: { addresses: [], pool: 'nope' } });
    assert.deepEqual(book.wakeable(), [second.key]);
  });

  it('knows who waits in a namespace', () => {
    const book = aBook(aPool({ addresses: [V4] }));
    give(book, aService());
    give(book, aService({ name: 'b' }));
    give(book, aService({ namespace: 'other' }));
    assert.deepEqual(book.waitingIn('default'), [keyOf('b')]);
  });
});
