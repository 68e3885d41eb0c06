import { listInWords } from '../lib/list-in-words.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import {
  compareVirtualServerKeys,
  formatVirtualServerKey,
  type VirtualServer,
  type VirtualServerKey,
  type VirtualServerKeyText,
} from '../model/virtual-server.ts';
import { deletionsOf, NO_DELETION_LIMIT } from './lane-deletions.ts';
import { isLeftover, type KeyFailure, LaneEntries, type LaneEntry } from './lane-entries.ts';
import { LaneIntents } from './lane-intents.ts';

/** What a director holds of one Service, as far as it has been read back from its kernel. */
export type Confirmation =
  | { readonly kind: 'Programmed' }
  | { readonly kind: 'Pending' }
  | { readonly kind: 'Failed'; readonly message: string };

/** One request to the director: virtual servers to be made equal, and keys to be removed. */
export interface Batch {
  readonly virtualServers: readonly VirtualServer[];
  readonly absent: readonly VirtualServerKey[];
}

/**
 * What one director shall hold and what it is known to hold. Pure bookkeeping: the lane decides when to talk. Removals follow from
 * intents only; any other surplus is for the guard to judge.
 */
export class LaneTable {
  readonly intents: LaneIntents;
  readonly #entries = new LaneEntries();
  /** Services that wait until something is removed that is not theirs. */
  readonly #expecting = new Set<ServiceKey>();
  /** The director's keys have been read and nobody has been told: what a Service leaves may turn out not to be there. */
  #justRead = false;

  constructor() {
    this.intents = new LaneIntents(this.#entries);
  }

  confirmation(service: ServiceKey): Confirmation {
    const entries = this.intents.entriesOf(service);
    if (entries === undefined) return { kind: 'Pending' };
    const failures = entries.flatMap(({ failure }) => failure?.message ?? []);
    if (failures.length > 0) return { kind: 'Failed', message: failures.join(' ') };
    const programmed = entries.every(({ wanted, written }) => wanted !== undefined && written === wanted.print);
    return { kind: programmed ? 'Programmed' : 'Pending' };
  }

  /** Whether the director may hold something of what an assigned Service shall have here; undefined before its table was read. */
  holds(service: ServiceKey): boolean | undefined {
    if (!this.#entries.read) return undefined;
    return this.intents.entriesOf(service)?.some(({ mayBePresent }) => mayBePresent) ?? false;
  }

  /** What the director refuses, in no particular order. */
  failures(): KeyFailure[] {
    return [...this.#entries.failed].flatMap(({ failure }) => failure ?? []);
  }

  /** True when the director has said that it holds nothing at the addresses the Service has left, but for what is wanted there. */
  absent(service: ServiceKey): boolean {
    if (!this.#entries.read) return false;
    const addresses = this.intents.leaving.addressesOf(service);
    if (addresses === undefined) return true;
    if (addresses.size > 0) return this.#isVacant(addresses);
    // Its addresses are not known: whatever is left over may be its.
    const { explained, unexplained } = this.surplus();
    return explained.length + unexplained.length === 0;
  }

  /**
   * Whether the director holds nothing at these addresses but what is wanted there; undefined while its table has not been read. What
   * does not belong there is removed, and the Service among those that {@link confirm} then names.
   */
  offers(service: ServiceKey, addresses: readonly IpAddress[]): boolean | undefined {
    if (!this.#entries.read) return undefined;
    if (this.#isVacant(addresses)) return true;
    this.intents.thaw(service);
    for (const address of addresses) this.#entries.clear(address);
    this.#expecting.add(service);
    return false;
  }

  /** What is in the way at these addresses, and why it is not removed where the director refuses that; undefined when nothing is. */
  leftAt(addresses: readonly IpAddress[]): string | undefined {
    const left = addresses.flatMap((each) => [...this.#entries.at(each)].filter((entry) => this.#isInTheWay(entry)));
    if (left.length === 0) return undefined;
    const names = listInWords(left.map(({ text }) => text).sort(), 3);
    const cause = left.find(({ failure }) => failure !== undefined)?.failure?.message;
    return cause === undefined ? names : `${names} (${cause})`;
  }

  /** Why the virtual servers of a withdrawn Service cannot be removed, or undefined. */
  removalFailure(service: ServiceKey): string | undefined {
    const messages: string[] = [];
    for (const address of this.intents.leaving.addressesOf(service) ?? []) {
      for (const entry of this.#entries.at(address)) {
        if (isLeftover(entry) && entry.failure !== undefined) messages.push(entry.failure.message);
      }
    }
    return messages.length > 0 ? messages.join(' ') : undefined;
  }

  /** Another director is meant from now on: nothing is known of it, and it may hold anything. */
  forgetDirector(): void {
    this.#entries.forgetDirector();
  }

  /** Takes in the director's own list of keys. What is not in it is gone; what we did not know may stay until judged. */
  learn(keys: readonly VirtualServerKey[]): void {
    this.#entries.read = true;
    this.#justRead = true;
    const present = new Set(keys.map((key) => formatVirtualServerKey(key)));
    for (const entry of this.#entries.all()) {
      if (present.has(entry.text)) continue;
      this.#entries.setAbsent(entry);
      if (entry.wanted === undefined) this.#entries.drop(entry);
    }
    for (const key of keys) this.#entries.of(key).mayBePresent = true;
  }

  /** Which of the keys that the director has just been read to hold are nothing we know of. */
  unknown(keys: readonly VirtualServerKey[]): readonly VirtualServerKey[] {
    return keys.filter((key) => this.#entries.get(formatVirtualServerKey(key)) === undefined);
  }

  /** Everything that shall be here and may be touched, in the order of the wire. */
  desired(): VirtualServer[] {
    return serversOf(this.intents.touchable());
  }

  /** As {@link desired}, without what is still to be sent. */
  settled(): VirtualServer[] {
    return serversOf([...this.intents.touchable()].filter((entry) => !this.#entries.dirty.has(entry)));
  }

  /** Size of a request that carries the whole table: virtual servers plus real servers. */
  weight(): number {
    let weight = 0;
    for (const entry of this.#entries.all()) weight += weightOf(entry);
    return weight;
  }

  /** Everything that may be touched shall be sent, and these removed. */
  markAllDirty(absent: readonly VirtualServerKey[]): void {
    for (const entry of this.intents.touchable()) this.#entries.markDirty(entry);
    for (const key of absent) this.#entries.markDirty(this.#entries.of(key));
  }

  /**
   * Keys the director may hold though nothing wants them, without those that must not be touched. `explained`: a withdrawn Service had
   * the address, or an assigned one has it and no longer wants this key.
   */
  surplus(): { readonly explained: VirtualServerKey[]; readonly unexplained: VirtualServerKey[] } {
    const explained: VirtualServerKey[] = [];
    const unexplained: VirtualServerKey[] = [];
    for (const entry of this.#entries.all()) {
      if (!isLeftover(entry) || this.intents.isFrozen(entry)) continue;
      const { key } = entry;
      const expected = this.intents.leaving.at(key.address).size > 0 || this.#isServed(key.address);
      (expected ? explained : unexplained).push(key);
    }
    return {
      explained: explained.sort(compareVirtualServerKeys),
      unexplained: unexplained.sort(compareVirtualServerKeys),
    };
  }

  /** True when something is to be sent now. */
  hasDirty(now: number): boolean {
    for (const entry of this.#entries.failed) {
      if (entry.failure !== undefined && entry.failure.retryAt <= now) this.#entries.markDirty(entry);
    }
    return this.#entries.dirty.size > 0;
  }

  /** When the next failed key is due to be tried again, or undefined. */
  nextRetry(): number | undefined {
    let next: number | undefined;
    for (const { failure } of this.#entries.failed) {
      if (failure !== undefined && (next === undefined || failure.retryAt < next)) next = failure.retryAt;
    }
    return next;
  }

  /**
   * Takes what is to be sent, up to the weight (virtual servers plus real servers), and leaves out what must not be touched: first what is not
   * on the director yet, for somebody waits for it, and never before what is to be removed at its address. What would mean more deletions
   * than the director allows waits, unless it does so by itself. The caller gives it back with {@link confirm} or {@link giveBack}.
   */
  takeDirty(maxWeight: number, budget = NO_DELETION_LIMIT): Batch {
    const virtualServers: VirtualServer[] = [];
    const absent: VirtualServerKey[] = [];
    let weight = 0;
    let deletions = 0;
    /** At which something that is to be removed waits. */
    const occupied = new Set<IpAddress>();
    for (const entry of this.#inOrder()) {
      if (weight >= maxWeight) break;
      if (this.intents.isFrozen(entry)) {
        this.#entries.unmarkDirty(entry);
        continue;
      }
      const more = deletionsOf(entry, budget.guess);
      if (more > 0 && deletions > 0 && deletions + more > budget.limit) {
        if (entry.wanted === undefined) occupied.add(entry.key.address);
        continue;
      }
      if (!entry.mayBePresent && occupied.has(entry.key.address)) continue;
      deletions += more;
      this.#entries.unmarkDirty(entry);
      if (entry.wanted !== undefined) virtualServers.push(entry.wanted.server);
      else absent.push(entry.key);
      weight += 1 + weightOf(entry);
    }
    return {
      virtualServers: virtualServers.sort(compareVirtualServerKeys),
      absent: absent.sort(compareVirtualServerKeys),
    };
  }

  /** What is to be sent, in the order of {@link takeDirty}. */
  #inOrder(): Iterable<LaneEntry> {
    const { dirty } = this.#entries;
    const order = new Set<LaneEntry>();
    for (const entry of dirty) {
      if (entry.written !== undefined || entry.lastRead !== undefined) continue;
      for (const other of this.#entries.at(entry.key.address))
        if (isLeftover(other) && dirty.has(other)) order.add(other);
      order.add(entry);
    }
    for (const entry of dirty) order.add(entry);
    return order;
  }

  /** To be called before sending: from now on the director may hold these, whatever becomes of the answer. */
  sending(batch: Batch): void {
    for (const server of batch.virtualServers) {
      const entry = this.#entries.of(server);
      entry.wasPresent = entry.mayBePresent;
      entry.mayBePresent = true;
      if (entry.written !== printOf(entry, server)) entry.written = undefined;
    }
  }

  /** How many deletions the batch will mean, as far as known; to be asked before {@link sending}. */
  deletions({ virtualServers, absent }: Batch, guess: number): number {
    let sum = 0;
    for (const key of [...virtualServers, ...absent]) {
      const entry = this.#entries.get(formatVirtualServerKey(key));
      if (entry !== undefined) sum += deletionsOf(entry, guess);
    }
    return sum;
  }

  /** What is known of these has turned out to be wrong. */
  doubt(texts: Iterable<VirtualServerKeyText>): void {
    for (const text of texts) {
      const entry = this.#entries.get(text);
      if (entry !== undefined) entry.lastRead = undefined;
    }
  }

  /** The answer did not come or said to try again. */
  giveBack(batch: Batch): void {
    for (const key of [...batch.virtualServers, ...batch.absent]) {
      const entry = this.#entries.get(formatVirtualServerKey(key));
      if (entry !== undefined) this.#entries.markDirty(entry);
    }
  }

  /**
   * Takes in the answer to a batch: everything in it is as asked, but for the failures.
   *
   * @returns the Services whose confirmation or absence may have changed.
   */
  confirm(batch: Batch, failures: ReadonlyMap<VirtualServerKeyText, KeyFailure>): Set<ServiceKey> {
    const touched = new Set(this.#expecting);
    this.#expecting.clear();
    if (this.#justRead) for (const service of this.intents.leaving.services()) touched.add(service);
    this.#justRead = false;
    for (const server of batch.virtualServers) {
      const entry = this.#entries.of(server);
      this.#confirmPresent(entry, server, failures.get(entry.text));
      if (entry.wanted !== undefined) touched.add(entry.wanted.service);
      for (const service of this.intents.leaving.at(server.address)) touched.add(service);
    }
    for (const key of batch.absent) {
      const entry = this.#entries.get(formatVirtualServerKey(key));
      if (entry !== undefined) this.#confirmAbsent(entry, failures.get(entry.text));
      for (const service of this.intents.leaving.at(key.address)) touched.add(service);
    }
    for (const service of this.intents.leavingUnknown()) touched.add(service);
    return touched;
  }

  #confirmPresent(entry: LaneEntry, server: VirtualServer, failure: KeyFailure | undefined): void {
    const print = printOf(entry, server);
    this.#entries.setFailure(entry, failure);
    entry.written = failure === undefined ? print : undefined;
    if (failure === undefined) entry.lastRead = server;
    if (failure?.untouched === true) entry.mayBePresent = entry.wasPresent;
    if (entry.wanted === undefined) this.#entries.unwant(entry);
    else if (entry.wanted.print === print) this.#entries.unmarkDirty(entry);
    else this.#entries.markDirty(entry);
  }

  #confirmAbsent(entry: LaneEntry, failure: KeyFailure | undefined): void {
    const remains = failure !== undefined && !failure.notOurs;
    this.#entries.setFailure(entry, remains ? failure : undefined);
    if (remains) return;
    this.#entries.setAbsent(entry);
    if (entry.wanted === undefined) this.#entries.drop(entry);
    else this.#entries.markDirty(entry);
  }

  #isVacant(addresses: Iterable<IpAddress>): boolean {
    for (const address of addresses) {
      for (const entry of this.#entries.at(address)) if (this.#isInTheWay(entry)) return false;
    }
    return true;
  }

  #isInTheWay(entry: LaneEntry): boolean {
    return isLeftover(entry) && !this.intents.isFrozenBeside(entry);
  }

  #isServed(address: IpAddress): boolean {
    for (const { wanted } of this.#entries.at(address)) if (wanted !== undefined) return true;
    return false;
  }
}

function serversOf(entries: Iterable<LaneEntry>): VirtualServer[] {
  return [...entries].flatMap(({ wanted }) => wanted?.server ?? []).sort(compareVirtualServerKeys);
}

/** The one copy of it that is kept, if what was sent is still what is wanted. */
function printOf({ wanted }: LaneEntry, server: VirtualServer): string {
  return wanted?.server === server ? wanted.print : JSON.stringify(server);
}

function weightOf({ wanted }: LaneEntry): number {
  return wanted === undefined ? 0 : 1 + wanted.server.realServers.length;
}
