/**
 * What an allocation costs, by the size of the pool and by how full it is. All scenarios take turns in one run, so that their ratios depend little on what else the
 * machine does; figures are medians of rounds so short that most are not interrupted.
 *
 *     make bench-allocator
 */
import { AddressBook } from '../../operator/core/address-book.ts';
import type { IpFamily } from '../../operator/model/ip-address.ts';
import type { LoadBalancedService, ServiceKey } from '../../operator/model/load-balanced-service.ts';
import { aPool } from '../builders/a-pool.ts';
import { aService } from '../builders/a-service.ts';

const TURNS = 150;
/** Of one scenario before the next has its turn. */
const ROUNDS = 8;
const OPERATIONS = 100;

/** A book in use: Services leave and others come, again and again. */
class Scenario {
  readonly name: string;
  readonly #family: IpFamily;
  readonly #book = new AddressBook();
  readonly #present: ServiceKey[] = [];
  #made = 0;
  #seed = 1;
  /** Nanoseconds per allocation, one figure per round. */
  readonly figures: number[] = [];

  constructor(name: string, addresses: string, inUse: number) {
    this.name = name;
    this.#family = addresses.includes(':') ? 'IPv6' : 'IPv4';
    this.#book.setPools([aPool({ addresses: [addresses] })]);
    this.#allocate(this.#make(inUse));
  }

  /** Frees as many addresses all over the pool as are then given out again; only the latter is timed. */
  round(): void {
    const operations = Math.min(OPERATIONS, this.#present.length);
    for (let count = 0; count < operations; count += 1) this.#book.release(this.#anyGone(), 0);
    this.#book.wakeable();
    const coming = this.#make(operations);
    const began = process.hrtime.bigint();
    this.#allocate(coming);
    this.figures.push(Number(process.hrtime.bigint() - began) / operations);
  }

  get median(): number {
    const sorted = [...this.figures].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] as number;
  }

  /** New Services, parsed a moment ago, as they come from the API server: so the processor's cache has them, however many others there are. */
  #make(count: number): readonly LoadBalancedService[] {
    return Array.from({ length: count }, () => aService({ name: `s${this.#made++}`, ipFamilies: [this.#family] }));
  }

  #allocate(services: readonly LoadBalancedService[]): void {
    for (const service of services) {
      const { kind } = this.#book.allocate(service, {});
      if (kind !== 'assigned') throw new Error(`${this.name}: the pool is too small`);
      this.#present.push(service.key);
    }
  }

  #anyGone(): ServiceKey {
    const index = this.#roll(this.#present.length);
    const gone = this.#present[index] as ServiceKey;
    this.#present[index] = this.#present.at(-1) as ServiceKey;
    this.#present.pop();
    return gone;
  }

  /** Park and Miller's generator: the same run every time. */
  #roll(sides: number): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed % sides;
  }
}

const scenarios = [
  new Scenario('IPv4 /24, 3 in use', '198.18.0.0/24', 3),
  new Scenario('IPv4 /24, half in use', '198.18.0.0/24', 128),
  new Scenario('IPv4 /16, 1 % in use', '198.18.0.0/16', 655),
  new Scenario('IPv4 /16, 99.9 % in use', '198.18.0.0/16', 65_470),
  new Scenario('IPv4 /12, 128 in use', '198.16.0.0/12', 128),
  new Scenario('IPv6 /64, 128 in use', '2001:db8::/64', 128),
  new Scenario('IPv6 /64, 65,470 in use', '2001:db8::/64', 65_470),
];
for (let turn = 0; turn < TURNS; turn += 1)
  for (const scenario of scenarios) for (let round = 0; round < ROUNDS; round += 1) scenario.round();
console.log(`Allocations, one core; medians of n = ${TURNS * ROUNDS} rounds`);
for (const { name, median } of scenarios) {
  const rate = Math.round(1e9 / median).toLocaleString('en');
  console.log(`  ${name.padEnd(26)} ${(median / 1_000).toFixed(2).padStart(7)} µs  ${rate.padStart(11)}/s`);
}
const [, small, sparse, full, large, v6] = scenarios.map(({ median }) => median) as [
  number,
  number,
  number,
  number,
  number,
  number,
];
const ratio = (what: string, value: number, limit: number) =>
  console.log(`  ${what.padEnd(44)} × ${value.toFixed(2)} (aim: at most ${limit})`);
ratio('/16 99.9 % full against 1 % full', full / sparse, 1.5);
ratio('IPv4 /12 against /24, 128 in use', large / small, 1.5);
ratio('IPv6 /64 against IPv4 /24, 128 in use', v6 / small, 1.5);
