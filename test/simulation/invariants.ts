import assert from 'node:assert/strict';
import { matchesSelector } from '../../operator/model/labels.ts';
import type { LoadBalancedService, ServiceKey } from '../../operator/model/load-balanced-service.ts';
import {
  formatVirtualServerKey,
  type VirtualServer,
  type VirtualServerKey,
} from '../../operator/model/virtual-server.ts';
import type { World } from '../builders/a-world.ts';
import type { FakeWrite } from '../fakes/fake-writer.ts';
import { ownPorts } from './site-model.ts';

interface Snapshot {
  readonly services: ReadonlyMap<ServiceKey, LoadBalancedService>;
  /** director → keys it held, its boot count and how many requests it had seen. */
  readonly hosts: ReadonlyMap<
    string,
    { readonly keys: ReadonlySet<string>; readonly writes: number; readonly state: string }
  >;
  /** An operator process that had been started before, and runs. */
  readonly running: boolean;
  readonly starts: number;
}

/** The address of a Service, what it asked for when that was published, and whether it has asked for anything else since. */
interface Publication {
  readonly uid: string;
  readonly address: string;
  readonly asked: string;
  askedElse: boolean;
}

/**
 * Watches a world and says at once when one of the invariants of the design is broken. Whose a virtual server is can be read off it.
 */
export class Invariants {
  readonly #world: World;
  readonly #ownerOf: (server: VirtualServer) => ServiceKey;
  readonly #sharingKeyOf: (key: ServiceKey) => string | undefined;
  /** Directors whose table was disturbed from outside during the step: rebooted, or changed behind our back. */
  readonly disturbed = new Set<string>();
  /** The address of each Service, and what it asked for when that was published. */
  readonly #published = new Map<ServiceKey, Publication>();
  /** Addresses of which somebody else has removed something: the operator learns of it a minute later. */
  readonly tampered = new Set<string>();
  #violation: unknown;
  #before: Snapshot;
  readonly #fences = new Map<string, { epoch: number; generation: number; boot: number; seen: number }>();

  /** @param sharingKeyOf the only key that the Service ever shares under. */
  constructor(
    world: World,
    ownerOf: (server: VirtualServer) => ServiceKey,
    sharingKeyOf: (key: ServiceKey) => string | undefined,
  ) {
    this.#world = world;
    this.#ownerOf = ownerOf;
    this.#sharingKeyOf = sharingKeyOf;
    this.#before = this.#snapshot();
    world.writer.onWrite = (write) => this.#afterWrite(write);
  }

  /** To be called before something is done to the world and time passes. */
  begin(): void {
    this.disturbed.clear();
    this.#before = this.#snapshot();
  }

  /** To be called after each step. */
  check(): void {
    if (this.#violation !== undefined) throw this.#violation;
    this.#oneServicePerPort();
    this.#addressesStay();
    this.#noDeletionOfWhatStays();
    this.#noWriteWhileAbsent();
    this.#fencesRise();
  }

  /** I1: over all directors and statuses an address, protocol and port is of one Service, and an address of Services that share under one key. */
  #oneServicePerPort(): void {
    const owners = new Map<string, ServiceKey>();
    const sharers = new Map<string, ServiceKey>();
    const claim = (server: VirtualServerKey, owner: ServiceKey, where: string) => {
      const text = formatVirtualServerKey(server);
      const other = owners.get(text) ?? owner;
      assert.equal(other, owner, `I1: ${text} belongs to ${other} and, ${where}, to ${owner}`);
      owners.set(text, owner);
      const beside = sharers.get(server.address) ?? owner;
      const shares =
        this.#sharingKeyOf(owner) !== undefined && this.#sharingKeyOf(owner) === this.#sharingKeyOf(beside);
      assert.ok(
        beside === owner || shares,
        `I1: ${owner} has, ${where}, ${server.address} of ${beside} and may not share it`,
      );
      sharers.set(server.address, owner);
    };
    for (const service of this.#world.api.services.values()) {
      for (const { ip } of service.ingress)
        for (const { port, protocol } of ownPorts(service))
          claim({ address: ip, port, protocol }, service.key, 'in its status');
    }
    for (const name of this.#world.api.directors.keys()) {
      // Who dies between writing to a director and publishing leaves something that only this director can tell of: while nobody can ask it, it may
      // still be there. Nothing that was ever published is concerned: see I11.
      if (this.#world.host(name).openSessions === 0) continue;
      for (const server of this.#world.host(name).table.virtualServers())
        claim(server, this.#ownerOf(server), `on director ${name}`);
    }
  }

  /** I2: an address that is published changes only when the Service has asked for something else since it was published. */
  #addressesStay(): void {
    for (const { key, uid, wanted, ingress, request } of this.#world.api.services.values()) {
      const address = ingress[0]?.ip;
      const asked = JSON.stringify(request);
      const before = this.#published.get(key);
      if (!wanted || before?.uid !== uid) this.#published.delete(key);
      else if (asked !== before.asked) before.askedElse = true;
      else if (address !== undefined && address !== before.address) {
        assert.ok(before.askedElse, `I2: the address of ${key} changed although nobody asked for it`);
      }
      if (!wanted || address === undefined) continue;
      if (this.#published.get(key)?.address !== address) {
        this.#published.set(key, { uid, address, asked, askedElse: false });
      }
    }
  }

  /** I5: a virtual server that is wanted before and after a step is there all the time. */
  #noDeletionOfWhatStays(): void {
    for (const [name, { keys, state }] of this.#before.hosts) {
      const director = this.#world.api.directors.get(name);
      if (this.disturbed.has(name) || director?.ok !== true || director.value.state !== state || state !== 'Active')
        continue;
      const now = new Set(this.#world.host(name).table.virtualServers().map(formatVirtualServerKey));
      for (const [service, before] of this.#before.services) {
        const after = this.#world.api.services.get(service);
        if (after === undefined || !before.wanted || !after.wanted || after.uid !== before.uid) continue;
        const pool = this.#world.api.pools.get(after.allocatedFromPool ?? '');
        if (pool?.ok !== true || !matchesSelector(director.value.labels, pool.value.directorSelector)) continue;
        for (const { ip } of before.ingress) {
          if (!after.ingress.some((entry) => entry.ip === ip)) continue;
          for (const { port, protocol } of ownPorts(before)) {
            const text = formatVirtualServerKey({ address: ip, port, protocol });
            if (!ownPorts(after).some((each) => each.port === port) || !keys.has(text)) continue;
            assert.ok(now.has(text), `I5: ${text} of ${service} vanished from ${name} although it stays desired`);
          }
        }
      }
    }
  }

  /** I9: without an operator nothing is written on any director. */
  #noWriteWhileAbsent(): void {
    if (this.#before.running || this.#world.starts !== this.#before.starts) return;
    for (const [name, { writes }] of this.#before.hosts) {
      if (this.disturbed.has(name) || !this.#world.api.directors.has(name)) continue;
      assert.equal(this.#world.host(name).table.totalWrites, writes, `I9: ${name} was written while no operator ran`);
    }
  }

  /** I8: what a director has accepted never goes back while it is up. */
  #fencesRise(): void {
    for (const name of this.#world.api.directors.keys()) {
      const { epoch, generation } = this.#world.host(name).table;
      const last = this.#fences.get(name);
      if (last !== undefined && !this.disturbed.has(name)) {
        const rises = epoch > last.epoch || (epoch === last.epoch && generation >= last.generation);
        assert.ok(rises, `I8: ${name} went from ${last.epoch}/${last.generation} back to ${epoch}/${generation}`);
      }
      this.#fences.set(name, { epoch, generation, boot: 0, seen: 0 });
    }
  }

  /** Inside a write of the operator, which would take what is thrown here for a failure of the API server: it is thrown by the next check. */
  #afterWrite({ verb, object }: FakeWrite): void {
    const key = object as ServiceKey;
    try {
      if (verb === 'serviceStatus') this.#publishedIsHeld(key);
      if (verb === 'release') this.#releasedIsGone(key);
    } catch (error) {
      this.#violation ??= error;
    }
  }

  /** I3: at the moment of publication at least one director holds the address. */
  #publishedIsHeld(key: ServiceKey): void {
    const service = this.#world.api.services.get(key);
    const had = new Set(this.#before.services.get(key)?.ingress.map(({ ip }) => ip));
    for (const { ip } of service?.ingress ?? []) {
      if (had.has(ip) || this.tampered.has(ip)) continue;
      const held = [...this.#world.hosts.values()].some(({ table }) =>
        table.virtualServers().some((server) => server.address === ip && this.#ownerOf(server) === key),
      );
      assert.ok(held, `I3: ${ip} of ${key} was published although no director holds it`);
    }
  }

  /** I11: the finalizer goes only when no director holds anything of the Service. */
  #releasedIsGone(key: ServiceKey): void {
    for (const name of this.#world.api.directors.keys()) {
      const left = this.#world
        .host(name)
        .table.virtualServers()
        .find((server) => this.#ownerOf(server) === key);
      assert.equal(
        left && formatVirtualServerKey(left),
        undefined,
        `I11: ${key} was released while ${name} still held it`,
      );
    }
  }

  #snapshot(): Snapshot {
    const hosts = new Map<string, { keys: ReadonlySet<string>; writes: number; state: string }>();
    for (const [name, director] of this.#world.api.directors) {
      const { table } = this.#world.host(name);
      const keys = new Set(table.virtualServers().map(formatVirtualServerKey));
      hosts.set(name, { keys, writes: table.totalWrites, state: director.ok ? director.value.state : 'invalid' });
    }
    return {
      services: new Map(this.#world.api.services),
      hosts,
      running: this.#world.running,
      starts: this.#world.starts,
    };
  }
}
