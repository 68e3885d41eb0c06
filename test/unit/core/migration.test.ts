import assert from 'node:assert/strict';
import { AddressBook } from '../../../operator/core/address-book.ts';
import type { AddressPool } from '../../../operator/model/address-pool.ts';
import type { LoadBalancedService } from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService, aServicePort } from '../../builders/a-service.ts';
import { assigned, give } from '../../builders/an-address-book.ts';

const SHOWN = '203.0.113.12';
const shown = aService({ ingress: [SHOWN] });

function migrating(pool: AddressPool, services: readonly LoadBalancedService[], adoptIngress = true): AddressBook {
  const book = new AddressBook({ adoptIngress });
  book.setPools([pool]);
  book.adoptAll(services, () => ({}));
  return book;
}

/** Which address a Service has in the end that shows one written by another implementation. */
const rows: readonly [what: string, pool: AddressPool, services: readonly LoadBalancedService[], address: string][] = [
  ['a free address of a pool that admits it', aPool(), [shown], SHOWN],
  ['an address of no pool', aPool(), [aService({ ingress: ['192.0.2.1'] })], '203.0.113.10'],
  ['an excluded address', aPool({ addresses: ['203.0.113.10-203.0.113.11'] }), [shown], '203.0.113.10'],
  [
    'the address of a Service of ours',
    aPool(),
    [shown, aPublishedService({ name: 'ours', createdAt: 9_000, ingress: [SHOWN] })],
    '203.0.113.10',
  ],
  [
    'an address that an older one shows',
    aPool(),
    [shown, aService({ name: 'old', createdAt: 1, ingress: [SHOWN] })],
    '203.0.113.10',
  ],
  ['an address of a pool without autoAssign', aPool({ autoAssign: false }), [shown], SHOWN],
];

describe('Coming from another implementation', () => {
  for (const [what, pool, services, address] of rows)
    it(`with ${what}: ${address}`, () => {
      assert.deepEqual(assigned(give(migrating(pool, services), services[0] as LoadBalancedService)), [address]);
    });

  it('keeps nothing unless it is switched on', () => {
    assert.deepEqual(assigned(give(migrating(aPool(), [shown], false), shown)), ['203.0.113.10']);
  });

  it('keeps nothing of a pool that does not admit the Service', () => {
    const book = migrating(aPool({ serviceAllocation: { namespaces: ['prod'] } }), [shown]);
    assert.deepEqual(book.addressesOf(shown.key), []);
  });

  it('keeps shared addresses shared', () => {
    const sharers = [80, 81].map((port) =>
      aService({ name: `p${port}`, ports: [aServicePort({ port })], ingress: [SHOWN], request: { sharingKey: 'k' } }),
    );
    const book = migrating(aPool(), sharers);
    for (const service of sharers) assert.deepEqual(assigned(give(book, service)), [SHOWN]);
  });
});
