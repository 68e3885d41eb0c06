import assert from 'node:assert/strict';
import { AddressBook, type VipDecision } from '../../../operator/core/address-book.ts';
import type { AddressPool, HeldAddress } from '../../../operator/model/address-pool.ts';
import { addressToNumber, familyOf, type IpAddress, type IpFamily } from '../../../operator/model/ip-address.ts';
import { matchesSelector } from '../../../operator/model/labels.ts';
import {
  type Ingress,
  type LoadBalancedService,
  type ServiceKey,
  serviceKey,
} from '../../../operator/model/load-balanced-service.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

/** Of one history. ADDRESS_STEPS=100000 is what the figures in the notes come from. */
const STEPS = Number(process.env.ADDRESS_STEPS ?? 100_000);
const NAMES = ['shop/a', 'shop/b', 'shop/c', 'shop/d', 'blog/a', 'blog/b', 'blog/c', 'blog/d', 'late/a'];
const ADDRESSES = [
  ...['203.0.113.10', '203.0.113.11', '203.0.113.12', '203.0.113.13', '203.0.113.20', '203.0.113.21'],
  ...['2001:db8::10', '2001:db8::11'],
];
/** With what pool web is left: the third leaves an address out, the last has neither the first nor the second family whole. */
const WEB = [
  ['203.0.113.10-203.0.113.13', '2001:db8::10-2001:db8::11'],
  ['203.0.113.10-203.0.113.11'],
  ['203.0.113.10-203.0.113.11', '203.0.113.13', '2001:db8::10-2001:db8::11'],
  ['203.0.113.11-203.0.113.13', '2001:db8::11'],
];
const TIER = { tier: 'web' };

interface Given {
  readonly addresses: readonly IpAddress[];
  /** What it asked for when it got them. */
  asked: string;
}

/** Random histories of pools, Services, requests, edits and restarts, beside a plain list of who was given what. */
class History {
  readonly #dice: FakeClock;
  #book = new AddressBook();
  #now = 1_000_000;
  #uids = 0;
  #pools: readonly AddressPool[] = [];
  readonly #services = new Map<ServiceKey, LoadBalancedService>();
  readonly #given = new Map<ServiceKey, Given>();

  constructor(seed: number) {
    this.#dice = new FakeClock(seed);
    this.#editPools();
  }

  step(): void {
    const kind = this.#roll(20);
    if (kind < 8) this.#put();
    else if (kind < 11) this.#remove();
    else if (kind < 13) this.#settle();
    else if (kind < 14) this.#editPools();
    else if (kind < 15) this.#restart();
    else if (kind < 17) this.#now += this.#roll(40) * 1_000;
    this.#book.held.expire(this.#now);
    this.#wake();
    this.#check();
  }

  /** Everybody leaves: nothing may be left over. */
  end(): void {
    for (const key of [...this.#services.keys()]) this.#book.release(key, this.#now);
    this.#book.held.expire(Number.MAX_SAFE_INTEGER);
    this.#book.setPools([aPool({ addresses: ['203.0.113.10-203.0.113.13'] })]);
    const usage = { assignedIPv4: 0, assignedIPv6: 0, availableIPv4: 4n, availableIPv6: 0n, outside: 0 };
    assert.deepEqual(this.#book.usage('web'), usage, 'nothing leaks');
    assert.deepEqual(this.#book.waiting(), []);
  }

  #put(): void {
    const [namespace = '', name = ''] = this.#pick(NAMES).split('/');
    const key = serviceKey(namespace, name);
    const old = this.#services.get(key);
    const anew = old === undefined || this.#roll(12) === 0;
    const ports = new Set(Array.from({ length: 1 + this.#roll(2) }, () => 80 + this.#roll(4)));
    const primary = anew || old === undefined ? this.#pick<IpFamily>(['IPv4', 'IPv4', 'IPv6']) : old.ipFamilies[0];
    const request = {
      ...(this.#roll(4) === 0 && { addresses: [this.#pick(ADDRESSES)] }),
      ...(this.#roll(6) === 0 && { pool: this.#pick(['web', 'edge', 'nope']) }),
      ...(this.#roll(2) === 0 && { sharingKey: this.#pick(['k', 'l']) }),
      ...(this.#roll(5) === 0 && { reallocate: String(this.#roll(3)) }),
    };
    const service = aService({
      ...{ namespace, name, request },
      uid: anew || old === undefined ? `uid-${++this.#uids}` : old.uid,
      createdAt: anew || old === undefined ? this.#now : old.createdAt,
      labels: this.#roll(4) === 0 ? {} : TIER,
      ...this.#families(primary ?? 'IPv4'),
      ports: [...ports].map((port) => aServicePort({ name: `p${port}`, port })),
    });
    if (anew) this.#given.delete(key);
    this.#services.set(key, service);
    this.#allocate(key);
  }

  /** The primary family of a Service never changes; the other one comes and goes. */
  #families(primary: IpFamily): Pick<LoadBalancedService, 'ipFamilies' | 'ipFamilyPolicy'> {
    const secondary = primary === 'IPv4' ? 'IPv6' : 'IPv4';
    const ipFamilyPolicy = this.#pick(['SingleStack', 'SingleStack', 'PreferDualStack', 'RequireDualStack'] as const);
    return { ipFamilies: ipFamilyPolicy === 'SingleStack' ? [primary] : [primary, secondary], ipFamilyPolicy };
  }

  /** Everybody who has a chance takes it, until nobody has; then nobody who waits could have been helped (I10). */
  #wake(): void {
    for (let turn = 0; ; turn += 1) {
      const woken = this.#book.wakeable();
      if (woken.length === 0) break;
      assert.ok(turn < 100, `I10: ${woken.join()} are woken again and again`);
      for (const key of woken) this.#allocate(key);
    }
    if (this.#roll(10) > 0) return;
    for (const key of this.#book.waiting()) {
      const before = this.#book.addressesOf(key);
      this.#allocate(key);
      const now = this.#book.addressesOf(key);
      // Who only prefers both families and waits for something else takes the second when asked, but does not wait for it.
      const isSecond = this.#services.get(key)?.ipFamilyPolicy === 'PreferDualStack' && before.length === 1;
      const same = isSecond ? now.filter((address) => before.includes(address)) : now;
      assert.deepEqual(same, before, `I10: ${key} could be helped and nobody woke it`);
    }
  }

  #allocate(key: ServiceKey): void {
    const service = this.#services.get(key);
    if (service === undefined) return;
    const asked = JSON.stringify([service.request, service.ipFamilies]);
    const before = this.#given.get(key);
    const kept = new Map(ADDRESSES.map((text) => [text as IpAddress, this.#book.held.for(text as IpAddress)]));
    const used = new Map(this.#pools.map(({ name }) => [name, this.#usedIn(name, service.namespace)]));
    const decision = this.#book.allocate(service, {});
    this.#mayHave(service, decision, before?.addresses ?? [], kept, (pool) => used.get(pool) ?? 0);
    assert.deepEqual(this.#book.allocate(service, {}), decision, 'asking again changes nothing');
    if (decision.kind === 'refused') {
      assert.equal(before, undefined, `${key} had an address and is refused: ${decision.message}`);
      return;
    }
    if (before?.asked === asked && before !== undefined)
      for (const address of before.addresses)
        assert.ok(decision.addresses.includes(address), `I2: ${key} did not ask for another address`);
    // A port or key that is refused beside others at an address that was asked for is no unmet request for the address.
    const has = service.request.addresses.every((address) => decision.addresses.includes(address));
    const isMet =
      decision.unmet === undefined ||
      (has &&
        /is not served for this Service|under another sharing key, which stays|no longer contains|, which gave /.test(
          decision.unmet.message,
        ));
    if (before === undefined || isMet) this.#given.set(key, { addresses: decision.addresses, asked });
    else this.#given.set(key, this.#stays(service, decision.addresses, before));
  }

  /** What cannot be given changes nothing: addresses of a family that is no longer wanted may go, nothing new comes. */
  #stays({ key, ipFamilies }: LoadBalancedService, now: readonly IpAddress[], before: Given): Given {
    for (const address of before.addresses)
      if (ipFamilies.includes(familyOf(address))) assert.ok(now.includes(address), `I2: ${key} keeps ${address}`);
    for (const address of now) assert.ok(before.addresses.includes(address), `${key} is given nothing it cannot have`);
    return { addresses: now, asked: before.asked };
  }

  /** What is new comes from a pool that may give it to this Service now, and is kept for nobody else. */
  #mayHave(
    service: LoadBalancedService,
    decision: VipDecision,
    before: readonly IpAddress[],
    kept: ReadonlyMap<IpAddress, ServiceKey | undefined>,
    used: (pool: string) => number,
  ): void {
    if (decision.kind === 'refused') return;
    const { key, namespace, labels, ipFamilies } = service;
    const order = decision.addresses.map((address) => ipFamilies.indexOf(familyOf(address)));
    if (decision.unmet === undefined)
      assert.deepEqual(
        order,
        order.toSorted((one, other) => one - other),
        `${key}: in the order of ipFamilies`,
      );
    const added = decision.addresses.filter((address) => !before.includes(address));
    if (added.length === 0) return;
    const pool = this.#pools.find(({ name }) => name === decision.pool);
    assert.ok(pool !== undefined && !pool.paused && !pool.deleting, `${decision.pool} gives nothing`);
    const { namespaces, serviceSelectors, quotaPerNamespace } = pool.serviceAllocation;
    const isGuest = pool.reservations.some((reservation) => reservation.service === key);
    const isAdmitted =
      (namespaces.length === 0 || namespaces.includes(namespace)) &&
      (serviceSelectors.length === 0 || serviceSelectors.some((selector) => matchesSelector(labels, selector)));
    assert.ok(isGuest || isAdmitted, `${pool.name} does not admit ${key}`);
    for (const address of added) {
      const number = addressToNumber(address);
      const inside = pool.ranges.some(
        ({ family, first, last }) => family === familyOf(address) && first <= number && number <= last,
      );
      assert.ok(inside, `${address} is not in ${pool.name}`);
      const guest: ServiceKey =
        pool.reservations.find((reservation) => reservation.address === address)?.service ?? key;
      assert.equal(guest, key, `${address} is reserved`);
      assert.equal(kept.get(address) ?? key, key, `${address} is held`);
    }
    if (quotaPerNamespace === 0 || isGuest) return;
    const after = this.#usedIn(pool.name, namespace);
    assert.ok(after <= Math.max(quotaPerNamespace, used(pool.name)), `the quota of ${pool.name} for ${namespace}`);
  }

  /** Different addresses that the Services of a namespace have of a pool. */
  #usedIn(pool: string, namespace: string): number {
    const own = [...this.#services.values()].filter(
      (one) => one.namespace === namespace && this.#book.poolOf(one.key) === pool,
    );
    return new Set(own.flatMap(({ key }) => this.#book.addressesOf(key))).size;
  }

  #remove(): void {
    const key = this.#pick([...this.#services.keys(), serviceKey('no', 'body')]);
    const pool = this.#pools.find(({ name }) => name === this.#book.poolOf(key));
    this.#services.delete(key);
    this.#given.delete(key);
    for (const address of this.#book.release(key, this.#now)) {
      const isKept = this.#book.users(address).length > 0 || pool === undefined || pool.releaseDelaySeconds === 0;
      const isOf = pool?.ranges.some(
        ({ first, last }) => first <= addressToNumber(address) && addressToNumber(address) <= last,
      );
      const reserved = this.#pools.some(({ reservations }) => reservations.some((one) => one.address === address));
      if (!isKept && isOf === true && !reserved) assert.equal(this.#book.held.for(address), key, `${address} is held`);
    }
  }

  /** The directors have been told, and have let go. */
  #settle(): void {
    for (const key of this.#services.keys()) {
      this.#book.releasePorts(key);
      if (this.#roll(2) === 0) this.#book.releaseLeaving(key, this.#now);
    }
  }

  #editPools(): void {
    const reservations =
      this.#roll(2) === 0 ? [{ address: ADDRESSES[1] as IpAddress, service: serviceKey('late', 'a') }] : [];
    this.#pools = [
      aPool({
        addresses: this.#pick(WEB),
        reservations,
        paused: this.#roll(8) === 0,
        releaseDelaySeconds: this.#pick([0, 30]),
        deleting: this.#roll(20) === 0,
        serviceAllocation: {
          quotaPerNamespace: this.#pick([0, 3]),
          sharingAcrossNamespaces: this.#roll(2) === 0,
          namespaces: this.#pick([[], [], ['shop']]),
          serviceSelectors: this.#pick([[], [], [{ matchLabels: TIER }]]),
        },
      }),
      ...(this.#roll(4) > 0
        ? [aPool({ name: 'edge', addresses: ['203.0.113.20-203.0.113.21'], autoAssign: this.#roll(2) === 0 })]
        : []),
    ];
    for (const key of this.#book.setPools(this.#pools)) assert.ok(this.#services.has(key));
  }

  /** The next process knows pools, what they hold, and the Services with their records; the status shows all of it. */
  #restart(): void {
    const held = new Map<string, readonly HeldAddress[]>(
      this.#pools.map(({ name }) => [name, this.#book.held.of(name)]),
    );
    const found = [...this.#services.values()].map((service) => {
      const record = this.#book.recordOf(service.key);
      const ingress = this.#book.addressesOf(service.key).map((ip): Ingress => ({ ip, ipMode: 'VIP' }));
      return { ...service, ingress, ...(record && { record }) };
    });
    this.#settle();
    this.#book = new AddressBook();
    this.#book.setPools(this.#pools);
    for (const [pool, addresses] of held) this.#book.held.restore(pool, addresses, this.#now);
    const adoptions = this.#book.adoptAll(found, () => ({}));
    for (const [key, adoption] of adoptions)
      assert.notEqual(adoption.kind, 'refused', `${key} after a restart: ${JSON.stringify(adoption)}`);
    for (const key of this.#services.keys()) this.#allocate(key);
  }

  /** I1: address, protocol and port belong to one Service; and nothing moved behind the back of the list. */
  #check(): void {
    const owners = new Map<string, ServiceKey>();
    for (const [key, service] of this.#services) {
      const addresses = this.#book.addressesOf(key);
      assert.deepEqual(addresses, this.#given.get(key)?.addresses ?? [], `${key} has what it was given`);
      for (const address of addresses) {
        assert.ok(this.#book.users(address).includes(key));
        for (const { protocol, port } of this.#book.granted(service).ports) {
          const endpoint = `${protocol} ${address}:${port}`;
          assert.equal(owners.get(endpoint) ?? key, key, `I1: ${endpoint}`);
          owners.set(endpoint, key);
        }
      }
    }
  }

  #roll(sides: number): number {
    return Math.floor(this.#dice.random() * sides);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#roll(from.length)] as T;
  }
}

describe('Random histories of addresses', function () {
  this.timeout(300_000);

  const seeds = [1, 2, 3, 4];
  it(`keep I1, I2 and I10 through ${STEPS} steps of requests, sharing, reservations, holds, edits and restarts`, () => {
    for (const seed of seeds) {
      const history = new History(seed);
      for (let step = 0; step < STEPS / seeds.length; step += 1) {
        try {
          history.step();
        } catch (error) {
          throw new Error(`seed ${seed}, step ${step}: ${(error as Error).message}`, { cause: error });
        }
      }
      history.end();
    }
  });
});
