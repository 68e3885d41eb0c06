import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import { formatVirtualServerKey, type VirtualServer } from '../model/virtual-server.ts';
import { AddressIndex } from './address-index.ts';
import type { LaneEntries, LaneEntry } from './lane-entries.ts';

/** What the Services shall have on one director, those that shall have nothing any more, and those that must not be touched. */
export class LaneIntents {
  readonly #entries: LaneEntries;
  readonly #services = new Map<ServiceKey, readonly LaneEntry[]>();
  /** Addresses at which nothing of the Service shall remain. */
  readonly #leaving = new AddressIndex();
  readonly #leavingUnknown = new Set<ServiceKey>();
  readonly #frozen = new AddressIndex();
  /** Of frozen Services that have their addresses beside others: the ports that are theirs, as `TCP/80`. */
  readonly #frozenPorts = new Map<ServiceKey, readonly string[]>();

  constructor(entries: LaneEntries) {
    this.#entries = entries;
  }

  /** Whether the Service has been assigned. */
  has(service: ServiceKey): boolean {
    return this.#services.has(service);
  }

  /** Entries of an assigned Service. */
  entriesOf(service: ServiceKey): readonly LaneEntry[] | undefined {
    return this.#services.get(service);
  }

  /** Whether the Service shall have something at the address. */
  serves(service: ServiceKey, address: IpAddress): boolean {
    return this.#services.get(service)?.some(({ key }) => key.address === address) ?? false;
  }

  /** Services that leave something behind, with the addresses; none when they are not known. */
  get leaving(): Pick<AddressIndex, 'has' | 'services' | 'addressesOf' | 'at'> {
    return this.#leaving;
  }

  /** Services that leave something behind of which not even the address is known. */
  leavingUnknown(): Iterable<ServiceKey> {
    return this.#leavingUnknown;
  }

  /** True while at least one Service must not be touched. */
  get partlyFrozen(): boolean {
    return this.#frozen.size > 0;
  }

  /** Whether the entry belongs to a Service, or has an address, that must not be touched. */
  isFrozen({ wanted, key }: LaneEntry): boolean {
    if (wanted !== undefined) return this.#frozen.has(wanted.service);
    for (const service of this.#frozen.at(key.address)) if (this.#isPortOf(service, key) !== false) return true;
    return false;
  }

  /** Whether nobody is known to want the entry, but it is at a port that belongs to a frozen Service beside others. */
  isFrozenBeside({ wanted, key }: LaneEntry): boolean {
    if (wanted !== undefined) return false;
    for (const service of this.#frozen.at(key.address)) if (this.#isPortOf(service, key) === true) return true;
    return false;
  }

  /**
   * Makes these virtual servers the whole of what the Service shall have; at its addresses and those it gives up nothing else shall
   * remain.
   *
   * @returns true when that changed anything.
   * @throws when another Service already has one of the keys: one address, protocol and port belongs to one Service (invariant I1).
   */
  assign(service: ServiceKey, virtualServers: readonly VirtualServer[], givingUp: readonly IpAddress[]): boolean {
    this.#refuseForeign(service, virtualServers);
    const before = this.#services.get(service) ?? [];
    const after = virtualServers.map((server) => this.#entries.of(server));
    let changed = this.#frozen.delete(service);
    for (const entry of before) {
      if (after.includes(entry)) continue;
      this.#entries.unwant(entry);
      changed = true;
    }
    for (const [index, server] of virtualServers.entries()) {
      changed = this.#want(after[index] as LaneEntry, service, server) || changed;
    }
    this.#services.set(service, after);
    for (const { address } of virtualServers) changed = this.#entries.clear(address) || changed;
    if (givingUp.length === 0) this.#stay(service);
    else changed = this.#leave(service, new Set(givingUp)) || changed;
    return changed;
  }

  /**
   * The Service shall have nothing any more, in particular nothing at these addresses that nobody else wants. Without any address (they are
   * not known after a restart) it waits until nothing at all is left over.
   */
  withdraw(service: ServiceKey, addresses: Iterable<IpAddress>): boolean {
    const entries = this.#services.get(service) ?? [];
    const all = new Set([...addresses, ...entries.map(({ key }) => key.address)]);
    const thawed = this.#frozen.delete(service);
    for (const entry of entries) this.#entries.unwant(entry);
    this.#services.delete(service);
    return this.#leave(service, all) || thawed || entries.length > 0;
  }

  /**
   * Nothing of this Service, and nothing at these addresses, shall be changed until it is assigned or withdrawn.
   *
   * @param ports only these are its own at the addresses, as `TCP/80`; all when undefined.
   */
  freeze(service: ServiceKey, addresses: Iterable<IpAddress>, ports?: readonly string[]): void {
    if (ports === undefined) this.#frozenPorts.delete(service);
    else this.#frozenPorts.set(service, ports);
    const own = this.#services.get(service)?.map(({ key }) => key.address) ?? [];
    this.#frozen.set(service, new Set([...addresses, ...own]));
  }

  /** The Service is about to be assigned: what stands in its way may be touched. */
  thaw(service: ServiceKey): void {
    this.#frozen.delete(service);
  }

  /** Forgets a withdrawn Service. Call it when its absence has been acted on. */
  forget(service: ServiceKey): void {
    this.#stay(service);
    this.#frozen.delete(service);
  }

  /** What may be touched and is wanted. */
  *touchable(): Iterable<LaneEntry> {
    for (const [service, entries] of this.#services) if (!this.#frozen.has(service)) yield* entries;
  }

  /** Whether a frozen Service has the port beside others; undefined when it has the whole address. */
  #isPortOf(service: ServiceKey, { protocol, port }: LaneEntry['key']): boolean | undefined {
    return this.#frozenPorts.get(service)?.includes(`${protocol}/${port}`);
  }

  #want(entry: LaneEntry, service: ServiceKey, server: VirtualServer): boolean {
    const print = JSON.stringify(server);
    const same = entry.wanted?.print === print;
    if (!same) {
      entry.wanted = { service, server, print };
      this.#entries.setFailure(entry, undefined);
    }
    if (entry.written === print) this.#entries.unmarkDirty(entry);
    else if (entry.failure === undefined) return this.#entries.markDirty(entry) || !same;
    return !same;
  }

  #leave(service: ServiceKey, addresses: ReadonlySet<IpAddress>): boolean {
    const before = this.#leaving.addressesOf(service);
    const all = new Set([...(before ?? []), ...addresses]);
    this.#leaving.set(service, all);
    if (all.size === 0) this.#leavingUnknown.add(service);
    else this.#leavingUnknown.delete(service);
    let changed = false;
    for (const address of all) changed = this.#entries.clear(address) || changed;
    return changed || before === undefined;
  }

  #stay(service: ServiceKey): void {
    this.#leaving.delete(service);
    this.#leavingUnknown.delete(service);
  }

  #refuseForeign(service: ServiceKey, virtualServers: readonly VirtualServer[]): void {
    for (const server of virtualServers) {
      const text = formatVirtualServerKey(server);
      const other = this.#entries.get(text)?.wanted?.service;
      if (other === undefined || other === service) continue;
      throw new Error(`${service} and ${other} both claim ${text}: the address book gave one address to two Services`);
    }
  }
}
