import {
  formatEndpoint,
  formatVirtualServerKey,
  type RealServer,
  type VirtualServer,
} from '../model/virtual-server.ts';

/** What was asked of the directors last, and since when (monotonic milliseconds) nodes wait, by virtual server and real server. */
export interface SentNodes {
  readonly virtualServers: readonly VirtualServer[];
  readonly waiting: ReadonlyMap<string, number>;
}

export interface SettleTime {
  /** Monotonic milliseconds. */
  readonly now: number;
  /** From a node's new endpoint to its first packet: kube-proxy there learns of it when we do, and programs it when it gets to it. */
  readonly settleMs: number;
}

/** What to ask of them now; `dueMs`: in how long to look again, because a node waits. */
export interface SettledNodes extends SentNodes {
  readonly dueMs?: number;
}

/**
 * With externalTrafficPolicy Local a node gets packets only while it has endpoints, and kube-proxy drops or refuses what comes before it knows of
 * one. So a node that joins, or takes new connections again, waits for a moment: a rolling update would else lose the connections that the
 * director sends there first. Meanwhile those in use serve on, and when none of them stays, those whose endpoints are terminating and still
 * serve (KEP-1669). Nobody waits when there is nobody to stand in.
 */
export function settleNodes(
  sent: SentNodes | undefined,
  next: readonly VirtualServer[],
  { now, settleMs }: SettleTime,
): SettledNodes {
  if (sent === undefined) return { virtualServers: next, waiting: new Map() };
  const before = new Map(sent.virtualServers.map((server) => [formatVirtualServerKey(server), server.realServers]));
  const waiting = new Map<string, number>();
  const virtualServers = next.map((server) => {
    const key = formatVirtualServerKey(server);
    const weights = new Map((before.get(key) ?? []).map((real) => [nameOf(real), real.weight]));
    const inUse = (real: RealServer) => (weights.get(nameOf(real)) ?? 0) > 0;
    if (!server.realServers.some(inUse)) return server;
    const joining = server.realServers.filter((real) => real.weight > 0 && !inUse(real));
    const since = new Map(joining.map((real) => [nameOf(real), sent.waiting.get(`${key} ${nameOf(real)}`) ?? now]));
    const unsettled = new Map([...since].filter(([, began]) => now - began < settleMs));
    for (const [name, began] of unsettled) waiting.set(`${key} ${name}`, began);
    const standIns =
      unsettled.size > 0 && unsettled.size === server.realServers.filter(({ weight }) => weight > 0).length;
    const realServers = server.realServers.flatMap((real) => {
      const weight = weights.get(nameOf(real));
      if (unsettled.has(nameOf(real))) return weight === undefined ? [] : [{ ...real, weight: 0 }];
      return [standIns && weight !== undefined && inUse(real) ? { ...real, weight } : real];
    });
    return { ...server, realServers };
  });
  const due = Math.min(...waiting.values()) + settleMs;
  return { virtualServers, waiting, ...(waiting.size > 0 && { dueMs: due - now }) };
}

function nameOf({ address, port }: RealServer): string {
  return formatEndpoint(address, port);
}
