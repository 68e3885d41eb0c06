import { isDeepStrictEqual } from 'node:util';
import type { IpFamily } from '../model/ip-address.ts';
import type { ServiceEndpoints, ServiceKey } from '../model/load-balanced-service.ts';
import type { SliceEndpoints } from './parse-endpoints.ts';

type Counts = Map<string, number>;

/** Sums over all slices of one Service, per family: a dual-stack pod is in a slice of each and counts once. */
interface Totals {
  readonly ready: Record<IpFamily, Counts>;
  readonly servingTerminating: Record<IpFamily, Counts>;
  /** What is summed up. */
  readonly slices: Set<SliceEndpoints>;
  /** The answer last given, until a slice changes. */
  folded?: ServiceEndpoints;
}

const NO_ENDPOINTS: ServiceEndpoints = { readyByNode: new Map(), servingTerminatingByNode: new Map(), groups: [] };

/**
 * Endpoints per Service, folded from slices. A changed slice costs as much as the slice has nodes, however many slices the
 * Service has; reading costs as much as the Service has nodes, once per change.
 */
export class EndpointIndex {
  readonly #totals = new Map<ServiceKey, Totals>();

  /** The endpoints of a Service now; what was returned before never changes. */
  of(service: ServiceKey): ServiceEndpoints {
    const totals = this.#totals.get(service);
    if (totals === undefined) return NO_ENDPOINTS;
    totals.folded ??= {
      readyByNode: largerOfFamilies(totals.ready),
      servingTerminatingByNode: largerOfFamilies(totals.servingTerminating),
      groups: [...totals.slices].map(({ group }) => group),
    };
    return totals.folded;
  }

  /** @returns the Services whose endpoints are different now. */
  replace(before: SliceEndpoints | undefined, now: SliceEndpoints | undefined): ReadonlySet<ServiceKey> {
    const changed = new Set<ServiceKey>();
    const same = before !== undefined && now !== undefined && isDeepStrictEqual(before, now);
    if (before !== undefined) this.#sum(before, -1, changed);
    if (now !== undefined) this.#sum(now, 1, changed);
    return same ? new Set() : changed;
  }

  #sum(slice: SliceEndpoints, sign: 1 | -1, changed: Set<ServiceKey>): void {
    const totals = this.#totals.get(slice.service) ?? newTotals();
    this.#totals.set(slice.service, totals);
    addCounts(totals.ready[slice.family], slice.readyByNode, sign);
    addCounts(totals.servingTerminating[slice.family], slice.servingTerminatingByNode, sign);
    if (sign > 0) totals.slices.add(slice);
    else totals.slices.delete(slice);
    delete totals.folded;
    const { readyByNode, servingTerminatingByNode, group } = slice;
    const endpoints = group.endpoints.length + group.silent.length;
    if (readyByNode.size + servingTerminatingByNode.size + endpoints > 0) changed.add(slice.service);
    if (totals.slices.size === 0) this.#totals.delete(slice.service);
  }
}

function newTotals(): Totals {
  return {
    ready: { IPv4: new Map(), IPv6: new Map() },
    servingTerminating: { IPv4: new Map(), IPv6: new Map() },
    slices: new Set(),
  };
}

function addCounts(totals: Counts, counts: ReadonlyMap<string, number>, sign: 1 | -1): void {
  for (const [node, count] of counts) {
    const total = (totals.get(node) ?? 0) + sign * count;
    if (total === 0) totals.delete(node);
    else totals.set(node, total);
  }
}

function largerOfFamilies({ IPv4, IPv6 }: Record<IpFamily, Counts>): Counts {
  const larger = new Map(IPv4);
  for (const [node, count] of IPv6) larger.set(node, Math.max(count, larger.get(node) ?? 0));
  return larger;
}
