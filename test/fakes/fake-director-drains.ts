import {
  compareRealServers,
  type Endpoint,
  formatEndpoint,
  formatVirtualServerKey,
  type RealServer,
  type VirtualServer,
  type VirtualServerKey,
} from '../../operator/model/virtual-server.ts';
import { drainOf, type PlannedChange, removalAtOnceOf, removalOf, returnOf } from './fake-director-changes.ts';

/** As in helper/drain: also without a connection a real server stays so long. */
const MINIMUM_STAY_MS = 2_000;

interface Leaving {
  readonly real: RealServer;
  readonly since: number;
  readonly deadline: number;
}

/** Real servers on their way out, at weight 0, with the helper's semantics. No connection is ever counted on them. */
export class FakeDirectorDrains {
  readonly #leaving: Map<string, Map<string, Leaving>>;
  readonly #now: () => number;

  /** @param now - monotonic milliseconds */
  constructor(now: () => number, leaving: ReadonlyMap<string, ReadonlyMap<string, Leaving>> = new Map()) {
    this.#now = now;
    this.#leaving = new Map([...leaving].map(([object, each]) => [object, new Map(each)]));
  }

  /** For dry runs: the same state, to be thrown away. */
  copy(): FakeDirectorDrains {
    return new FakeDirectorDrains(this.#now, this.#leaving);
  }

  /** The real servers that leave this virtual server, in order. */
  of(key: VirtualServerKey): RealServer[] {
    const leaving = this.#leaving.get(formatVirtualServerKey(key))?.values() ?? [];
    return [...leaving].map(({ real }) => real).sort(compareRealServers);
  }

  /** Whether the change takes something away that was not on its way out: what the policy's limit counts. */
  isDeletion({ kind, object, realServer }: PlannedChange): boolean {
    if (kind === 'deleteRealServer') return this.#leaving.get(object)?.has(realServer ?? '') !== true;
    return kind === 'deleteVirtualServer' || kind === 'drainRealServer';
  }

  count(): number {
    return [...this.#leaving.values()].reduce((sum, { size }) => sum + size, 0);
  }

  forget(object?: string): void {
    if (object === undefined) this.#leaving.clear();
    else this.#leaving.delete(object);
  }

  /** Replaces additions of what is leaving by returns, and removals by drains where there is time for one. */
  changesOf(desired: VirtualServer, present: VirtualServer | undefined, changes: PlannedChange[]): PlannedChange[] {
    const object = formatVirtualServerKey(desired);
    const drains = this.#leaving.get(object);
    const wanted = new Set(desired.realServers.map(nameOf));
    const gone = new Set(desired.gone?.map(nameOf));
    const planned = changes.map((change) => {
      const leaving = change.kind === 'addRealServer' ? drains?.get(change.realServer ?? '') : undefined;
      if (leaving !== undefined) return returnOf(object, leaving.real);
      if (change.kind !== 'deleteRealServer' || desired.drainSeconds === 0) return change;
      const left = present?.realServers.find((each) => nameOf(each) === change.realServer);
      if (left === undefined) return change;
      return gone.has(nameOf(left)) ? removalAtOnceOf(object, left) : drainOf(object, left);
    });
    if (desired.drainSeconds > 0) {
      const dead = [...(drains?.values() ?? [])].filter(({ real }) => gone.has(nameOf(real)));
      return [...planned, ...dead.map(({ real }) => removalAtOnceOf(object, real))];
    }
    const atOnce = [...(drains?.values() ?? [])].filter(({ real }) => !wanted.has(nameOf(real)));
    return [...planned, ...atOnce.map(({ real }) => removalOf(object, real))];
  }

  /** Remembers what the changes of {@link changesOf} mean. */
  carryOut(desired: VirtualServer, present: VirtualServer | undefined): void {
    const object = formatVirtualServerKey(desired);
    const wanted = new Set(desired.realServers.map(nameOf));
    const gone = new Set(desired.gone?.map(nameOf));
    const drains = this.#leaving.get(object) ?? new Map<string, Leaving>();
    const longest = desired.drainSeconds * 1000;
    for (const [name, each] of drains) {
      if (wanted.has(name) || gone.has(name) || longest === 0) drains.delete(name);
      else drains.set(name, { ...each, deadline: Math.min(each.deadline, each.since + longest) });
    }
    for (const real of present?.realServers ?? []) {
      if (wanted.has(nameOf(real)) || gone.has(nameOf(real)) || longest === 0) continue;
      const since = this.#now();
      drains.set(nameOf(real), { real: { ...real, weight: 0 }, since, deadline: since + longest });
    }
    if (drains.size > 0) this.#leaving.set(object, drains);
    else this.#leaving.delete(object);
  }

  /** Deletes what is over, as `serve` does once a second. @returns the number of writes */
  settle(): number {
    const now = this.#now();
    let writes = 0;
    for (const [object, drains] of this.#leaving) {
      for (const [name, { since, deadline }] of drains) {
        if (now < Math.min(deadline, since + MINIMUM_STAY_MS)) continue;
        drains.delete(name);
        writes += 1;
      }
      if (drains.size === 0) this.#leaving.delete(object);
    }
    return writes;
  }
}

function nameOf({ address, port }: Endpoint): string {
  return formatEndpoint(address, port);
}
