import type { AddressPool } from '../model/address-pool.ts';
import type { Director } from '../model/director.ts';
import { matchesSelector } from '../model/labels.ts';
import type { DirectorLane } from './director-lane.ts';
import type { Parsed } from './ports.ts';

/** A Director object and the lane that serves it. */
export interface FleetMember {
  readonly lane: DirectorLane;
  readonly director: Parsed<Director>;
}

/** All directors there are, by name. Kept by the director controller, read by everybody. */
export class DirectorFleet {
  readonly #members = new Map<string, FleetMember>();

  members(): Iterable<FleetMember> {
    return this.#members.values();
  }

  member(name: string): FleetMember | undefined {
    return this.#members.get(name);
  }

  set(name: string, member: FleetMember): void {
    this.#members.set(name, member);
  }

  delete(name: string): void {
    this.#members.delete(name);
  }

  /** Directors that the pool's selector matches, whatever their state, sorted by name. */
  selectedBy(pool: AddressPool): readonly FleetMember[] {
    return [...this.#members.values()]
      .filter(({ director }) => isSelected(director, pool))
      .sort((a, b) => (a.lane.name < b.lane.name ? -1 : 1));
  }
}

/** Whether the pool's directors include this one. A Director that cannot be read is nobody's. */
export function isSelected(director: Parsed<Director>, pool: AddressPool): boolean {
  return director.ok && matchesSelector(director.value.labels, pool.directorSelector);
}

/** Whether new publications wait for this director's confirmation. */
export function countsForPublication({ lane, director }: FleetMember): boolean {
  return lane.ready && director.ok && director.value.state === 'Active';
}
