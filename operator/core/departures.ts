import type { IpAddress } from '../model/ip-address.ts';
import type { EndpointGroup, SilentEndpoint } from '../model/pod-endpoints.ts';
import {
  compareRealServers,
  type Endpoint,
  formatEndpoint,
  formatVirtualServerKey,
  type VirtualServer,
  type VirtualServerKeyText,
} from '../model/virtual-server.ts';
import type { NodeDeaths } from './dead-nodes.ts';

/** A real server that has left its virtual server and may still drain. */
interface Departure extends Endpoint {
  /** Monotonic milliseconds. */
  readonly since: number;
  /** Of a pod: what its slices said last; `vanished` when they no longer name it. */
  readonly pod?: Pick<SilentEndpoint, 'node' | 'terminating'> & { readonly vanished: boolean };
}

/** What was asked of the directors last, and what had left by then. */
export interface Departures {
  /** With those that are gone. */
  readonly virtualServers: readonly VirtualServer[];
  readonly left: ReadonlyMap<VirtualServerKeyText, readonly Departure[]>;
  /** The slices whose pods are the real servers; absent with nodes. */
  readonly groups?: readonly EndpointGroup[];
}

/** What is known of who lives. */
export interface Living {
  readonly nodes: NodeDeaths;
  readonly groups?: readonly EndpointGroup[];
  /** Monotonic milliseconds. */
  readonly now: number;
}

/** So many dead real servers of one virtual server are told at most, the latest ones. */
const MOST_TOLD = 256;

/**
 * Tells the directors which of the real servers that have left are gone for good, so that they do not drain: their connections cannot go on,
 * and clients that persistence binds to them would wait for the whole of the drain. Everybody else who leaves drains, whatever the reason.
 *
 * A node is gone when it is dead. A pod is gone when its node is, or when it was terminating and its slices no longer name it: only then
 * have its containers ended. One that vanishes without having been seen terminating may be alive: a selector that moves on to the next
 * version, or a slice kept by hand. One that terminates and is not ready may be finishing what it has begun: that is how many say that they want nothing new.
 */
export function tellGone(before: Departures | undefined, next: readonly VirtualServer[], living: Living): Departures {
  const old = new Map(before?.virtualServers.map((server) => [formatVirtualServerKey(server), server]));
  const left = new Map<VirtualServerKeyText, readonly Departure[]>();
  const virtualServers = next.map((server) => {
    const key = formatVirtualServerKey(server);
    const previous = old.get(key);
    if (before === undefined || previous === undefined || server.drainSeconds === 0) return server;
    const departures = departuresOf(server, previous, before, living);
    if (departures.length === 0) return server;
    left.set(key, departures);
    const gone = departures
      .filter((departure) => isGone(departure, living.nodes))
      .slice(-MOST_TOLD)
      .map(({ address, port }) => ({ address, port }))
      .sort(compareRealServers);
    return gone.length > 0 ? { ...server, gone } : server;
  });
  return { virtualServers, left, ...(living.groups && { groups: living.groups }) };
}

/** Whether somebody has died since who had left before: a node, for what happens to pods is told otherwise. */
export function hasDeath({ virtualServers, left }: Departures, nodes: NodeDeaths): boolean {
  if (left.size === 0) return false;
  return virtualServers.some((server) => {
    const told = new Set(server.gone?.map(nameOf));
    const departures = left.get(formatVirtualServerKey(server)) ?? [];
    return departures.some((departure) => isGone(departure, nodes) && !told.has(nameOf(departure)));
  });
}

function departuresOf(
  server: VirtualServer,
  previous: VirtualServer,
  before: Departures,
  living: Living,
): readonly Departure[] {
  const earlier = before.left.get(formatVirtualServerKey(server)) ?? [];
  const isSame = sameEndpoints(server.realServers, previous.realServers);
  if (isSame && earlier.length === 0) return [];
  const told = new Set(previous.gone?.map(nameOf));
  const wanted = new Set(server.realServers.map(nameOf));
  const now = living.now;
  // Who has been told of is named until something else changes: leaving him out would be one request more.
  const isOver = (each: Departure) =>
    now - each.since > server.drainSeconds * 1_000 && !(isSame && told.has(nameOf(each)));
  const known = new Set(earlier.map(nameOf));
  const leaving = previous.realServers
    .filter((real) => !known.has(nameOf(real)))
    .map(({ address, port }): Departure => {
      const pod = before.groups && { ...(seen(before.groups, address) ?? { terminating: false }), vanished: false };
      return { address, port, since: now, ...(pod && { pod }) };
    });
  return [...earlier.filter((each) => !isOver(each)), ...leaving]
    .filter((each) => !wanted.has(nameOf(each)))
    .map((each) => lookAgain(each, living));
}

function lookAgain(departure: Departure, { groups }: Living): Departure {
  if (departure.pod === undefined || groups === undefined) return departure;
  const now = seen(groups, departure.address);
  return { ...departure, pod: now === undefined ? { ...departure.pod, vanished: true } : { ...now, vanished: false } };
}

/** What the slices say of a pod. */
function seen(
  groups: readonly EndpointGroup[],
  address: IpAddress,
): Pick<SilentEndpoint, 'node' | 'terminating'> | undefined {
  for (const { endpoints, silent } of groups) {
    const answering = endpoints.find((each) => each.address === address);
    const found = answering
      ? { ...answering, terminating: answering.state === 'serving terminating' }
      : silent.find((each) => each.address === address);
    if (found !== undefined)
      return { terminating: found.terminating, ...(found.node !== undefined && { node: found.node }) };
  }
  return undefined;
}

function isGone({ address, pod }: Departure, nodes: NodeDeaths): boolean {
  if (pod === undefined) return nodes.hasAddress(address);
  return (pod.vanished && pod.terminating) || (pod.node !== undefined && nodes.hasNode(pod.node));
}

function sameEndpoints(some: readonly Endpoint[], others: readonly Endpoint[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ address, port }, index) => others[index]?.address === address && others[index]?.port === port)
  );
}

function nameOf({ address, port }: Endpoint): string {
  return formatEndpoint(address, port);
}
