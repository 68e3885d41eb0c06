import assert from 'node:assert/strict';
import type { AddressBook } from '../../../operator/core/address-book.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { type LoadBalancedService, serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';
import { aBook, assigned, give, refused } from '../../builders/an-address-book.ts';

const NOW = 1_000_000;
const A = '203.0.113.10' as IpAddress;
const B = '203.0.113.11' as IpAddress;
const C = '203.0.113.12' as IpAddress;
const A6 = '2001:db8::10' as IpAddress;
const B6 = '2001:db8::11' as IpAddress;
const keyOf = (name: string) => serviceKey('default', name);
const BOTH = { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' } as const;
const EITHER = { ...BOTH, ipFamilyPolicy: 'PreferDualStack' } as const;

/** Service that shares under key `k`, unless it asks for another one, with this port. */
function sharer(name: string, port: number, more: Parameters<typeof aService>[0] = {}): LoadBalancedService {
  return aService({ name, ports: [aServicePort({ port })], ...more, request: { sharingKey: 'k', ...more.request } });
}

/** Gives those who are woken what they can have, and says who that was. */
function wake(book: AddressBook, ...services: readonly LoadBalancedService[]): string[] {
  const byKey = new Map(services.map((service) => [service.key, service]));
  return book.wakeable().map((key) => {
    const service = byKey.get(key);
    if (service !== undefined) give(book, service);
    return key;
  });
}

describe('Who waits for an address to share is woken', () => {
  it('when another begins to share one, if its own ports are free there', () => {
    const book = aBook(aPool({ addresses: [A], releaseDelaySeconds: 30 }));
    give(book, aService({ name: 'first' }));
    book.release(keyOf('first'), NOW);
    const waiting = sharer('waiting', 81);
    for (const service of [waiting, sharer('same-port', 80), sharer('other-key', 82, { request: { sharingKey: 'l' } })])
      refused(give(book, service), 'PoolExhausted', /web/);
    assert.deepEqual(assigned(give(book, sharer('first', 80))), [A], 'it was held for this name');
    assert.deepEqual(wake(book, waiting), [waiting.key]);
    assert.deepEqual(book.addressesOf(waiting.key), [A]);
    give(book, sharer('first', 80));
    assert.deepEqual(book.wakeable(), [keyOf('other-key')], 'its place in the line for a free one is passed on');
  });

  it('when the others leave an address that its own name gives up', () => {
    const book = aBook(aPool({ addresses: [A], releaseDelaySeconds: 30 }));
    give(book, sharer('web', 80, { request: { sharingKey: 'l' } }));
    give(book, sharer('other', 81, { request: { sharingKey: 'l' } }));
    const anew = sharer('web', 82, { uid: 'another' });
    refused(give(book, anew), 'PoolExhausted', /web/);
    book.release(keyOf('other'), NOW);
    assert.deepEqual(wake(book, anew), [anew.key]);
    assert.deepEqual(book.addressesOf(anew.key), [A]);
  });

  it('under the key that it keeps beside others, whatever it asks for by now', () => {
    const book = aBook(aPool({ addresses: [A, A6], releaseDelaySeconds: 30 }));
    give(book, sharer('beside', 80));
    give(book, sharer('web', 81));
    give(book, aService({ name: 'six', ipFamilies: ['IPv6'] }));
    book.release(keyOf('six'), NOW);
    const changed = sharer('web', 81, { ...BOTH, request: { sharingKey: 'l' } });
    assert.deepEqual(assigned(give(book, changed)), [A]);
    assert.deepEqual(assigned(give(book, sharer('six', 82, { ipFamilies: ['IPv6'] }))), [A6]);
    assert.deepEqual(wake(book, changed), [changed.key]);
    assert.deepEqual(book.addressesOf(changed.key), [A, A6]);
  });

  it('once for all who join, not for each who does', () => {
    const book = aBook(aPool({ addresses: [A] }));
    give(book, sharer('a', 80));
    refused(give(book, sharer('waiting', 80)), 'PoolExhausted', /web/);
    for (let port = 81; port < 90; port += 1) give(book, sharer(`joins-${port}`, port));
    assert.deepEqual(book.wakeable(), []);
    book.release(keyOf('joins-85'), NOW);
    assert.deepEqual(book.wakeable(), [], 'its port is another one');
    book.release(keyOf('a'), NOW);
    assert.deepEqual(book.wakeable(), [keyOf('waiting')]);
  });
});

describe('Who waits because of a quota is woken', () => {
  const open = { sharingAcrossNamespaces: true };

  it('when its namespace begins to share an address that it could not join before', () => {
    const book = aBook(aPool({ addresses: [A, B], serviceAllocation: { ...open, quotaPerNamespace: 1 } }));
    give(book, sharer('theirs', 80, { namespace: 'other' }));
    const own = aService({ name: 'own', ports: [aServicePort({ port: 81 })] });
    assert.deepEqual(assigned(give(book, own)), [B]);
    const waiting = sharer('waiting', 82);
    refused(give(book, waiting), 'QuotaExceeded', /default/);
    const joins = sharer('own', 81, { request: { addresses: [A] } });
    assert.deepEqual(assigned(give(book, joins)), [A]);
    assert.deepEqual(wake(book, waiting), [waiting.key]);
    assert.deepEqual(book.addressesOf(waiting.key), [A]);
  });

  it('when what it would give up is nobody else’s any more', () => {
    const book = aBook(aPool({ serviceAllocation: { quotaPerNamespace: 1 } }));
    give(book, sharer('web', 80));
    give(book, sharer('beside', 81));
    const moves = sharer('web', 80, { request: { addresses: [C] } });
    const decision = give(book, moves);
    assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'QuotaExceeded');
    book.release(keyOf('beside'), NOW);
    assert.deepEqual(wake(book, moves), [moves.key]);
    assert.deepEqual(book.addressesOf(moves.key), [C]);
  });

  it('although an older one needs more than there is', () => {
    const book = aBook(aPool({ addresses: [`${A}-203.0.113.19`, A6], serviceAllocation: { quotaPerNamespace: 2 } }));
    for (const name of ['a', 'b']) give(book, aService({ name }));
    const needsTwo = aService({ name: 'needs-two', createdAt: 10, ...BOTH });
    const needsOne = aService({ name: 'needs-one', createdAt: 20 });
    for (const service of [needsTwo, needsOne]) refused(give(book, service), 'QuotaExceeded', /default/);
    book.release(keyOf('a'), NOW);
    assert.deepEqual(book.wakeable(), [needsOne.key], 'one place is of no use to the other one');
    book.release(keyOf('b'), NOW);
    assert.deepEqual(wake(book, needsTwo, needsOne), [needsTwo.key, needsOne.key]);
    assert.deepEqual(book.addressesOf(needsTwo.key).length, 2);
  });

  it('when it wants to move and its namespace has too many', () => {
    const book = aBook();
    for (const name of ['a', 'b', 'c']) give(book, aService({ name }));
    book.setPools([aPool({ serviceAllocation: { quotaPerNamespace: 2 } })]);
    const moves = aService({ name: 'c', request: { addresses: ['203.0.113.13' as IpAddress] } });
    const decision = give(book, moves);
    assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'QuotaExceeded');
    book.release(keyOf('a'), NOW);
    assert.deepEqual(wake(book, moves), [moves.key]);
    assert.deepEqual(book.addressesOf(moves.key), ['203.0.113.13']);
  });
});

describe('A quota that does not permit all', () => {
  it('leaves out the family that the Service can do without', () => {
    const book = aBook(aPool({ addresses: [A, A6], serviceAllocation: { quotaPerNamespace: 1 } }));
    assert.deepEqual(assigned(give(book, aService(EITHER))), [A]);
    assert.deepEqual(assigned(give(book, aService(EITHER))), [A], 'and asks no more for it');
  });

  it('has a Service share what the namespace has already, though a lower address is shared by others', () => {
    const allocation = { sharingAcrossNamespaces: true, quotaPerNamespace: 1 };
    const book = aBook(aPool({ addresses: [A, B], serviceAllocation: allocation }));
    give(book, sharer('theirs', 80, { namespace: 'other' }));
    assert.deepEqual(assigned(give(book, sharer('own', 80))), [B]);
    assert.deepEqual(assigned(give(book, sharer('more', 81))), [B]);
  });

  it('is no obstacle to another address for one that is given up', () => {
    const book = aBook(aPool({ serviceAllocation: { quotaPerNamespace: 1 } }));
    give(book, aService());
    const asks = aService({ request: { reallocate: '1' } });
    assert.deepEqual(give(book, asks), { kind: 'assigned', addresses: [B], pool: 'web' });
  });
});

describe('Others who wait are woken', () => {
  it('when an address reserved for one of them is held for nobody any more', () => {
    const reservations = [{ address: A, service: keyOf('guest') }];
    const book = aBook(aPool({ addresses: [A], releaseDelaySeconds: 30 }));
    give(book, aService());
    book.release(aService().key, NOW);
    book.setPools([aPool({ addresses: [A], releaseDelaySeconds: 30, reservations })]);
    const guest = aService({ name: 'guest' });
    refused(give(book, guest), 'PoolExhausted', /web/);
    assert.deepEqual([...book.held.expire(NOW + 30_000)], ['web']);
    assert.deepEqual(wake(book, guest), [guest.key]);
    assert.deepEqual(book.addressesOf(guest.key), [A]);
  });

  it('although an older one waits for both families, of which the other one is missing', () => {
    const pools = [
      aPool({ name: 'one', addresses: [A, A6], createdAt: 1 }),
      aPool({ name: 'two', addresses: [B, B6], createdAt: 2 }),
    ];
    const book = aBook(...pools);
    const holders = [
      aService({ name: 'six-one', ipFamilies: ['IPv6'] }),
      aService({ name: 'six-two', ipFamilies: ['IPv6'] }),
      aService({ name: 'four-one' }),
      aService({ name: 'four-two' }),
    ];
    for (const service of holders) assigned(give(book, service));
    const both = aService({ name: 'both', createdAt: 10, ...BOTH });
    const four = aService({ name: 'four', createdAt: 20 });
    for (const service of [both, four]) refused(give(book, service), 'PoolExhausted', /one.*two/);
    book.release(keyOf('six-two'), NOW);
    assert.deepEqual(wake(book, both, four), [both.key]);
    book.release(keyOf('four-one'), NOW);
    assert.deepEqual(wake(book, both, four), [both.key], 'the oldest goes first');
    assert.deepEqual(wake(book, both, four), [four.key], 'and is of no use to it');
    assert.deepEqual(book.addressesOf(four.key), [A]);
  });

  it('when the address is free, though a pool that yields has it as well', () => {
    const book = aBook(
      aPool({ name: 'a-later', addresses: [A], createdAt: 2 }),
      aPool({ name: 'b-earlier', addresses: [A], createdAt: 1 }),
    );
    give(book, aService());
    const wish = aService({ name: 'wish', request: { addresses: [A] } });
    refused(give(book, wish), 'AddressInUse', /default\/web/);
    book.release(aService().key, NOW);
    assert.deepEqual(wake(book, wish), [wish.key]);
    assert.deepEqual(book.addressesOf(wish.key), [A]);
  });

  it('when its pool begins to hold what is released, and so gives back to a name what it gives up', () => {
    const book = aBook(aPool({ addresses: [A] }));
    give(book, aService());
    const anew = aService({ uid: 'another' });
    refused(give(book, anew), 'PoolExhausted', /web/);
    book.setPools([aPool({ addresses: [A], releaseDelaySeconds: 30 })]);
    assert.deepEqual(wake(book, anew), [anew.key]);
    assert.deepEqual(book.addressesOf(anew.key), [A]);
  });
});

describe('A reserved address that others share', () => {
  it('is not joined by a new Service under the name of one that is leaving', () => {
    const book = aBook(aPool({ addresses: [A, B], releaseDelaySeconds: 30 }));
    give(book, sharer('web', 80));
    give(book, sharer('beside', 81));
    const reservations = [{ address: A, service: keyOf('guest') }];
    book.setPools([aPool({ addresses: [A, B], releaseDelaySeconds: 30, reservations })]);
    assert.deepEqual(assigned(give(book, sharer('web', 80, { uid: 'another' }))), [B]);
  });
});
