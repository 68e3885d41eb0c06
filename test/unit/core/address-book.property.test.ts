import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AddressBook } from '../../../operator/core/address-book.ts';
import type { AddressPool } from '../../../operator/model/address-pool.ts';
import { familyOf, type IpAddress, type IpFamily } from '../../../operator/model/ip-address.ts';
import {
  type LoadBalancedService,
  type ServiceKey,
  serviceKey,
} from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService } from '../../builders/a-service.ts';

/** Small enough that everything collides: 4 addresses of each family in pool web, 2 in pool tiny. */
const WEB = ['203.0.113.10-203.0.113.13', '2001:db8::10-2001:db8::13'];
const TINY = ['198.51.100.1-198.51.100.2'];
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

const FAMILIES: Readonly<Record<string, Pick<LoadBalancedService, 'ipFamilies' | 'ipFamilyPolicy'>>> = {
  v4: { ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' },
  v6: { ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack' },
  both: { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' },
  prefer: { ipFamilies: ['IPv6', 'IPv4'], ipFamilyPolicy: 'PreferDualStack' },
};

const aWish = fc.record({
  families: fc.constantFrom(...Object.keys(FAMILIES)),
  address: fc.option(fc.constantFrom('203.0.113.11', '2001:db8::12', '198.51.100.1', '192.0.2.1'), { nil: undefined }),
  pool: fc.option(fc.constantFrom('web', 'tiny', 'nope'), { nil: undefined }),
});

type Step =
  | {
      readonly kind: 'allocate';
      readonly name: string;
      readonly wish: { families: string; address: string | undefined; pool: string | undefined };
    }
  | { readonly kind: 'release' | 'releaseLeaving' | 'recreate'; readonly name: string }
  | { readonly kind: 'pools'; readonly paused: boolean; readonly web: boolean; readonly late: boolean };

const aStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('allocate' as const), name: fc.constantFrom(...NAMES), wish: aWish }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('release' as const, 'releaseLeaving' as const, 'recreate' as const),
      name: fc.constantFrom(...NAMES),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('pools' as const),
      paused: fc.boolean(),
      web: fc.boolean(),
      late: fc.boolean(),
    }),
  },
);

function poolsOf({ paused, web, late }: Extract<Step, { kind: 'pools' }>): readonly AddressPool[] {
  return [
    ...(web ? [aPool({ addresses: WEB, paused })] : []),
    aPool({ name: 'tiny', addresses: TINY }),
    ...(late ? [aPool({ name: 'late', createdAt: 9_999, addresses: ['203.0.113.12-203.0.113.14'] })] : []),
  ];
}

/** What the book must agree with: who has what, as plain lists. */
class NaiveModel {
  readonly current = new Map<ServiceKey, readonly IpAddress[]>();
  readonly leaving = new Map<ServiceKey, Set<IpAddress>>();
  readonly uids = new Map<string, number>();

  uid(name: string): string {
    return `uid-${name}-${this.uids.get(name) ?? 0}`;
  }

  moved(key: ServiceKey, now: readonly IpAddress[]): void {
    const leaving = this.leaving.get(key) ?? new Set();
    for (const address of this.current.get(key) ?? []) if (!now.includes(address)) leaving.add(address);
    for (const address of now) leaving.delete(address);
    this.leaving.set(key, leaving);
    this.current.set(key, now);
  }

  inUse(): readonly IpAddress[] {
    return [...this.current.values(), ...this.leaving.values()].flatMap((addresses) => [...addresses]);
  }
}

function aWishingService(model: NaiveModel, { name, wish }: Extract<Step, { kind: 'allocate' }>): LoadBalancedService {
  const families = FAMILIES[wish.families] as (typeof FAMILIES)[string];
  return aService({
    name,
    uid: model.uid(name),
    ...families,
    request: {
      ...(wish.address !== undefined && { addresses: [wish.address] }),
      ...(wish.pool !== undefined && { pool: wish.pool }),
    },
  });
}

/** The request still says what it said before, as far as the addresses at hand can tell. */
function stillSatisfies(service: LoadBalancedService, held: readonly IpAddress[], pool: string | undefined): boolean {
  const { request, ipFamilies } = service;
  return (
    request.addresses.every((address) => held.includes(address)) &&
    (request.pool === undefined || request.pool === pool) &&
    held.every((address) => ipFamilies.includes(familyOf(address))) &&
    held.length > 0
  );
}

function allocate(book: AddressBook, model: NaiveModel, step: Extract<Step, { kind: 'allocate' }>): void {
  const service = aWishingService(model, step);
  const { key } = service;
  const before = model.current.get(key) ?? [];
  const poolBefore = book.poolOf(key);
  const decision = book.allocate(service, {});
  assert.deepEqual(book.allocate(service, {}), decision, 'asking again changes nothing');
  if (decision.kind === 'refused') {
    assert.deepEqual(before, [], 'who has addresses is never refused');
    assert.ok(decision.message.length > 20, 'a refusal is a sentence');
    assert.ok(book.waiting().includes(key));
    return;
  }
  const families = decision.addresses.map(familyOf);
  assert.equal(new Set(families).size, families.length, 'one address per family');
  if (decision.unmet === undefined) {
    for (const address of service.request.addresses) assert.ok(decision.addresses.includes(address));
    if (service.request.pool !== undefined) assert.equal(decision.pool, service.request.pool);
    if (service.ipFamilyPolicy === 'RequireDualStack') assert.equal(families.length, 2);
    const order = families.map((family: IpFamily) => service.ipFamilies.indexOf(family));
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
      'in the order of ipFamilies',
    );
  } else {
    const mustStay = before.filter((address) => service.ipFamilies.includes(familyOf(address)));
    for (const address of mustStay) assert.ok(decision.addresses.includes(address), 'unmet keeps what fits');
    for (const address of decision.addresses) assert.ok(before.includes(address), 'and gives nothing new');
  }
  if (stillSatisfies(service, before, poolBefore))
    for (const address of before) assert.ok(decision.addresses.includes(address), `I2: ${address} stays`);
  model.moved(key, decision.addresses);
}

function recreate(book: AddressBook, model: NaiveModel, name: string): void {
  model.uids.set(name, (model.uids.get(name) ?? 0) + 1);
  const service = aService({ name, uid: model.uid(name), request: { pool: 'nope' } });
  assert.equal(book.allocate(service, {}).kind, 'refused', 'a new Service has nothing yet');
  model.moved(service.key, []);
}

function release(book: AddressBook, model: NaiveModel, key: ServiceKey): void {
  const held = [...(model.current.get(key) ?? []), ...(model.leaving.get(key) ?? [])].sort();
  assert.deepEqual([...book.release(key, 0)].sort(), held);
  model.current.delete(key);
  model.leaving.delete(key);
}

function releaseLeaving(book: AddressBook, model: NaiveModel, key: ServiceKey): void {
  assert.deepEqual([...book.releaseLeaving(key, 0)].sort(), [...(model.leaving.get(key) ?? [])].sort());
  model.leaving.delete(key);
}

function take(book: AddressBook, model: NaiveModel, step: Step): void {
  if (step.kind === 'allocate') allocate(book, model, step);
  else if (step.kind === 'pools') book.setPools(poolsOf(step));
  else if (step.kind === 'recreate') recreate(book, model, step.name);
  else if (step.kind === 'release') release(book, model, serviceKey('default', step.name));
  else releaseLeaving(book, model, serviceKey('default', step.name));
}

describe('AddressBook, whatever happens', () => {
  it('gives an address to one Service only (I1), changes none without a wish (I2), and loses none', () => {
    fc.assert(
      fc.property(fc.array(aStep, { maxLength: 120 }), (steps) => {
        const book = new AddressBook();
        const model = new NaiveModel();
        book.setPools(poolsOf({ kind: 'pools', paused: false, web: true, late: false }));
        for (const step of steps) {
          take(book, model, step);
          const inUse = model.inUse();
          assert.equal(new Set(inUse).size, inUse.length, 'I1');
          for (const [key, addresses] of model.current) {
            assert.deepEqual(book.addressesOf(key), addresses, 'nothing moves behind its back');
            for (const address of addresses) assert.deepEqual(book.users(address), [key]);
          }
        }
        book.setPools(poolsOf({ kind: 'pools', paused: false, web: true, late: false }));
        for (const key of [...model.current.keys(), ...model.leaving.keys()]) book.release(key, 0);
        assert.deepEqual(book.usage('web'), {
          assignedIPv4: 0,
          assignedIPv6: 0,
          availableIPv4: 4n,
          availableIPv6: 4n,
          outside: 0,
        });
        assert.equal(book.usage('tiny').availableIPv4, 2n, 'nothing leaks');
      }),
      { numRuns: 300 },
    );
  });

  it('restores the same addresses after a restart, in whatever order the Services are seen', () => {
    const wishes = fc.array(fc.tuple(fc.constantFrom(...NAMES), aWish), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(wishes, fc.boolean(), (all, reversed) => {
        const book = new AddressBook();
        const model = new NaiveModel();
        const pools = poolsOf({ kind: 'pools', paused: false, web: true, late: false });
        book.setPools(pools);
        const last = new Map<string, LoadBalancedService>();
        for (const [name, wish] of all) {
          const service = aWishingService(model, { kind: 'allocate', name, wish });
          if (book.allocate(service, {}).kind === 'assigned') last.set(name, service);
        }
        const published = [...last.values()].map((service) => {
          const pool = book.poolOf(service.key);
          const { finalizers, ingress } = aPublishedService({ ingress: book.addressesOf(service.key) });
          return { ...service, finalizers, ingress, ...(pool !== undefined && { allocatedFromPool: pool }) };
        });
        const restarted = new AddressBook();
        restarted.setPools(pools);
        restarted.adoptAll(reversed ? published.reverse() : published);
        for (const service of published) {
          assert.deepEqual(restarted.addressesOf(service.key), book.addressesOf(service.key));
          assert.equal(restarted.poolOf(service.key), book.poolOf(service.key));
        }
        for (const service of published) {
          const decision = book.allocate(service, {});
          const again = restarted.allocate(service, {});
          if (decision.kind !== 'assigned' || decision.unmet !== undefined || again.kind !== 'assigned') continue;
          for (const address of decision.addresses) assert.ok(again.addresses.includes(address));
        }
      }),
      { numRuns: 300 },
    );
  });
});
