import { createHash } from 'node:crypto';
import type {
  ApplyRequest,
  ApplyResult,
  HelperError,
  ReadKeysResult,
  TableChange,
  TableCounts,
} from '../../operator/controllers/ports.ts';
import { addressToNumber, compareAddresses, familyOf, type IpAddress } from '../../operator/model/ip-address.ts';
import {
  compareVirtualServerKeys,
  formatEndpoint,
  formatVirtualServerKey,
  type RealServer,
  type VirtualServer,
  type VirtualServerKey,
} from '../../operator/model/virtual-server.ts';

/** What a director's host lets this owner do; the fake's form of the policy file. */
export interface FakePolicy {
  /** CIDRs of virtual addresses. */
  readonly addresses: readonly string[];
  /** CIDRs of real servers. */
  readonly realServers: readonly string[];
}

/**
 * One owner's view of a director's kernel, with the helper's semantics (docs/wire-protocol.md): ledger, orphans, foreign
 * entries, policy, fencing, writes counted, read-back. The contract suite holds it to what the real helper does.
 */
export class FakeDirectorTable {
  readonly policy: FakePolicy;
  /** Objects that the kernel refuses, by key text, with the error it gives. */
  readonly refusals = new Map<string, HelperError>();
  epoch = 0;
  generation = 0;
  totalWrites = 0;
  #kernel = new Map<string, VirtualServer>();
  #ledger = new Set<string>();
  #addresses = new Set<IpAddress>();
  #ownAddresses = new Set<IpAddress>();

  constructor(policy: FakePolicy) {
    this.policy = policy;
  }

  /** Every virtual server in the kernel, whoever made it, in order. */
  virtualServers(): VirtualServer[] {
    return [...this.#kernel.values()].sort(compareVirtualServerKeys);
  }

  virtualServer(key: VirtualServerKey): VirtualServer | undefined {
    return this.#kernel.get(formatVirtualServerKey(key));
  }

  addresses(): IpAddress[] {
    return [...this.#addresses].sort(compareAddresses);
  }

  /** Somebody else writes into the kernel: foreign outside the owner's ranges, an orphan inside. No ledger entry. */
  addBehindOurBack(virtualServer: VirtualServer): void {
    this.#kernel.set(formatVirtualServerKey(virtualServer), virtualServer);
  }

  /** Somebody else deletes: the ledger still names it, the kernel has it no longer. */
  removeBehindOurBack(key: VirtualServerKey): void {
    this.#kernel.delete(formatVirtualServerKey(key));
  }

  /** A reboot loses all of it: table, addresses, ledger, fencing pair and write counter. */
  reboot(): void {
    this.#kernel.clear();
    this.#ledger.clear();
    this.#addresses.clear();
    this.#ownAddresses.clear();
    this.epoch = 0;
    this.generation = 0;
    this.totalWrites = 0;
  }

  /** Carries out one apply, as the helper does: refuses it whole, or does what it can and lists what failed. */
  apply(request: ApplyRequest): { readonly ok: ApplyResult } | { readonly refused: HelperError } {
    const malformed = problemOf(request);
    if (malformed !== undefined) return { refused: { class: 'protocol', message: malformed } };
    if (!request.dryRun && this.#fenced(request)) {
      return {
        refused: {
          class: 'fenced',
          message:
            `epoch ${request.epoch} generation ${request.generation} is older than ` +
            `epoch ${this.epoch} generation ${this.generation}, which this director has accepted`,
          highest: { epoch: this.epoch, generation: this.generation },
        },
      };
    }
    const work = request.dryRun ? this.#copy() : this;
    return { ok: work.#carryOut(request) };
  }

  readKeys(): ReadKeysResult {
    const { ours, orphans, foreign } = this.#classified();
    const keys = (list: readonly VirtualServer[]) =>
      list.map(({ address, port, protocol }) => ({ address, port, protocol }));
    return {
      keys: keys(ours),
      foreign: keys(foreign),
      orphans: keys(orphans),
      addresses: [...this.#ownAddresses].sort(compareAddresses),
      tableHash: this.tableHash(),
      totalWrites: this.totalWrites,
      counts: this.counts(),
    };
  }

  /** Equal for equal tables of the owner, on any fake director. Not the same text as the real helper's. */
  tableHash(): string {
    return createHash('sha256')
      .update(JSON.stringify(this.#classified().ours.map(canonical)))
      .digest('hex');
  }

  counts(): TableCounts {
    const { ours, orphans, foreign } = this.#classified();
    return {
      virtualServers: ours.length,
      realServers: ours.reduce((sum, each) => sum + each.realServers.length, 0),
      foreign: foreign.length,
      orphans: orphans.length,
      activeConnections: 0,
      inactiveConnections: 0,
    };
  }

  #fenced(request: ApplyRequest): boolean {
    return request.epoch < this.epoch || (request.epoch === this.epoch && request.generation < this.generation);
  }

  #carryOut(request: ApplyRequest): ApplyResult {
    this.epoch = request.epoch;
    this.generation = request.generation;
    const changes: TableChange[] = [];
    const errors: HelperError[] = [];
    const failed: VirtualServerKey[] = [];
    for (const desired of request.virtualServers) {
      const error = this.#refusal(desired);
      if (error === undefined) changes.push(...this.#put(desired));
      else {
        errors.push(error);
        failed.push(keyOf(desired));
      }
    }
    const listed = new Set(request.virtualServers.map(formatVirtualServerKey));
    const absent =
      request.scope === 'listed'
        ? request.absent
        : this.#classified().ours.filter((each) => !listed.has(formatVirtualServerKey(each)));
    for (const key of absent) {
      const error = this.#deletionRefusal(key);
      if (error === undefined) changes.push(...this.#remove(key));
      else {
        errors.push(error);
        failed.push(keyOf(key));
      }
    }
    changes.push(...this.#settleAddresses());
    this.totalWrites += changes.length;
    return {
      changes,
      errors,
      failed,
      writes: changes.length,
      totalWrites: this.totalWrites,
      tableHash: this.tableHash(),
      counts: this.counts(),
    };
  }

  #refusal(desired: VirtualServer): HelperError | undefined {
    const object = formatVirtualServerKey(desired);
    const forced = this.refusals.get(object);
    if (forced !== undefined) return { ...forced, object };
    if (!insideAny(this.policy.addresses, desired.address)) {
      return { class: 'policy', message: `the policy grants no range with address ${desired.address}`, object };
    }
    const stranger = desired.realServers.find((real) => !insideAny(this.policy.realServers, real.address));
    if (stranger !== undefined) {
      return { class: 'policy', message: `the policy allows no real server ${stranger.address}`, object };
    }
    const present = this.#kernel.get(object);
    if (present !== undefined && !this.#ledger.has(object) && !equal(present, desired)) {
      return { class: 'collision', message: `${object} exists with other contents and is not ours`, object };
    }
    return undefined;
  }

  #deletionRefusal(key: VirtualServerKey): HelperError | undefined {
    const object = formatVirtualServerKey(key);
    const forced = this.refusals.get(object);
    if (forced !== undefined) return { ...forced, object };
    if (!insideAny(this.policy.addresses, key.address)) {
      return { class: 'policy', message: `the policy grants no range with address ${key.address}`, object };
    }
    if (this.#kernel.has(object) && !this.#ledger.has(object)) {
      return { class: 'collision', message: `${object} exists and is not ours`, object };
    }
    return undefined;
  }

  #put(desired: VirtualServer): TableChange[] {
    const object = formatVirtualServerKey(desired);
    const present = this.#kernel.get(object);
    this.#kernel.set(object, desired);
    this.#ledger.add(object);
    if (present === undefined) {
      return [
        change('addVirtualServer', object, `add virtual server ${object} scheduler ${desired.scheduler}`),
        ...desired.realServers.map((real) => realServerChange('add', object, real)),
      ];
    }
    const before = new Map(present.realServers.map((real) => [realServerName(real), real]));
    const after = new Map(desired.realServers.map((real) => [realServerName(real), real]));
    const changes: TableChange[] = [];
    for (const [name, real] of after) {
      const old = before.get(name);
      if (old === undefined) changes.push(realServerChange('add', object, real));
      else if (!equal(old, real)) changes.push(realServerChange('edit', object, real));
    }
    if (!equal({ ...present, realServers: [] }, { ...desired, realServers: [] })) {
      changes.push(change('editVirtualServer', object, `edit virtual server ${object} scheduler ${desired.scheduler}`));
    }
    for (const [name, real] of before) {
      if (!after.has(name)) changes.push(realServerChange('delete', object, real));
    }
    return changes;
  }

  #remove(key: VirtualServerKey): TableChange[] {
    const object = formatVirtualServerKey(key);
    this.#ledger.delete(object);
    if (!this.#kernel.delete(object)) return [];
    return [change('deleteVirtualServer', object, `delete virtual server ${object}`)];
  }

  /** An address is carried as long as one virtual server of ours has it. */
  #settleAddresses(): TableChange[] {
    const wanted = new Set(this.#classified().ours.map((each) => each.address));
    const changes: TableChange[] = [];
    for (const address of wanted) {
      this.#ownAddresses.add(address);
      if (this.#addresses.has(address)) continue;
      this.#addresses.add(address);
      changes.push(change('addAddress', address, `add address ${address}`));
    }
    for (const address of [...this.#ownAddresses]) {
      if (wanted.has(address)) continue;
      this.#ownAddresses.delete(address);
      if (this.#addresses.delete(address)) changes.push(change('deleteAddress', address, `delete address ${address}`));
    }
    return changes;
  }

  #classified(): { ours: VirtualServer[]; orphans: VirtualServer[]; foreign: VirtualServer[] } {
    const result = { ours: [] as VirtualServer[], orphans: [] as VirtualServer[], foreign: [] as VirtualServer[] };
    for (const each of this.virtualServers()) {
      if (this.#ledger.has(formatVirtualServerKey(each))) result.ours.push(each);
      else if (insideAny(this.policy.addresses, each.address)) result.orphans.push(each);
      else result.foreign.push(each);
    }
    return result;
  }

  /** For dry runs: the same state, to be thrown away. */
  #copy(): FakeDirectorTable {
    const copy = new FakeDirectorTable(this.policy);
    for (const [object, error] of this.refusals) copy.refusals.set(object, error);
    copy.epoch = this.epoch;
    copy.generation = this.generation;
    copy.totalWrites = this.totalWrites;
    copy.#kernel = new Map(this.#kernel);
    copy.#ledger = new Set(this.#ledger);
    copy.#addresses = new Set(this.#addresses);
    copy.#ownAddresses = new Set(this.#ownAddresses);
    return copy;
  }
}

function problemOf(request: ApplyRequest): string | undefined {
  if (request.scope === 'all' && request.absent.length > 0) return 'scope all takes no absent keys';
  const seen = new Set<string>();
  for (const key of [...request.virtualServers, ...request.absent]) {
    const object = formatVirtualServerKey(key);
    if (seen.has(object)) return `${object} is named twice`;
    seen.add(object);
  }
  return undefined;
}

function keyOf({ address, port, protocol }: VirtualServerKey): VirtualServerKey {
  return { address, port, protocol };
}

function insideAny(ranges: readonly string[], address: IpAddress): boolean {
  return ranges.some((range) => {
    const [base, length] = range.split('/') as [IpAddress, string];
    if (familyOf(base) !== familyOf(address)) return false;
    const hostBits = BigInt((familyOf(base) === 'IPv4' ? 32 : 128) - Number(length));
    return addressToNumber(base) >> hostBits === addressToNumber(address) >> hostBits;
  });
}

function canonical(virtualServer: VirtualServer): unknown {
  const { address, port, protocol, scheduler, schedulerFlags, persistence, onePacket, realServers } = virtualServer;
  return [
    [address, port, protocol, scheduler, [...schedulerFlags].sort(), onePacket],
    persistence === undefined ? null : [persistence.timeoutSeconds, persistence.prefixLength],
    [...realServers]
      .sort((a, b) => (realServerName(a) < realServerName(b) ? -1 : 1))
      .map((real) => [
        realServerName(real),
        real.weight,
        real.forwardingMethod,
        real.upperThreshold,
        real.lowerThreshold,
      ]),
  ];
}

function equal(a: VirtualServer | RealServer, b: VirtualServer | RealServer): boolean {
  if ('realServers' in a && 'realServers' in b) return JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: object): unknown {
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}

function realServerName(real: RealServer): string {
  return formatEndpoint(real.address, real.port);
}

function change(kind: string, object: string, sentence: string): TableChange {
  return { kind, object, sentence };
}

function realServerChange(verb: 'add' | 'edit' | 'delete', object: string, real: RealServer): TableChange {
  const weight = verb === 'delete' ? '' : ` weight ${real.weight}`;
  const preposition = verb === 'add' ? 'to' : verb === 'edit' ? 'of' : 'from';
  return change(
    `${verb}RealServer`,
    object,
    `${verb} real server ${realServerName(real)}${weight} ${preposition} ${object}`,
  );
}
