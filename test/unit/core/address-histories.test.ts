import assert from 'node:assert/strict';
import { AddressBook } from '../../../operator/core/address-book.ts';
import type { AddressPool, HeldAddress } from '../../../operator/model/address-pool.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
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
const ADDRESSES = ['203.0.113.10', '203.0.113.11', '203.0.113.12', '203.0.113.13', '203.0.113.20', '203.0.113.21'];

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
    this.#book.expire(this.#now);
    for (const key of this.#book.wakeable()) this.#allocate(key);
    this.#check();
  }

  /** Everybody leaves: nothing may be left over. */
  end(): void {
    for (const key of [...this.#services.keys()]) this.#book.release(key, this.#now);
    this.#book.expire(Number.MAX_SAFE_INTEGER);
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
      ports: [...ports].map((port) => aServicePort({ name: `p${port}`, port })),
    });
    if (anew) this.#given.delete(key);
    this.#services.set(key, service);
    this.#allocate(key);
  }

  #allocate(key: ServiceKey): void {
    const service = this.#services.get(key);
    if (service === undefined) return;
    const asked = JSON.stringify(service.request);
    const before = this.#given.get(key);
    const decision = this.#book.allocate(service, {});
    assert.deepEqual(this.#book.allocate(service, {}), decision, 'asking again changes nothing');
    if (decision.kind === 'refused') {
      assert.equal(before, undefined, `${key} had an address and is refused: ${decision.message}`);
      return;
    }
    if (before?.asked === asked && before !== undefined)
      assert.deepEqual(decision.addresses, before.addresses, `I2: ${key} did not ask for another address`);
    // A port or key that is refused beside others at an address that was asked for is no unmet request for the address.
    const has = service.request.addresses.every((address) => decision.addresses.includes(address));
    const isMet =
      decision.unmet === undefined ||
      (has && /is not served for this Service|under another sharing key/.test(decision.unmet.message));
    if (before === undefined || isMet) this.#given.set(key, { addresses: decision.addresses, asked });
    else assert.deepEqual(decision.addresses, before.addresses, 'what cannot be given changes nothing');
  }

  #remove(): void {
    const key = this.#pick([...this.#services.keys(), serviceKey('no', 'body')]);
    this.#services.delete(key);
    this.#given.delete(key);
    this.#book.release(key, this.#now);
  }

  /** The directors have been told, and have let go. */
  #settle(): void {
    for (const key of this.#services.keys()) {
      this.#book.releasePorts(key);
      if (this.#roll(2) === 0) this.#book.releaseLeaving(key, this.#now);
    }
  }

  #editPools(): void {
    const last = this.#pick(['203.0.113.13', '203.0.113.13', '203.0.113.11']);
    const reservations =
      this.#roll(2) === 0 ? [{ address: ADDRESSES[1] as IpAddress, service: serviceKey('late', 'a') }] : [];
    this.#pools = [
      aPool({
        addresses: [`203.0.113.10-${last}`],
        reservations,
        paused: this.#roll(8) === 0,
        releaseDelaySeconds: this.#pick([0, 30]),
        serviceAllocation: { quotaPerNamespace: this.#pick([0, 3]), sharingAcrossNamespaces: this.#roll(2) === 0 },
      }),
      ...(this.#roll(4) > 0
        ? [aPool({ name: 'edge', addresses: ['203.0.113.20-203.0.113.21'], autoAssign: this.#roll(2) === 0 })]
        : []),
    ];
    this.#book.setPools(this.#pools);
  }

  /** The next process knows pools, what they hold, and the Services with their records; the status shows all of it. */
  #restart(): void {
    const held = new Map<string, readonly HeldAddress[]>(
      this.#pools.map(({ name }) => [name, this.#book.heldOf(name)]),
    );
    const found = [...this.#services.values()].map((service) => {
      const record = this.#book.recordOf(service.key);
      const ingress = this.#book.addressesOf(service.key).map((ip): Ingress => ({ ip, ipMode: 'VIP' }));
      return { ...service, ingress, ...(record && { record }) };
    });
    this.#settle();
    this.#book = new AddressBook();
    this.#book.setPools(this.#pools);
    for (const [pool, addresses] of held) this.#book.restoreHeld(pool, addresses, this.#now);
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
  it(`keep I1 and I2 through ${STEPS} steps of requests, sharing, reservations, holds, edits and restarts`, () => {
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
