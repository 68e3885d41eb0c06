import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import {
  compareVirtualServerKeys,
  formatVirtualServerKey,
  type VirtualServer,
  type VirtualServerKey,
  type VirtualServerKeyText,
} from '../model/virtual-server.ts';

import type { HelperError } from './ports.ts';

/** What a director holds of one Service, as far as it has been read back from its kernel. */
export type Confirmation =
  | { readonly kind: 'Programmed' }
  | { readonly kind: 'Pending' }
  | { readonly kind: 'Failed'; readonly message: string };

/** Why a virtual server could not be made as asked. */
export interface KeyFailure {
  readonly message: string;
  /** From when on it may be tried again, in monotonic milliseconds. */
  readonly retryAt: number;
  /** Refused before anything was written, so the director holds what it held before. */
  readonly untouched: boolean;
  /** What is there is not ours: a removal has nothing to remove. */
  readonly notOurs: boolean;
  readonly class: HelperError['class'];
}

/** One request to the director: virtual servers to be made equal, and keys to be removed. */
export interface Batch {
  readonly virtualServers: readonly VirtualServer[];
  readonly absent: readonly VirtualServerKey[];
}

interface Entry {
  readonly key: VirtualServerKey;
  wanted: { readonly service: ServiceKey; readonly server: VirtualServer; readonly print: string } | undefined;
  /** Print of the virtual server that was read back last. */
  written: string | undefined;
  /** False only when the director has said so. */
  mayBePresent: boolean;
  /** `mayBePresent` before the request in flight. */
  wasPresent: boolean;
  failure: KeyFailure | undefined;
}

/**
 * What one director shall hold and what it is known to hold, by virtual server key. Pure bookkeeping: the lane decides when to talk.
 * A removal happens only for keys that an assigned Service no longer wants or that a withdrawn Service had; any other surplus is
 * for the guard to judge.
 */
export class LaneTable {
  readonly #entries = new Map<VirtualServerKeyText, Entry>();
  readonly #byAddress = new Map<IpAddress, Set<VirtualServerKeyText>>();
  readonly #services = new Map<ServiceKey, readonly VirtualServerKeyText[]>();
  /** Addresses at which virtual servers that nobody wants any more are known to be leftovers of the Service, and shall go. */
  readonly #leaving = new Map<ServiceKey, ReadonlySet<IpAddress>>();
  /** Services that wait until something is removed that is not theirs. */
  readonly #expecting = new Set<ServiceKey>();
  readonly #frozen = new Map<ServiceKey, ReadonlySet<IpAddress>>();
  readonly #dirty = new Set<VirtualServerKeyText>();
  readonly #failed = new Set<VirtualServerKeyText>();
  #read = false;

  /** True when the director's own list of keys has been seen at least once. */
  get read(): boolean {
    return this.#read;
  }

  /** Services that have virtual servers here. */
  services(): Iterable<ServiceKey> {
    return this.#services.keys();
  }

  /** Whether leftovers of the Service are still to be removed, or their absence to be acted on. */
  isLeaving(service: ServiceKey): boolean {
    return this.#leaving.has(service);
  }

  /** Whether the Service shall have something at the address here. */
  serves(service: ServiceKey, address: IpAddress): boolean {
    for (const text of this.#byAddress.get(address) ?? []) {
      if (this.#entries.get(text)?.wanted?.service === service) return true;
    }
    return false;
  }

  has(service: ServiceKey): boolean {
    return this.#services.has(service);
  }

  /**
   * Makes these virtual servers the whole of what the Service shall have here; at the addresses it gives up nothing shall remain.
   *
   * @returns true when that changed anything.
   * @throws when another Service already has one of the keys: one address, protocol and port belongs to one Service (invariant I1).
   */
  assign(service: ServiceKey, virtualServers: readonly VirtualServer[], givingUp: readonly IpAddress[] = []): boolean {
    const wanted = new Map(virtualServers.map((server) => [formatVirtualServerKey(server), server]));
    for (const text of wanted.keys()) {
      const other = this.#entries.get(text)?.wanted?.service;
      if (other !== undefined && other !== service) {
        throw new Error(
          `${service} and ${other} both claim ${text}; the address book must never give one address to two Services`,
        );
      }
    }
    const thawed = this.#frozen.delete(service);
    let changed = thawed;
    for (const text of this.#services.get(service) ?? []) {
      if (!wanted.has(text)) {
        this.#unwant(text);
        changed = true;
      }
    }
    for (const [text, server] of wanted) {
      const entry = this.#entry(server);
      const print = JSON.stringify(server);
      if (entry.wanted?.print === print) {
        if (thawed && entry.written !== print) this.#dirty.add(text);
        continue;
      }
      entry.wanted = { service, server, print };
      this.#setFailure(text, entry, undefined);
      if (entry.written !== print) this.#dirty.add(text);
      else this.#dirty.delete(text);
      changed = true;
    }
    this.#services.set(service, [...wanted.keys()]);
    for (const { address } of virtualServers) changed = this.#clear(address) || changed;
    if (givingUp.length === 0) this.#leaving.delete(service);
    else changed = this.#leave(service, new Set(givingUp)) || changed;
    return changed;
  }

  /**
   * The Service shall have nothing here any more, in particular nothing at these addresses that nobody else wants. Without any address
   * (they are not known after a restart) it waits until the director holds nothing unexplained.
   */
  withdraw(service: ServiceKey, addresses: Iterable<IpAddress>): boolean {
    const texts = this.#services.get(service) ?? [];
    const all = new Set(addresses);
    for (const text of texts) {
      const entry = this.#entries.get(text);
      if (entry !== undefined) all.add(entry.key.address);
    }
    const thawed = this.#frozen.delete(service);
    for (const text of texts) this.#unwant(text);
    this.#services.delete(service);
    return this.#leave(service, all) || thawed || texts.length > 0;
  }

  #leave(service: ServiceKey, addresses: ReadonlySet<IpAddress>): boolean {
    const before = this.#leaving.get(service);
    const all = before === undefined ? addresses : new Set([...before, ...addresses]);
    this.#leaving.set(service, all);
    let changed = false;
    for (const address of all) changed = this.#clear(address) || changed;
    return changed || before === undefined;
  }

  /** Nothing that is not wanted shall remain at the address. */
  #clear(address: IpAddress): boolean {
    let changed = false;
    for (const text of this.#byAddress.get(address) ?? []) {
      const entry = this.#entries.get(text);
      if (entry === undefined || entry.wanted !== undefined || entry.failure !== undefined || this.#dirty.has(text))
        continue;
      this.#dirty.add(text);
      changed = true;
    }
    return changed;
  }

  /** Nothing of this Service, and nothing at these addresses, shall be changed until it is assigned or withdrawn. */
  freeze(service: ServiceKey, addresses: Iterable<IpAddress>): void {
    const frozen = new Set(addresses);
    for (const text of this.#services.get(service) ?? []) {
      const entry = this.#entries.get(text);
      if (entry !== undefined) frozen.add(entry.key.address);
      this.#dirty.delete(text);
    }
    this.#frozen.set(service, frozen);
  }

  /** Forgets a withdrawn Service. Call it when its absence has been acted on. */
  forget(service: ServiceKey): void {
    this.#leaving.delete(service);
    this.#frozen.delete(service);
  }

  confirmation(service: ServiceKey): Confirmation {
    const texts = this.#services.get(service);
    if (texts === undefined) return { kind: 'Pending' };
    const failures = texts.flatMap((text) => this.#entries.get(text)?.failure?.message ?? []);
    if (failures.length > 0) return { kind: 'Failed', message: failures.join(' ') };
    const programmed = texts.every((text) => {
      const entry = this.#entries.get(text);
      return entry?.wanted !== undefined && entry.written === entry.wanted.print;
    });
    return programmed ? { kind: 'Programmed' } : { kind: 'Pending' };
  }

  /** Whether the director may hold something of what an assigned Service shall have here; undefined before its table was read. */
  holds(service: ServiceKey): boolean | undefined {
    if (!this.#read) return undefined;
    return (this.#services.get(service) ?? []).some((text) => this.#entries.get(text)?.mayBePresent === true);
  }

  /** What the director refuses, in no particular order. */
  failures(): KeyFailure[] {
    return [...this.#failed].flatMap((text) => this.#entries.get(text)?.failure ?? []);
  }

  /** True when the director has said that it holds nothing at the addresses the Service has left, but for what is wanted there. */
  absent(service: ServiceKey): boolean {
    if (!this.#read) return false;
    const addresses = this.#leaving.get(service);
    if (addresses === undefined) return true;
    if (addresses.size === 0) return this.surplus().unexplained.length === 0;
    for (const address of addresses) {
      for (const text of this.#byAddress.get(address) ?? []) {
        const entry = this.#entries.get(text);
        if (entry !== undefined && entry.wanted === undefined && entry.mayBePresent) return false;
      }
    }
    return true;
  }

  /**
   * Whether the director holds nothing at these addresses but what is wanted there; undefined while its table has not been read. What does not
   * belong there is removed.
   */
  vacant(addresses: Iterable<IpAddress>): boolean | undefined {
    if (!this.#read) return undefined;
    let vacant = true;
    for (const address of addresses) {
      this.#clear(address);
      for (const text of this.#byAddress.get(address) ?? []) {
        const entry = this.#entries.get(text);
        if (entry?.wanted === undefined && entry?.mayBePresent === true) vacant = false;
      }
    }
    return vacant;
  }

  /** The Service is to be told when something has been removed. */
  expectVacancy(service: ServiceKey): void {
    this.#expecting.add(service);
  }

  /** Why the virtual servers of a withdrawn Service cannot be removed, or undefined. */
  removalFailure(service: ServiceKey): string | undefined {
    const messages: string[] = [];
    for (const address of this.#leaving.get(service) ?? []) {
      for (const text of this.#byAddress.get(address) ?? []) {
        const entry = this.#entries.get(text);
        if (entry?.wanted === undefined && entry?.failure !== undefined) messages.push(entry.failure.message);
      }
    }
    return messages.length > 0 ? messages.join(' ') : undefined;
  }

  /** Takes in the director's own list of keys. What is not in it is gone; what we did not know may stay until judged. */
  learn(keys: readonly VirtualServerKey[]): void {
    this.#read = true;
    const present = new Set(keys.map((key) => formatVirtualServerKey(key)));
    for (const [text, entry] of this.#entries) {
      if (present.has(text)) continue;
      entry.mayBePresent = false;
      entry.written = undefined;
      if (entry.wanted === undefined) this.#drop(text);
    }
    for (const key of keys) this.#entry(key).mayBePresent = true;
  }

  /** Everything that shall be here, in the order of the wire; frozen Services left out. */
  desired(): VirtualServer[] {
    const servers: VirtualServer[] = [];
    for (const [service, texts] of this.#services) {
      if (this.#frozen.has(service)) continue;
      for (const text of texts) {
        const server = this.#entries.get(text)?.wanted?.server;
        if (server !== undefined) servers.push(server);
      }
    }
    return servers.sort(compareVirtualServerKeys);
  }

  /** How many virtual and real servers shall be here, frozen ones included. */
  wantedCounts(): { readonly virtualServers: number; readonly realServers: number } {
    let virtualServers = 0;
    let realServers = 0;
    for (const { wanted } of this.#entries.values()) {
      if (wanted === undefined) continue;
      virtualServers += 1;
      realServers += wanted.server.realServers.length;
    }
    return { virtualServers, realServers };
  }

  /** Size of a request that carries the whole table: virtual servers plus real servers. */
  weight(): number {
    const { virtualServers, realServers } = this.wantedCounts();
    return virtualServers + realServers;
  }

  /** Everything that may be touched shall be sent, and these removed. */
  markAllDirty(absent: readonly VirtualServerKey[]): void {
    for (const [service, texts] of this.#services) {
      if (!this.#frozen.has(service)) for (const text of texts) this.#dirty.add(text);
    }
    for (const key of absent) this.#dirty.add(formatVirtualServerKey(key));
  }

  /** True while at least one Service must not be touched. */
  get partlyFrozen(): boolean {
    return this.#frozen.size > 0;
  }

  /**
   * Keys the director may hold though nothing wants them, without those at frozen addresses. `explained`: a withdrawn Service had
   * the address, or an assigned one has it and no longer wants this key.
   */
  surplus(): { readonly explained: VirtualServerKey[]; readonly unexplained: VirtualServerKey[] } {
    const frozen = union(this.#frozen.values());
    const leaving = union(this.#leaving.values());
    const explained: VirtualServerKey[] = [];
    const unexplained: VirtualServerKey[] = [];
    for (const { key, wanted, mayBePresent } of this.#entries.values()) {
      if (wanted !== undefined || !mayBePresent || frozen.has(key.address)) continue;
      (leaving.has(key.address) || this.#isServed(key.address) ? explained : unexplained).push(key);
    }
    return {
      explained: explained.sort(compareVirtualServerKeys),
      unexplained: unexplained.sort(compareVirtualServerKeys),
    };
  }

  /** True when something is to be sent now. */
  hasDirty(now: number): boolean {
    this.#wakeFailed(now);
    return this.#dirty.size > 0;
  }

  /** When the next failed key is due to be tried again, or undefined. */
  nextRetry(): number | undefined {
    let next: number | undefined;
    for (const text of this.#failed) {
      const retryAt = this.#entries.get(text)?.failure?.retryAt;
      if (retryAt !== undefined && (next === undefined || retryAt < next)) next = retryAt;
    }
    return next;
  }

  /** Takes what is to be sent, up to the weight (virtual servers plus real servers). The caller gives it back with confirm or giveBack. */
  takeDirty(maxWeight: number): Batch {
    const virtualServers: VirtualServer[] = [];
    const absent: VirtualServerKey[] = [];
    let weight = 0;
    for (const text of this.#dirty) {
      if (weight >= maxWeight) break;
      this.#dirty.delete(text);
      const entry = this.#entries.get(text);
      if (entry === undefined) continue;
      if (entry.wanted !== undefined) virtualServers.push(entry.wanted.server);
      else absent.push(entry.key);
      weight += 1 + (entry.wanted?.server.realServers.length ?? 0);
    }
    return {
      virtualServers: virtualServers.sort(compareVirtualServerKeys),
      absent: absent.sort(compareVirtualServerKeys),
    };
  }

  /** To be called before sending: from now on the director may hold these, whatever becomes of the answer. */
  sending(batch: Batch): void {
    for (const server of batch.virtualServers) {
      const entry = this.#entry(server);
      entry.wasPresent = entry.mayBePresent;
      entry.mayBePresent = true;
      if (entry.written !== JSON.stringify(server)) entry.written = undefined;
    }
  }

  /** The answer did not come or said to try again. */
  giveBack(batch: Batch): void {
    for (const key of [...batch.virtualServers, ...batch.absent]) {
      const text = formatVirtualServerKey(key);
      if (this.#entries.has(text)) this.#dirty.add(text);
    }
  }

  /**
   * Takes in the answer to a batch: everything in it is as asked, but for the failures.
   *
   * @returns the Services whose confirmation or absence may have changed.
   */
  confirm(batch: Batch, failures: ReadonlyMap<VirtualServerKeyText, KeyFailure>): Set<ServiceKey> {
    const touched = new Set<ServiceKey>();
    for (const server of batch.virtualServers) {
      const text = formatVirtualServerKey(server);
      const entry = this.#entry(server);
      const failure = failures.get(text);
      this.#setFailure(text, entry, failure);
      entry.written = failure === undefined ? JSON.stringify(server) : undefined;
      if (failure?.untouched === true) entry.mayBePresent = entry.wasPresent;
      if (entry.wanted === undefined) this.#unwant(text);
      else {
        const asked = entry.wanted.print === JSON.stringify(server);
        if (asked) this.#dirty.delete(text);
        else this.#dirty.add(text);
        touched.add(entry.wanted.service);
      }
    }
    for (const key of batch.absent) this.#confirmAbsent(key, failures.get(formatVirtualServerKey(key)));
    // A Service may be gone because of what was removed, or because what it had was never written.
    for (const service of this.#leaving.keys()) touched.add(service);
    for (const service of this.#expecting) touched.add(service);
    this.#expecting.clear();
    return touched;
  }

  #confirmAbsent(key: VirtualServerKey, failure: KeyFailure | undefined): void {
    const text = formatVirtualServerKey(key);
    const entry = this.#entries.get(text);
    if (entry === undefined) return;
    const remains = failure !== undefined && !failure.notOurs;
    this.#setFailure(text, entry, remains ? failure : undefined);
    if (remains) return;
    entry.mayBePresent = false;
    entry.written = undefined;
    if (entry.wanted === undefined) this.#drop(text);
    else this.#dirty.add(text);
  }

  #wakeFailed(now: number): void {
    for (const text of this.#failed) {
      const failure = this.#entries.get(text)?.failure;
      if (failure !== undefined && failure.retryAt <= now) this.#dirty.add(text);
    }
  }

  #setFailure(text: VirtualServerKeyText, entry: Entry, failure: KeyFailure | undefined): void {
    entry.failure = failure;
    if (failure === undefined) this.#failed.delete(text);
    else this.#failed.add(text);
  }

  #isServed(address: IpAddress): boolean {
    for (const text of this.#byAddress.get(address) ?? []) {
      if (this.#entries.get(text)?.wanted !== undefined) return true;
    }
    return false;
  }

  #unwant(text: VirtualServerKeyText): void {
    const entry = this.#entries.get(text);
    if (entry === undefined) return;
    entry.wanted = undefined;
    this.#setFailure(text, entry, undefined);
    if (this.#read && !entry.mayBePresent) this.#drop(text);
    else this.#dirty.add(text);
  }

  #entry(key: VirtualServerKey): Entry {
    const text = formatVirtualServerKey(key);
    const known = this.#entries.get(text);
    if (known !== undefined) return known;
    const { address, port, protocol } = key;
    const entry: Entry = {
      key: { address, port, protocol },
      wanted: undefined,
      written: undefined,
      mayBePresent: !this.#read,
      wasPresent: !this.#read,
      failure: undefined,
    };
    this.#entries.set(text, entry);
    const texts = this.#byAddress.get(address) ?? new Set();
    this.#byAddress.set(address, texts.add(text));
    return entry;
  }

  #drop(text: VirtualServerKeyText): void {
    const address = this.#entries.get(text)?.key.address;
    this.#entries.delete(text);
    this.#dirty.delete(text);
    this.#failed.delete(text);
    if (address === undefined) return;
    const texts = this.#byAddress.get(address);
    texts?.delete(text);
    if (texts?.size === 0) this.#byAddress.delete(address);
  }
}

function union(sets: Iterable<ReadonlySet<IpAddress>>): Set<IpAddress> {
  const all = new Set<IpAddress>();
  for (const set of sets) for (const address of set) all.add(address);
  return all;
}
