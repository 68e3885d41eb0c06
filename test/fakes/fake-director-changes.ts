import type { TableChange } from '../../operator/controllers/ports.ts';
import type { IpAddress } from '../../operator/model/ip-address.ts';
import {
  compareRealServers,
  formatEndpoint,
  formatVirtualServerKey,
  type RealServer,
  type VirtualServer,
} from '../../operator/model/virtual-server.ts';

/** The order in which the helper makes changes: capacity comes before it goes, an address goes up last and comes down first. */
const PHASES = [
  'host',
  'new virtual servers',
  'real servers',
  'virtual servers',
  'new addresses',
  'drains',
  'removed real servers',
  'removed addresses',
  'removed virtual servers',
] as const;

export interface PlannedChange extends TableChange {
  /** Address and port of the real server that it is about. */
  readonly realServer?: string;
  readonly phase: (typeof PHASES)[number];
}

/** The changes of one request in the order in which they are made. */
export function inOrder(changes: readonly PlannedChange[]): TableChange[] {
  return changes
    .toSorted((a, b) => PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase))
    .map(({ kind, object, sentence }) => ({ kind, object, sentence }));
}

/** What makes `present` equal to `desired`. */
export function changesOf(desired: VirtualServer, present: VirtualServer | undefined): PlannedChange[] {
  const object = formatVirtualServerKey(desired);
  const realServers = desired.realServers.toSorted(compareRealServers);
  if (present === undefined) {
    const phase = 'new virtual servers';
    const sentence = `add virtual server ${object} with scheduler ${desired.scheduler}`;
    return [
      { kind: 'addVirtualServer', phase, object, sentence },
      ...realServers.map((real) => ({ ...additionOf(object, real), phase }) as const),
    ];
  }
  const before = new Map(present.realServers.map((real) => [nameOf(real), real]));
  const stays = new Set(realServers.map(nameOf));
  const changes: PlannedChange[] = [];
  if (contentsOf(desired) !== contentsOf(present)) {
    const sentence = `change virtual server ${object} to scheduler ${desired.scheduler}`;
    changes.push({ kind: 'editVirtualServer', phase: 'virtual servers', object, sentence });
  }
  for (const real of realServers) {
    const old = before.get(nameOf(real));
    if (old === undefined) changes.push(additionOf(object, real));
    else if (textOf(old) !== textOf(real)) changes.push(editOf(object, old, real));
  }
  for (const real of present.realServers.toSorted(compareRealServers)) {
    if (!stays.has(nameOf(real))) changes.push(removalOf(object, real));
  }
  return changes;
}

export function virtualServerRemoval(object: string): PlannedChange {
  const sentence = `delete virtual server ${object}`;
  return { kind: 'deleteVirtualServer', phase: 'removed virtual servers', object, sentence };
}

export function addressAddition(address: IpAddress, on: string): PlannedChange {
  const sentence = `add address ${address} to interface ${on}`;
  return { kind: 'addAddress', phase: 'new addresses', object: address, sentence };
}

export function addressRemoval(address: IpAddress, on: string): PlannedChange {
  const sentence = `delete address ${address} from interface ${on}`;
  return { kind: 'deleteAddress', phase: 'removed addresses', object: address, sentence };
}

function additionOf(object: string, real: RealServer): PlannedChange {
  const sentence = `add real server ${nameOf(real)} weight ${real.weight} to ${object}`;
  return { kind: 'addRealServer', phase: 'real servers', object, sentence, realServer: nameOf(real) };
}

function editOf(object: string, old: RealServer, real: RealServer): PlannedChange {
  const sentence = `change real server ${nameOf(real)} of ${object}: weight ${old.weight} to ${real.weight}`;
  return {
    kind: 'editRealServer',
    phase: real.weight === 0 && old.weight > 0 ? 'drains' : 'real servers',
    object,
    sentence,
  };
}

export function removalOf(object: string, real: RealServer): PlannedChange {
  const sentence = `delete real server ${nameOf(real)} from ${object}`;
  return { kind: 'deleteRealServer', phase: 'removed real servers', object, sentence, realServer: nameOf(real) };
}

/** Of one that is gone: no drain. */
export function removalAtOnceOf(object: string, real: RealServer): PlannedChange {
  return {
    ...removalOf(object, real),
    sentence: `delete real server ${nameOf(real)} from ${object} at once: it is gone`,
  };
}

/** Instead of a removal: to weight 0. */
export function drainOf(object: string, real: RealServer): PlannedChange {
  const sentence = `drain real server ${nameOf(real)} of ${object}: weight ${real.weight} to 0`;
  return { kind: 'drainRealServer', phase: 'drains', object, sentence, realServer: nameOf(real) };
}

/** Instead of an addition: the weight comes back. */
export function returnOf(object: string, real: RealServer): PlannedChange {
  const sentence = `take real server ${nameOf(real)} of ${object} back`;
  return { kind: 'undrainRealServer', phase: 'real servers', object, sentence, realServer: nameOf(real) };
}

function nameOf(real: RealServer): string {
  return formatEndpoint(real.address, real.port);
}

/** Equal for virtual servers that are equal in the kernel: flags in any order, real servers in any order. */
export function canonicalText(virtualServer: VirtualServer): string {
  const realServers = virtualServer.realServers.toSorted(compareRealServers).map(textOf);
  return JSON.stringify([formatVirtualServerKey(virtualServer), contentsOf(virtualServer), realServers]);
}

function contentsOf(virtualServer: VirtualServer): string {
  const { scheduler, schedulerFlags, persistence, onePacket, masquerade, sourceRanges, mssClamp } = virtualServer;
  const pinned = persistence && [persistence.timeoutSeconds, persistence.prefixLength];
  const rules = [masquerade === true, sourceRanges ?? [], mssClamp ?? 0];
  return JSON.stringify([scheduler, schedulerFlags.toSorted(), pinned, onePacket, rules]);
}

function textOf(real: RealServer): string {
  const { weight, forwardingMethod, upperThreshold, lowerThreshold, tunnel } = real;
  const inside = tunnel && [tunnel.type, tunnel.port ?? 0, tunnel.checksum, tunnel.remoteChecksum === true];
  return JSON.stringify([nameOf(real), weight, forwardingMethod, upperThreshold, lowerThreshold, inside]);
}
