import { createHash } from 'node:crypto';
import type {
  ApplyRequest,
  ApplyResult,
  HelperError,
  ReadKeysResult,
  TableCounts,
} from '../../operator/controllers/ports.ts';
import { compareAddresses, type IpAddress } from '../../operator/model/ip-address.ts';
import {
  compareVirtualServerKeys,
  formatVirtualServerKey,
  type RealServer,
  type VirtualServer,
  type VirtualServerKey,
} from '../../operator/model/virtual-server.ts';
import {
  addressAddition,
  addressRemoval,
  canonicalText,
  changesOf,
  inOrder,
  type PlannedChange,
  virtualServerRemoval,
} from './fake-director-changes.ts';
import { FakeDirectorDrains } from './fake-director-drains.ts';
import { FakeDirectorHost, NO_CONNTRACK } from './fake-director-host.ts';
import { type FakePolicy, forbidden, insideAny, nonsense } from './fake-director-refusals.ts';

/** Why one virtual server is not as requested; its key is added. */
type Problem = Omit<HelperError, 'object'>;

/** What one request did so far. */
interface Progress {
  readonly changes: PlannedChange[];
  readonly errors: HelperError[];
  readonly failed: VirtualServerKey[];
  /** Addresses of the virtual servers that are now as requested. */
  readonly wanted: Set<IpAddress>;
  /** Addresses that the request may take away: those of its keys, or all. */
  readonly touched: Set<IpAddress>;
  /** Why nothing is deleted of these. */
  readonly kept: ReadonlyMap<string, string>;
}

/**
 * One owner's view of a director's kernel, with the helper's semantics (docs/wire-protocol.md): ledger, orphans, foreign
 * entries, policy, fencing, writes counted, read-back. The contract suite holds it to what the real helper does.
 */
export class FakeDirectorTable {
  /** May be replaced at any time, as an administrator may edit the file. */
  policy: FakePolicy;
  /** Writes that the kernel refuses, by key text, with the error it gives. */
  readonly refusals = new Map<string, Omit<HelperError, 'object'>>();
  epoch = 0;
  generation = 0;
  totalWrites = 0;
  #kernel = new Map<string, VirtualServer>();
  #ledger = new Set<string>();
  /** Addresses on interfaces, whoever put them there; those that we put there. */
  #held = new Map<IpAddress, string>();
  #ownAddresses = new Map<IpAddress, string>();
  #drains: FakeDirectorDrains;
  /** The kernel's own settings. */
  readonly host = new FakeDirectorHost();

  /** @param now - monotonic milliseconds, for drains */
  constructor(policy: FakePolicy, now: () => number = () => performance.now()) {
    this.policy = policy;
    this.#drains = new FakeDirectorDrains(now);
  }

  /** Every virtual server in the kernel, whoever made it, in order; without the real servers that are leaving it. */
  virtualServers(): VirtualServer[] {
    return [...this.#kernel.values()].sort(compareVirtualServerKeys);
  }

  virtualServer(key: VirtualServerKey): VirtualServer | undefined {
    return this.#kernel.get(formatVirtualServerKey(key));
  }

  /** Real servers of the virtual server that are on their way out, at weight 0. */
  draining(key: VirtualServerKey): RealServer[] {
    this.#settleDrains();
    return this.#drains.of(key);
  }

  addresses(): IpAddress[] {
    return [...this.#held.keys()].sort(compareAddresses);
  }

  /** Somebody else writes into the kernel: foreign outside the owner's ranges, an orphan inside. No ledger entry. */
  addBehindOurBack(virtualServer: VirtualServer): void {
    this.#kernel.set(formatVirtualServerKey(virtualServer), virtualServer);
  }

  /** Somebody else deletes: the ledger still names it, the kernel has it no longer. */
  removeBehindOurBack(key: VirtualServerKey): void {
    this.#kernel.delete(formatVirtualServerKey(key));
    this.#drains.forget(formatVirtualServerKey(key));
  }

  /** Somebody else empties the kernel's table and takes every address away. */
  flushBehindOurBack(): void {
    this.#kernel.clear();
    this.#held.clear();
    this.#drains.forget();
  }

  /** The ledger is lost and the kernel is not: what was ours becomes an orphan, and fencing and counting begin anew. */
  loseLedger(): void {
    for (const [object, each] of this.#kernel) {
      this.#kernel.set(object, { ...each, realServers: [...each.realServers, ...this.#drains.of(each)] });
    }
    this.#ledger.clear();
    this.#ownAddresses.clear();
    this.#drains.forget();
    this.epoch = 0;
    this.generation = 0;
    this.totalWrites = 0;
  }

  /** A reboot loses all of it. */
  reboot(): void {
    this.loseLedger();
    this.flushBehindOurBack();
    this.host.reboot();
  }

  /** Carries out one apply, as the helper does: refuses it whole, or does what it can and lists what failed. */
  apply(request: ApplyRequest): { readonly ok: ApplyResult } | { readonly refused: HelperError } {
    const refused = this.#refusalOf(request);
    if (refused !== undefined) return { refused };
    this.#settleDrains();
    if (!request.dryRun) {
      this.epoch = request.epoch;
      this.generation = request.generation;
      const { changes, errors, failed } = this.#carryOut(request, this.#keptBy(request));
      this.totalWrites += changes.length;
      return { ok: { changes: inOrder(changes), errors, failed, writes: changes.length, ...this.#summary() } };
    }
    const { changes, errors, failed } = this.#copy().#carryOut(request, this.#keptBy(request));
    return { ok: { changes: inOrder(changes), errors, failed, writes: 0, ...this.#summary() } };
  }

  readKeys(): ReadKeysResult {
    this.#settleDrains();
    const { ours, orphans, foreign } = this.#classified();
    return {
      keys: ours.map(keyOf),
      foreign: foreign.map(keyOf),
      orphans: orphans.map(keyOf),
      addresses: [...this.#ownAddresses.keys()].filter((each) => this.#held.has(each)).sort(compareAddresses),
      ...this.#summary(),
    };
  }

  /** Equal for equal tables of the owner, on any fake director. Not the same text as the real helper's. */
  tableHash(): string {
    return createHash('sha256').update(this.#classified().ours.map(canonicalText).join('\n')).digest('hex');
  }

  counts(): TableCounts {
    const { ours, orphans, foreign } = this.#classified();
    return {
      virtualServers: ours.length,
      realServers: ours.reduce((sum, each) => sum + each.realServers.length, 0),
      draining: this.#drains.count(),
      foreign: foreign.length,
      orphans: orphans.length,
      activeConnections: 0,
      inactiveConnections: 0,
    };
  }

  #summary(): Pick<ApplyResult, 'totalWrites' | 'tableHash' | 'counts'> {
    return { totalWrites: this.totalWrites, tableHash: this.tableHash(), counts: this.counts() };
  }

  /** Why the request is refused as a whole. */
  #refusalOf(request: ApplyRequest): HelperError | undefined {
    if (request.scope === 'all' && request.absent.length > 0) {
      return { class: 'protocol', message: 'request is malformed: absent must be empty with scope all' };
    }
    if (!this.policy.interfaces.includes(request.interface)) {
      return { class: 'policy', message: `policy rule interfaces forbids VIPs on interface ${request.interface}` };
    }
    const { epoch, generation } = this;
    const older = request.epoch < epoch || (request.epoch === epoch && request.generation < generation);
    if (request.dryRun || !older) return undefined;
    const message =
      `epoch ${request.epoch} generation ${request.generation} is older than epoch ${epoch} generation ${generation}, ` +
      'which this director has accepted: a newer operator has written; stop writing';
    return { class: 'fenced', message, highest: { epoch, generation } };
  }

  /** With more deletions than the policy allows none is carried out, and all the rest. */
  #keptBy(request: ApplyRequest): ReadonlyMap<string, string> {
    const { maxDeletions } = this.policy;
    if (maxDeletions === undefined) return new Map();
    const deletions = this.#copy()
      .#carryOut(request)
      .changes.filter((change) => this.#drains.isDeletion(change));
    if (deletions.length <= maxDeletions) return new Map();
    const message =
      `policy rule owners.prod.maxDeletionsPerRequest (${maxDeletions}) forbids the ${deletions.length} deletions ` +
      'of this request; none was carried out';
    return new Map(deletions.map(({ object }) => [object, message]));
  }

  #carryOut(request: ApplyRequest, kept: Progress['kept'] = new Map()): Progress {
    const progress: Progress = { changes: [], errors: [], failed: [], wanted: new Set(), touched: new Set(), kept };
    if (request.host !== undefined) this.host.set(request.host, this.policy, progress);
    const named = [...request.virtualServers, ...request.absent].map(formatVirtualServerKey);
    const twice = new Set(named.filter((each, index) => named.indexOf(each) !== index));
    for (const desired of request.virtualServers.toSorted(compareVirtualServerKeys)) {
      const message = kept.get(formatVirtualServerKey(desired));
      const possible = message === undefined ? desired : withAll(desired, this.virtualServer(desired));
      this.#put(possible, twice.has(formatVirtualServerKey(desired)), progress);
      if (message !== undefined) keep(progress, desired, message);
    }
    for (const key of request.absent.toSorted(compareVirtualServerKeys)) {
      this.#removeListed(key, twice.has(formatVirtualServerKey(key)), progress);
    }
    if (request.scope === 'all') {
      const { ours } = this.#classified();
      const unlisted = ours.filter((each) => !named.includes(formatVirtualServerKey(each)));
      for (const each of unlisted) this.#remove(each, progress);
      for (const address of this.#ownAddresses.keys()) progress.touched.add(address);
    }
    this.#settleAddresses(request.interface, progress);
    return progress;
  }

  #put(desired: VirtualServer, isTwice: boolean, progress: Progress): void {
    const object = formatVirtualServerKey(desired);
    const present = this.#kernel.get(object);
    const changes = this.#drains.changesOf(desired, present, changesOf(desired, present));
    const problem = this.#problemOfPut(desired, isTwice, changes.length > 0);
    if (problem !== undefined) {
      refuse(progress, desired, problem);
      return;
    }
    this.#drains.carryOut(desired, present);
    this.#kernel.set(object, desired);
    this.#ledger.add(object);
    progress.changes.push(...changes);
    progress.wanted.add(desired.address);
    progress.touched.add(desired.address);
  }

  #problemOfPut(desired: VirtualServer, isTwice: boolean, writes: boolean): Problem | undefined {
    const object = formatVirtualServerKey(desired);
    const problem = isTwice ? 'it is listed more than once' : nonsense(desired);
    if (problem !== undefined) return { class: 'object', message: problem };
    if (desired.masquerade === true && !this.host.tracksConnections)
      return { class: 'permanent', message: NO_CONNTRACK };
    const rule = forbidden(this.policy, desired);
    if (rule !== undefined) return { class: 'policy', message: rule };
    if (writes && this.#kernel.has(object) && !this.#ledger.has(object)) {
      return { class: 'collision', message: 'it exists on this director with other contents and was not made by us' };
    }
    return writes ? this.refusals.get(object) : undefined;
  }

  #removeListed(key: VirtualServerKey, isTwice: boolean, progress: Progress): void {
    const problem = this.#problemOfRemoval(key, isTwice);
    if (problem === undefined) this.#remove(key, progress);
    else refuse(progress, key, problem);
  }

  #problemOfRemoval(key: VirtualServerKey, isTwice: boolean): Problem | undefined {
    const object = formatVirtualServerKey(key);
    if (isTwice) return { class: 'object', message: 'it is listed more than once' };
    if (!insideAny(this.policy.addresses, key.address)) {
      return { class: 'policy', message: `policy rule virtualServers forbids address ${key.address}` };
    }
    if (this.#kernel.has(object) && !this.#ledger.has(object)) {
      return { class: 'collision', message: 'it shall be absent, but was not made by us and is left alone' };
    }
    return undefined;
  }

  #remove(key: VirtualServerKey, progress: Progress): void {
    const object = formatVirtualServerKey(key);
    const message = progress.kept.get(object);
    if (message !== undefined) {
      keep(progress, key, message);
      return;
    }
    const refusal = this.#kernel.has(object) ? this.refusals.get(object) : undefined;
    if (refusal !== undefined) {
      refuse(progress, key, refusal);
      return;
    }
    progress.touched.add(key.address);
    this.#ledger.delete(object);
    this.#drains.forget(object);
    if (this.#kernel.delete(object)) progress.changes.push(virtualServerRemoval(object));
  }

  /** An address is carried as long as one virtual server of ours has it, on the interface of the last request. */
  #settleAddresses(on: string, { wanted, touched, changes }: Progress): void {
    for (const address of [...wanted].sort(compareAddresses)) {
      const before = this.#held.get(address);
      if (before === on) continue;
      this.#held.set(address, on);
      changes.push(addressAddition(address, on));
      if (before !== undefined && this.#ownAddresses.has(address)) changes.push(addressRemoval(address, before));
      this.#ownAddresses.set(address, on);
    }
    const used = new Set(this.#classified().ours.map((each) => each.address));
    for (const [address, where] of [...this.#ownAddresses].sort(([a], [b]) => compareAddresses(a, b))) {
      if (used.has(address) || !touched.has(address) || !insideAny(this.policy.addresses, address)) continue;
      this.#ownAddresses.delete(address);
      if (this.#held.delete(address)) changes.push(addressRemoval(address, where));
    }
  }

  /** What `serve` does about once a second, done when somebody looks. */
  #settleDrains(): void {
    this.totalWrites += this.#drains.settle();
  }

  /** Whose each virtual server is. What leaves the policy's ranges is nobody's of ours any more, ledger or not. */
  #classified(): { ours: VirtualServer[]; orphans: VirtualServer[]; foreign: VirtualServer[] } {
    const result = { ours: [] as VirtualServer[], orphans: [] as VirtualServer[], foreign: [] as VirtualServer[] };
    for (const each of this.virtualServers()) {
      if (!insideAny(this.policy.addresses, each.address)) result.foreign.push(each);
      else if (this.#ledger.has(formatVirtualServerKey(each))) result.ours.push(each);
      else result.orphans.push(each);
    }
    return result;
  }

  /** For dry runs: the same state, to be thrown away. */
  #copy(): FakeDirectorTable {
    const copy = new FakeDirectorTable(this.policy);
    for (const [object, error] of this.refusals) copy.refusals.set(object, error);
    copy.#kernel = new Map(this.#kernel);
    copy.#ledger = new Set(this.#ledger);
    copy.#held = new Map(this.#held);
    copy.#ownAddresses = new Map(this.#ownAddresses);
    copy.#drains = this.#drains.copy();
    copy.host.become(this.host);
    return copy;
  }
}

function keyOf({ address, port, protocol }: VirtualServerKey): VirtualServerKey {
  return { address, port, protocol };
}

/** As desired, and with the real servers that are there. */
function withAll(desired: VirtualServer, present: VirtualServer | undefined): VirtualServer {
  const wanted = new Set(desired.realServers.map(({ address, port }) => `${address} ${port}`));
  const others = present?.realServers.filter(({ address, port }) => !wanted.has(`${address} ${port}`)) ?? [];
  return { ...desired, realServers: [...desired.realServers, ...others] };
}

function keep(progress: Progress, key: VirtualServerKey, message: string): void {
  progress.errors.push({ class: 'policy', message, object: formatVirtualServerKey(key) });
  progress.failed.push(keyOf(key));
}

/** A key that is listed twice is refused once. */
function refuse(progress: Progress, key: VirtualServerKey, problem: Problem): void {
  const object = formatVirtualServerKey(key);
  if (progress.errors.some((each) => each.object === object)) return;
  progress.errors.push({ ...problem, message: `${object}: ${problem.message}`, object });
  progress.failed.push(keyOf(key));
}
