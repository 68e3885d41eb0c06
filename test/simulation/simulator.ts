import assert from 'node:assert/strict';
import type { AddressPool } from '../../operator/model/address-pool.ts';
import { formatAddressRange } from '../../operator/model/address-range.ts';
import type { Director, DirectorState } from '../../operator/model/director.ts';
import type { IpAddress } from '../../operator/model/ip-address.ts';
import { type LoadBalancedService, type ServiceKey, serviceKey } from '../../operator/model/load-balanced-service.ts';
import { EXCLUDE_NODE_LABEL } from '../../operator/model/names.ts';
import type { VirtualServer } from '../../operator/model/virtual-server.ts';
import { aDirector } from '../builders/a-director.ts';
import { aNode } from '../builders/a-node.ts';
import { aService, aServicePort } from '../builders/a-service.ts';
import { World } from '../builders/a-world.ts';
import { aGroup, slices } from '../builders/pods.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import type { FakeDirector } from '../fakes/fake-director.ts';
import { Invariants } from './invariants.ts';
import { ADMITTED, aFreshPool, aRandomPool, POOLS } from './random-pool.ts';
import { actualTables, expectedTables, freeFor, portsWithheld } from './site-model.ts';

/** One thing that can happen, and how often compared with the others. */
interface Happening {
  readonly name: string;
  readonly weight: number;
  readonly happens: () => void | Promise<void>;
}

const SERVICES = 8;
const DIRECTORS = ['lb-1', 'lb-2', 'lb-3'];
const PORTS_PER_SERVICE = 4;
const FIRST_PORT = 1_000;
/** A port that any Service may have, so that who shares an address can clash. */
const COMMON_PORT = 999;
/** Each Service has a persistence timeout of its own: whose a virtual server is can be read off it. */
const FIRST_TIMEOUT = 100;

/** Long enough for every back-off, slow retry and verification to have come round. */
const CONVERGE_MS = 240_000;
const QUIET_MS = 240_000;

/**
 * One random history of a whole site, decided by its seed: users edit, machines fail, answers get lost, the operator crashes. The invariants
 * hold after every step; when the faults stop, everything is as it should be, and then nothing is written any more.
 */
export class Simulation {
  readonly #seed: number;
  readonly #dice: FakeClock;
  readonly #world: World;
  readonly #invariants: Invariants;
  readonly #history: string[] = [];
  #uids = 0;
  #apiFaults = 0;
  #crashIn: number | undefined;

  constructor(seed: number) {
    this.#seed = seed;
    this.#dice = new FakeClock(seed * 7_919 + 13);
    this.#world = new World({
      seed,
      pools: POOLS.map(aFreshPool),
      directors: DIRECTORS.slice(0, 2).map((name) => this.#directorObject(name)),
    });
    for (const host of this.#world.hosts.values()) grantHost(host);
    this.#invariants = new Invariants(this.#world, ownerOf, sharingKeyOf);
    const checkWrite = this.#world.writer.onWrite;
    this.#world.writer.onWrite = (write) => {
      checkWrite(write);
      this.#maybeCrash();
    };
    this.#world.writer.fault = () => {
      if (this.#dice.random() >= this.#apiFaults) return undefined;
      return this.#pick(['conflict', 'failed', 'lost'] as const);
    };
  }

  /** Runs the history. Rejects with the seed and the steps when something is wrong. */
  async run(steps: number): Promise<void> {
    try {
      this.#world.start();
      for (let step = 0; step < steps; step += 1) await this.#step();
      await this.#mendEverything();
      await this.#world.run(CONVERGE_MS);
      this.#hasConverged();
      await this.#staysQuiet();
    } catch (error) {
      const story = this.#history.map((line, index) => `  ${index + 1}. ${line}`).join('\n');
      throw new Error(`seed ${this.#seed}: ${(error as Error).message}\n${story}`, { cause: error });
    } finally {
      await this.#world.stop();
    }
  }

  async #step(): Promise<void> {
    this.#invariants.begin();
    const happenings = this.#happenings();
    let ticket = this.#dice.random() * happenings.reduce((sum, { weight }) => sum + weight, 0);
    const drawn = ({ weight }: Happening) => {
      ticket -= weight;
      return ticket < 0;
    };
    const chosen = happenings.find(drawn) ?? happenings[0];
    const pause = this.#pick([0, 1, 3, 20, 500, 4_000, 20_000, 70_000]);
    this.#history.push(`${chosen?.name}, then ${pause} ms`);
    await chosen?.happens();
    await this.#world.run(pause);
    this.#invariants.check();
  }

  #happenings(): Happening[] {
    return [
      { name: 'Service created or edited', weight: 20, happens: () => this.#putService() },
      { name: 'Service deleted', weight: 8, happens: () => this.#world.api.deleteService(this.#anyService()) },
      {
        name: 'Service becomes ClusterIP',
        weight: 3,
        happens: () => this.#world.api.makeClusterIP(this.#anyService()),
      },
      { name: 'node changed', weight: 6, happens: () => this.#changeNode() },
      { name: 'pods change', weight: 8, happens: () => this.#changePods() },
      { name: 'director fails', weight: 6, happens: () => this.#anyHost().fail('Unreachable') },
      { name: 'director recovers', weight: 9, happens: () => this.#anyHost().recover() },
      { name: 'director freezes', weight: 4, happens: () => this.#anyHost().freeze() },
      { name: 'director thaws', weight: 6, happens: () => this.#anyHost().thaw() },
      { name: 'director reboots', weight: 4, happens: () => this.#reboot() },
      { name: 'connections drop', weight: 4, happens: () => this.#anyHost().dropSessions() },
      { name: 'apply goes wrong', weight: 10, happens: () => this.#failApply() },
      { name: 'director changes state', weight: 4, happens: () => this.#changeState() },
      { name: 'director changes its label', weight: 3, happens: () => this.#changeLabel() },
      { name: 'Director object comes or goes', weight: 3, happens: () => this.#toggleDirector() },
      { name: 'pool is edited', weight: 5, happens: () => this.#editPool() },
      { name: 'Secret vanishes or returns', weight: 2, happens: () => this.#toggleSecret() },
      { name: 'somebody else removes a virtual server', weight: 3, happens: () => this.#drift() },
      { name: 'API server becomes unreliable', weight: 4, happens: () => this.#breakApi(0.3) },
      { name: 'API server recovers', weight: 6, happens: () => this.#breakApi(0) },
      { name: 'operator stops or starts', weight: 5, happens: () => this.#toggleOperator() },
      { name: 'operator will crash soon', weight: 4, happens: () => this.#crashSoon() },
    ];
  }

  #putService(): void {
    const index = this.#roll(SERVICES);
    const key = keyOf(index);
    const old = this.#world.api.services.get(key);
    if (old?.deleting === true) return;
    const ports = Array.from(
      { length: 1 + this.#roll(2) },
      (_, i) => FIRST_PORT + index * PORTS_PER_SERVICE + ((i + this.#roll(2)) % PORTS_PER_SERVICE),
    );
    if (this.#roll(3) === 0) ports.push(COMMON_PORT);
    const request = this.#roll(3) === 0 || old === undefined ? this.#wish(index) : old.request;
    const service = aService({
      name: nameOf(index),
      uid: old?.uid ?? `uid-${++this.#uids}`,
      createdAt: old?.createdAt ?? this.#world.clock.now(),
      labels: this.#roll(4) === 0 ? {} : ADMITTED,
      ports: [...new Set(ports)].map((port) => aServicePort({ name: `p${port}`, port })),
      clientIpAffinitySeconds: FIRST_TIMEOUT + index,
      request,
    });
    this.#history.push(`  (${describeService(service)})`);
    this.#world.api.putService(service);
  }

  #wish(index: number): LoadBalancedService['request'] {
    const kind = this.#roll(8);
    const sharingKey = this.#roll(3) === 0 ? undefined : sharingKeyOf(keyOf(index));
    return {
      addresses: kind < 2 ? [`203.0.113.${10 + this.#roll(5)}` as IpAddress] : [],
      ...(kind > 1 && kind < 4 && { pool: 'edge' }),
      ...(sharingKey !== undefined && { sharingKey }),
      ...(this.#roll(3) === 0 && { reallocate: String(this.#roll(4)) }),
    };
  }

  #changeNode(): void {
    const index = 21 + this.#roll(4);
    const name = `node-${index}`;
    if (this.#roll(3) === 0) this.#world.api.deleteNode(name);
    else {
      const labels: Record<string, string> = this.#roll(3) === 0 ? { [EXCLUDE_NODE_LABEL]: 'true' } : {};
      const silent = this.#roll(4) === 0;
      this.#world.api.putNode(aNode({ name, internalIPs: [`192.0.2.${index + 10}`], labels, silent }));
    }
  }

  /** Which of its four pods a Service has, on which node, and which of them are ending, with an answer or without. */
  #changePods(): void {
    const index = this.#roll(SERVICES);
    const pods = [1, 2, 3, 4].flatMap((pod) => {
      const address = `198.18.${index + 1}.${pod}`;
      const placed = `${address}@node-${21 + this.#roll(4)}`;
      return this.#pick([[], [placed], [placed], [`${placed}!`], [`${placed}?!`]]);
    });
    const ownPorts = Array.from({ length: PORTS_PER_SERVICE }, (_, i) => FIRST_PORT + index * PORTS_PER_SERVICE + i);
    const ports = [...ownPorts, COMMON_PORT].map((port) => ({ name: `p${port}` }));
    this.#world.api.putPods(keyOf(index), slices(aGroup(pods, ...ports)));
  }

  /** Share of writes to the API server that go wrong. */
  #breakApi(share: number): void {
    this.#apiFaults = share;
  }

  /** After one of the next writes to the API server. */
  #crashSoon(): void {
    this.#crashIn = 1 + this.#roll(4);
  }

  #reboot(): void {
    const name = this.#anyDirector();
    this.#invariants.disturbed.add(name);
    this.#world.host(name).reboot();
  }

  #failApply(): void {
    const refusal = { refuse: { class: 'retry', message: 'try again (injected)' } } as const;
    this.#anyHost().failNextApply(this.#pick(['cutBeforeApplying', 'answerLost', 'timeout', refusal] as const));
  }

  #changeState(): void {
    const director = this.#world.api.directors.get(this.#anyDirector());
    if (director?.ok !== true) return;
    const state = this.#pick<DirectorState>(['Active', 'Active', 'Cordoned', 'Drained']);
    this.#world.api.putDirector({ ok: true, value: { ...director.value, state } });
  }

  #changeLabel(): void {
    const director = this.#world.api.directors.get(this.#anyDirector());
    if (director?.ok !== true) return;
    const labels: Record<string, string> = director.value.labels.edge === 'yes' ? {} : { edge: 'yes' };
    this.#world.api.putDirector({ ok: true, value: { ...director.value, labels } });
  }

  /** A director that is taken out is decommissioned: what it held is gone with it. */
  #toggleDirector(): void {
    const name = this.#pick(DIRECTORS);
    this.#invariants.disturbed.add(name);
    if (this.#world.api.directors.has(name)) {
      this.#world.api.deleteDirector(name);
      this.#world.host(name).reboot();
    } else {
      this.#world.addDirector(this.#directorObject(name));
      grantHost(this.#world.host(name));
    }
  }

  #editPool(): void {
    const pool = aRandomPool(this.#pick(POOLS), (from) => this.#pick(from));
    this.#history.push(`  (${describePool(pool)})`);
    this.#world.api.putPool({ ok: true, value: pool });
  }

  #toggleSecret(): void {
    if (this.#world.api.secrets.has('director-ssh')) this.#world.api.deleteSecret('director-ssh');
    else this.#world.api.putSecret('director-ssh', 'the private key');
  }

  #drift(): void {
    const name = this.#anyDirector();
    const [server] = this.#world.host(name).table.virtualServers();
    if (server === undefined) return;
    this.#invariants.disturbed.add(name);
    this.#invariants.tampered.add(server.address);
    this.#world.host(name).table.removeBehindOurBack(server);
  }

  async #toggleOperator(): Promise<void> {
    if (this.#world.running) await this.#world.stop();
    else this.#start();
  }

  #start(): void {
    this.#world.lease.hold((this.#world.lease.epoch() ?? 0) + 1);
    this.#world.start(this.#pick([undefined, 5, 300]));
  }

  #maybeCrash(): void {
    if (this.#crashIn === undefined || --this.#crashIn > 0) return;
    this.#crashIn = undefined;
    this.#history.push('  (crash after a write)');
    this.#world.crash();
  }

  async #mendEverything(): Promise<void> {
    const { api } = this.#world;
    this.#apiFaults = 0;
    this.#crashIn = undefined;
    this.#history.push('everything is mended');
    for (const host of this.#world.hosts.values()) {
      host.recover();
      host.thaw();
    }
    for (const director of [...api.directors.values()]) {
      if (director.ok && director.value.state === 'Cordoned')
        api.putDirector({ ok: true, value: { ...director.value, state: 'Active' } });
    }
    if (api.directors.size === 0) this.#world.addDirector(this.#directorObject('lb-1'));
    for (const host of this.#world.hosts.values()) grantHost(host);
    const [first] = api.directors.values();
    const labels = { edge: 'yes' };
    if (first?.ok === true) api.putDirector({ ok: true, value: { ...first.value, state: 'Active', labels } });
    for (const pool of [...api.pools.values()]) {
      if (pool.ok) api.putPool({ ok: true, value: { ...pool.value, paused: false } });
    }
    api.putSecret('director-ssh', 'the private key');
    if (!this.#world.running) this.#start();
  }

  /** I10, first half: every Service that can have an address has one, and every director holds exactly what it should. */
  #hasConverged(): void {
    const expected = expectedTables(this.#world);
    for (const [name, table] of actualTables(this.#world)) {
      assert.deepEqual(
        Object.fromEntries(table),
        sorted(expected.get(name)),
        `I10: the table of ${name} is not what it should be`,
      );
    }
    for (const service of this.#world.api.services.values()) {
      const { key, finalizers, wanted, ingress } = service;
      if (!wanted) assert.deepEqual(finalizers, [], `I10: ${key} should have been released`);
      if (!wanted) continue;
      const said = JSON.stringify(service.conditions);
      if (ingress.length === 0)
        assert.equal(
          freeFor(this.#world, service),
          undefined,
          `I10: ${key} has no address although one is free: ${said}`,
        );
      else
        assert.deepEqual(portsWithheld(this.#world, service), [], `I10: ${key} lacks a port that nobody has: ${said}`);
    }
  }

  /** I10, second half: what has converged is left alone. */
  async #staysQuiet(): Promise<void> {
    const before = this.#writes();
    await this.#world.run(QUIET_MS);
    assert.deepEqual(this.#writes(), before, 'I10: something is still written although everything is as it should be');
  }

  #writes(): unknown {
    const hosts = [...this.#world.hosts].map(([name, { table }]) => [name, table.totalWrites]);
    return { api: this.#world.writer.writes.slice(), hosts };
  }

  #directorObject(name: string): Director {
    return aDirector({ name, uid: `uid-of-${name}-${++this.#uids}`, address: `192.0.2.1${name.slice(3)}` });
  }

  #anyService(): ServiceKey {
    return keyOf(this.#roll(SERVICES));
  }

  #anyDirector(): string {
    return this.#pick([...this.#world.api.directors.keys(), 'lb-1'].filter((name) => this.#world.hosts.has(name)));
  }

  #anyHost(): ReturnType<World['host']> {
    return this.#world.host(this.#anyDirector());
  }

  #roll(sides: number): number {
    return Math.floor(this.#dice.random() * sides);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#roll(from.length)] as T;
  }
}

function nameOf(index: number): string {
  return `service-${index}`;
}

function keyOf(index: number): ServiceKey {
  return serviceKey('default', nameOf(index));
}

function ownerOf({ persistence }: VirtualServer): ServiceKey {
  assert.ok(persistence !== undefined, 'every Service of the simulation has a persistence timeout');
  return keyOf(persistence.timeoutSeconds - FIRST_TIMEOUT);
}

/** Three Services may share under one key, three under another; the rest never does. */
function sharingKeyOf(key: ServiceKey): string | undefined {
  return ['k', 'l'][Math.floor(Number(key.split('-').at(-1)) / 3)];
}

function describeService({ name, labels, ports, request }: LoadBalancedService): string {
  return `${name} ${JSON.stringify(labels)} ports ${ports.map(({ port }) => port).join()} asks ${JSON.stringify(request)}`;
}

function describePool({
  name,
  ranges,
  paused,
  reservations,
  releaseDelaySeconds,
  serviceAllocation,
}: AddressPool): string {
  const { quotaPerNamespace, serviceSelectors } = serviceAllocation;
  return `${name}: ${ranges.map(formatAddressRange).join()} ${JSON.stringify({ paused, reservations, releaseDelaySeconds, quotaPerNamespace, serviceSelectors })}`;
}

function sorted(table: ReadonlyMap<string, string> | undefined): Record<string, string> {
  return Object.fromEntries([...(table ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What pool `edge` needs of a host: pods as real servers, connection tracking and timeouts. */
function grantHost({ table }: FakeDirector): void {
  const realServers = ['192.0.2.0/24', '198.18.0.0/16'];
  table.policy = { ...table.policy, realServers, host: { sysctls: ['*'], timeouts: true } };
}
