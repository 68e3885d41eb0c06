import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import {
  formatVirtualServerKey,
  type VirtualServer,
  type VirtualServerKey,
  type VirtualServerKeyText,
} from '../model/virtual-server.ts';
import type { HelperError } from './ports.ts';

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

/** One virtual server of one director: what is wanted of it, and what is known of it. */
export interface LaneEntry {
  readonly text: VirtualServerKeyText;
  readonly key: VirtualServerKey;
  wanted: { readonly service: ServiceKey; readonly server: VirtualServer; readonly print: string } | undefined;
  /** Print of the virtual server that was read back last. */
  written: string | undefined;
  /** The virtual server that was read back last, also while something else has been sent since; undefined when none is known. */
  lastRead: VirtualServer | undefined;
  /** False only when the director has said so. */
  mayBePresent: boolean;
  /** `mayBePresent` before the request in flight. */
  wasPresent: boolean;
  failure: KeyFailure | undefined;
}

/** The entries of one director, found by key and by address, and which of them are to be sent. */
export class LaneEntries {
  readonly #entries = new Map<VirtualServerKeyText, LaneEntry>();
  readonly #byAddress = new Map<IpAddress, Set<LaneEntry>>();
  readonly #dirty = new Set<LaneEntry>();
  readonly #failed = new Set<LaneEntry>();
  /** True when the director's own list of keys has been seen at least once: what is not among the entries is not there. */
  read = false;

  /** To be sent, in order of becoming so. */
  get dirty(): ReadonlySet<LaneEntry> {
    return this.#dirty;
  }

  /** Refused by the director. */
  get failed(): ReadonlySet<LaneEntry> {
    return this.#failed;
  }

  all(): Iterable<LaneEntry> {
    return this.#entries.values();
  }

  get(text: VirtualServerKeyText): LaneEntry | undefined {
    return this.#entries.get(text);
  }

  at(address: IpAddress): Iterable<LaneEntry> {
    return this.#byAddress.get(address) ?? [];
  }

  /** The entry of a key, made when there is none. */
  of(key: VirtualServerKey): LaneEntry {
    const text = formatVirtualServerKey(key);
    const known = this.#entries.get(text);
    if (known !== undefined) return known;
    const { address, port, protocol } = key;
    const unknown = !this.read;
    const entry: LaneEntry = {
      text,
      key: { address, port, protocol },
      wanted: undefined,
      written: undefined,
      lastRead: undefined,
      mayBePresent: unknown,
      wasPresent: unknown,
      failure: undefined,
    };
    this.#entries.set(text, entry);
    this.#byAddress.set(address, (this.#byAddress.get(address) ?? new Set()).add(entry));
    return entry;
  }

  drop(entry: LaneEntry): void {
    const { address } = entry.key;
    this.#entries.delete(entry.text);
    this.#dirty.delete(entry);
    this.#failed.delete(entry);
    const others = this.#byAddress.get(address);
    others?.delete(entry);
    if (others?.size === 0) this.#byAddress.delete(address);
  }

  /** @returns true when it was not to be sent before. */
  markDirty(entry: LaneEntry): boolean {
    if (this.#dirty.has(entry)) return false;
    this.#dirty.add(entry);
    return true;
  }

  unmarkDirty(entry: LaneEntry): void {
    this.#dirty.delete(entry);
  }

  setFailure(entry: LaneEntry, failure: KeyFailure | undefined): void {
    entry.failure = failure;
    if (failure === undefined) this.#failed.delete(entry);
    else this.#failed.add(entry);
  }

  /** The director has said that it does not hold the entry. */
  setAbsent(entry: LaneEntry): void {
    entry.mayBePresent = false;
    entry.written = undefined;
    entry.lastRead = undefined;
  }

  /** Nothing is known any more: each may be there, as before the first reading. */
  forgetDirector(): void {
    this.read = false;
    for (const entry of this.all()) {
      entry.mayBePresent = true;
      entry.wasPresent = true;
      entry.written = undefined;
      entry.lastRead = undefined;
      this.setFailure(entry, undefined);
    }
  }

  /** Nobody wants the entry any more: it is to be removed, or forgotten when it is known not to be there. */
  unwant(entry: LaneEntry): void {
    entry.wanted = undefined;
    this.setFailure(entry, undefined);
    if (this.read && !entry.mayBePresent) this.drop(entry);
    else this.markDirty(entry);
  }

  /** Nothing that is not wanted shall remain at the address. @returns true when something has to go. */
  clear(address: IpAddress): boolean {
    let changed = false;
    for (const entry of this.at(address)) {
      if (isLeftover(entry) && entry.failure === undefined) changed = this.markDirty(entry) || changed;
    }
    return changed;
  }
}

/** Nobody wants it, and it may be there. */
export function isLeftover({ wanted, mayBePresent }: LaneEntry): boolean {
  return wanted === undefined && mayBePresent;
}
