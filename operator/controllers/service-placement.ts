import type { AddressBook } from '../core/address-book.ts';
import type { NodeDeaths } from '../core/dead-nodes.ts';
import { desiredVirtualServers } from '../core/desired-virtual-servers.ts';
import { reservedAddresses } from '../core/reserved-addresses.ts';
import type { DirectorConfirmation } from '../core/service-status.ts';
import type { AddressPool } from '../model/address-pool.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import type { IpAddress } from '../model/ip-address.ts';
import { API_SERVER, type LoadBalancedService, type ServiceKey } from '../model/load-balanced-service.ts';
import type { PortProblem } from '../model/port-problem.ts';
import { countsForPublication, type DirectorFleet, type FleetMember, isSelected } from './director-fleet.ts';
import type { Clock, Cluster } from './ports.ts';
import { SentBackends } from './sent-backends.ts';

/** What has been asked of the directors for one Service, and what they have said so far. */
export interface Placement {
  /** The pool of the Service's addresses; undefined when it is gone or cannot be read. */
  readonly pool: AddressPool | undefined;
  /** Every director that the pool selects. */
  readonly directors: readonly DirectorConfirmation[];
  readonly problems: readonly string[];
  readonly portProblems: readonly PortProblem[];
  readonly notes: readonly string[];
  /** In how many milliseconds to place it again, because weights or nodes wait. */
  readonly dueMs?: number;
  /** A director has not said yet whether it can be reached: too early to tell people anything about it. */
  readonly undecided: boolean;
  /** Every lane has been told what the Service has now. */
  readonly assigned: boolean;
  /** Every director that has to let go of something has confirmed that it has. */
  readonly vacated: boolean;
}

export interface PlacementParts {
  readonly cluster: Cluster;
  readonly fleet: DirectorFleet;
  readonly book: AddressBook;
  /** Nodes that may be real servers. */
  readonly nodes: () => Iterable<ClusterNode>;
  /** Nodes that are dead. */
  readonly deaths: NodeDeaths;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** How long a node with a new endpoint waits for its kube-proxy. */
  readonly newEndpointMs: number;
}

/**
 * Spreads one Service over the lanes, in memory: computed afresh from the cluster each time, and without any effect when nothing
 * has changed.
 */
export class ServicePlacement {
  readonly #parts: PlacementParts;
  /** Services first claimed by this process: a lane that never had them cannot hold them. */
  readonly #bornHere = new Set<ServiceKey>();

  readonly #backends: SentBackends;

  constructor(parts: PlacementParts) {
    this.#parts = parts;
    this.#backends = new SentBackends(parts);
  }

  /** The Service was claimed just now, so no director can hold anything of it yet. */
  born(service: ServiceKey): void {
    this.#bornHere.add(service);
  }

  /** A director was forgotten; the one that comes under its name, or its host under another, may hold whatever it held. */
  forgetDirector(): void {
    this.#bornHere.clear();
  }

  /** Assigns the Service to the directors of its pool. It must have its addresses, and our finalizer must be stored. */
  place(service: LoadBalancedService): Placement {
    const { cluster, book } = this.#parts;
    const name = book.poolOf(service.key) ?? '';
    const parsed = cluster.pool(name);
    const pool = parsed?.ok === true ? parsed.value : undefined;
    if (service.problems.length > 0) return this.#freeze(service, pool, service.problems);
    if (pool === undefined) return this.#freeze(service, undefined, [unusablePool(name, parsed !== undefined)]);
    return pool.paused ? this.#freeze(service, pool, []) : this.#assign(service, pool);
  }

  #assign(service: LoadBalancedService, pool: AddressPool): Placement {
    const { cluster, fleet, book } = this.#parts;
    const { key } = service;
    const members = [...fleet.members()];
    const addresses = book.addressesOf(key);
    const isPublished = (address: IpAddress) => service.ingress.some(({ ip }) => ip === address);
    // An address that is given up is served until the status shows it no more.
    const kept = book.leavingOf(key).filter(isPublished);
    const givingUp = book.leavingOf(key).filter((address) => !isPublished(address));
    const {
      virtualServers: wanted,
      problems,
      portProblems,
      notes,
    } = desiredVirtualServers({
      service: book.granted(service),
      endpoints: cluster.endpoints(key),
      nodes: this.#parts.nodes(),
      pool,
      addresses: [...addresses, ...kept],
      reserved: () => this.#reserved(),
    });
    // With a problem nothing is published, and what is not published has no business on a director; what is goes on as it can.
    if (problems.length > 0 && service.ingress.length === 0) return this.#freeze(service, pool, problems);
    const { virtualServers, dueMs } = this.#backends.next(service, pool, wanted);
    const already = ({ lane }: FleetMember) => virtualServers.filter(({ address }) => lane.serves(key, address));
    const selected = members.filter(({ director }) => isSelected(director, pool));
    const unpublished = addresses.filter((address) => !isPublished(address));
    // A process before us may have given these addresses to another Service and not lived to publish them.
    const occupied = unpublished.length === 0 ? [] : members.filter(({ lane }) => !lane.offers(key, unpublished));
    if (occupied.length > 0) {
      const directors = selected.map((member) => ({ ...confirmationOf(member, key), state: 'Pending' as const }));
      const left = occupied.flatMap(({ lane }) => occupation(lane.name, lane.leftAt(unpublished)));
      const undecided = [...occupied, ...selected].some(isUndecided);
      return { pool, directors, problems, portProblems, notes: [...notes, ...left], undecided, ...NOT_YET };
    }
    const used = (member: FleetMember) => isSelected(member.director, pool) && !isDrained(member);
    const chosen = members.filter(used);
    for (const { lane } of chosen) {
      const servers = virtualServers.filter(({ address }) => !kept.includes(address) || lane.serves(key, address));
      lane.assign(key, servers, givingUp);
    }
    const served = chosen.some((member) => countsForPublication(member) && confirms(member, key));
    for (const member of members) {
      if (used(member)) continue;
      // Make before break: a director that is no longer selected keeps serving until another one does.
      if ((served && kept.length === 0) || isDrained(member))
        this.#leave(member, key, [...addresses, ...book.leavingOf(key)]);
      else if (member.lane.has(key)) member.lane.assign(key, already(member), givingUp);
      else if (!this.#bornHere.has(key))
        member.lane.freeze(key, [...addresses, ...book.leavingOf(key)], book.sharedPortsOf(key));
    }
    return {
      pool,
      directors: selected.map((member) => confirmationOf(member, key)),
      problems,
      portProblems,
      notes,
      ...(dueMs !== undefined && { dueMs }),
      undecided: chosen.some(isUndecided),
      assigned: true,
      vacated:
        kept.length === 0 &&
        members.every(({ lane }) => lane.absent(key) || (this.#bornHere.has(key) && !lane.knows(key))),
    };
  }

  /** Nothing of the Service, and nothing at these addresses, changes on any director until it is placed or withdrawn. */
  freeze(key: ServiceKey, addresses: readonly IpAddress[]): void {
    const { fleet, book } = this.#parts;
    const ports = book.sharedPortsOf(key);
    for (const { lane } of fleet.members()) lane.freeze(key, addresses, ports);
  }

  /** Its pool is paused, gone or unreadable, or the Service itself is. */
  #freeze(service: LoadBalancedService, pool: AddressPool | undefined, problems: readonly string[]): Placement {
    const { fleet, book } = this.#parts;
    const { key } = service;
    this.freeze(key, [...book.addressesOf(key), ...book.leavingOf(key)]);
    const selected = pool === undefined ? [] : fleet.selectedBy(pool);
    return {
      pool,
      directors: selected.map((member) => confirmationOf(member, key)),
      problems,
      portProblems: [],
      notes: [],
      undecided: selected.some(isUndecided),
      ...NOT_YET,
    };
  }

  /**
   * Takes the Service off every director that may hold something of it.
   *
   * @returns the directors that have not confirmed that it is gone, each with the reason when there is one.
   */
  withdraw(
    key: ServiceKey,
    addresses: readonly IpAddress[],
  ): readonly { readonly director: string; readonly problem: string | undefined }[] {
    const remaining: { director: string; problem: string | undefined }[] = [];
    for (const { lane } of this.#parts.fleet.members()) {
      if (this.#bornHere.has(key) && !lane.knows(key)) continue;
      lane.withdraw(key, addresses);
      if (!lane.absent(key)) remaining.push({ director: lane.name, problem: lane.absenceProblem(key) });
    }
    return remaining;
  }

  /** The Service is gone from every director, and this has been acted on. */
  forget(key: ServiceKey): void {
    this.#backends.forget(key);
    this.#bornHere.delete(key);
    for (const { lane } of this.#parts.fleet.members()) lane.forget(key);
  }

  /** See {@link SentBackends}. */
  bereaved(): ServiceKey[] {
    return this.#backends.bereaved();
  }

  #reserved(): ReadonlyMap<IpAddress, string> {
    const { cluster } = this.#parts;
    const directors = [...cluster.directors()].flatMap((director) => (director.ok ? [director.value] : []));
    return reservedAddresses(cluster.nodes(), directors, cluster.endpoints(API_SERVER));
  }

  #leave({ lane }: FleetMember, key: ServiceKey, addresses: readonly IpAddress[]): void {
    if (this.#bornHere.has(key) && !lane.knows(key)) return;
    lane.withdraw(key, addresses);
    if (lane.absent(key)) lane.forget(key);
  }
}

const NOT_YET = { assigned: false, vacated: false } as const;

function unusablePool(name: string, exists: boolean): string {
  const cause = exists ? 'cannot be read: see its status' : 'does not exist any more';
  return `LoadBalancerPool ${name} ${cause}. Nothing of this Service is changed on the directors until the pool is back.`;
}

/** Why the address is not used yet. */
function occupation(director: string, left: string | undefined): readonly string[] {
  if (left === undefined) return [];
  return [`The address is used as soon as director ${director} has removed what is left there: ${left}.`];
}

function isDrained({ director }: FleetMember): boolean {
  return director.ok && director.value.state === 'Drained';
}

/** Neither ready nor in known trouble: it is being connected for the first time. */
function isUndecided({ lane }: FleetMember): boolean {
  return !lane.ready && lane.trouble === undefined;
}

function confirms({ lane }: FleetMember, key: ServiceKey): boolean {
  return lane.confirmation(key).kind === 'Programmed';
}

function confirmationOf(member: FleetMember, key: ServiceKey): DirectorConfirmation {
  const { lane, director } = member;
  const confirmation = lane.confirmation(key);
  const holds = lane.holds(key);
  const message = confirmation.kind === 'Failed' && lane.ready ? confirmation.message : whyNotReady(member);
  return {
    director: lane.name,
    ready: countsForPublication(member),
    state: confirmation.kind,
    ...(message !== undefined && { message }),
    ...(holds !== undefined && { holds: holds || !director.ok }),
  };
}

function whyNotReady({ lane, director }: FleetMember): string | undefined {
  if (director.ok && director.value.state !== 'Active') return `spec.state is ${director.value.state}.`;
  return lane.trouble?.message;
}
