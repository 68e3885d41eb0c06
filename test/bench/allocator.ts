/**
 * What an allocation costs, by the size of the pool and by how full it is. All scenarios take turns in one run, so that their ratios do not depend on what else the
 * machine does; figures are medians.
 *
 *     make bench-allocator
 */
import { AddressBook } from '../../operator/core/address-book.ts';
import type { LoadBalancedService } from '../../operator/model/load-balanced-service.ts';
import { aPool } from '../builders/a-pool.ts';
import { aService } from '../builders/a-service.ts';

const ROUNDS = 60;
const OPERATIONS = 2_000;

/** A book in use: one Service leaves and another comes, again and again. */
class Scenario {
  readonly name: string;
  readonly #book = new AddressBook();
  readonly #present: LoadBalancedService[] = [];
  readonly #spare: LoadBalancedService[] = [];
  #seed = 1;
  /** Nanoseconds per allocation, one figure per round. */
  readonly figures: number[] = [];

  constructor(name: string, addresses: string, inUse: number) {
    this.name = name;
    const family = addresses.includes(':') ? 'IPv6' : 'IPv4';
    this.#book.setPools([aPool({ addresses: [addresses] })]);
    for (let index = 0; index < inUse + OPERATIONS; index += 1) {
      const service = aService({ name: `s${index}`, ipFamilies: [family] });
      if (index >= inUse) this.#spare.push(service);
      else if (this.#book.allocate(service, {}).kind === 'assigned') this.#present.push(service);
      else throw new Error(`${name}: the pool is too small for ${inUse} Services`);
    }
  }

  /** Frees as many addresses all over the pool as are then given out again; only the latter is timed. */
  round(): void {
    const operations = Math.min(OPERATIONS, this.#present.length);
    for (let count = 0; count < operations; count += 1) {
      const index = this.#roll(this.#present.length);
      const gone = this.#present[index] as LoadBalancedService;
      this.#present[index] = this.#present.at(-1) as LoadBalancedService;
      this.#present.pop();
      this.#book.release(gone.key, 0);
      this.#book.wakeable();
      this.#spare.push(gone);
    }
    const coming = this.#spare.splice(0, operations);
    const began = process.hrtime.bigint();
    for (const service of coming) this.#book.allocate(service, {});
    this.figures.push(Number(process.hrtime.bigint() - began) / operations);
    this.#present.push(...coming);
  }

  get median(): number {
    const sorted = [...this.figures].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] as number;
  }

  /** Park and Miller's generator: the same run every time. */
  #roll(sides: number): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed % sides;
  }
}

const scenarios = [
  new Scenario('IPv4 /24, 1 in use', '198.18.0.0/24', 3),
  new Scenario('IPv4 /24, half in use', '198.18.0.0/24', 128),
  new Scenario('IPv4 /16, 1 % in use', '198.18.0.0/16', 655),
  new Scenario('IPv4 /16, 99.9 % in use', '198.18.0.0/16', 65_470),
  new Scenario('IPv4 /12, 128 in use', '198.16.0.0/12', 128),
  new Scenario('IPv6 /64, 128 in use', '2001:db8::/64', 128),
  new Scenario('IPv6 /64, 65,470 in use', '2001:db8::/64', 65_470),
];
for (let round = 0; round < ROUNDS; round += 1) for (const scenario of scenarios) scenario.round();
console.log(`Allocations, one core; medians of n = ${ROUNDS} rounds`);
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
