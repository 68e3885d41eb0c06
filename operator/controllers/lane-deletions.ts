import { formatEndpoint, type RealServer } from '../model/virtual-server.ts';
import type { KeyFailure, LaneEntry } from './lane-entries.ts';

/** How many deletions a request may mean, and how many to count for an entry of which it is not known. */
export interface DeletionBudget {
  readonly limit: number;
  readonly guess: number;
}

export const NO_DELETION_LIMIT: DeletionBudget = { limit: Number.POSITIVE_INFINITY, guess: 1 };

/** How the helper names the rule of the host's policy; it then carries out none of the deletions, and everything else. */
const RULE = /\.maxDeletionsPerRequest \((\d+)\)/;

/** The limit that a refusal names; undefined when it was refused for another reason. */
export function deletionLimitOf(failure: Pick<KeyFailure, 'class' | 'message'>): number | undefined {
  const named = failure.class === 'policy' ? RULE.exec(failure.message)?.[1] : undefined;
  return named === undefined ? undefined : Number(named);
}

/** What the helper will count when the entry is made as wanted: a virtual server that goes, or each real server that leaves it. */
export function deletionsOf({ wanted, lastRead, mayBePresent }: LaneEntry, guess: number): number {
  if (!mayBePresent) return 0;
  if (wanted === undefined) return 1;
  if (lastRead === undefined) return guess;
  if (lastRead === wanted.server) return 0;
  const stays = new Set(wanted.server.realServers.map(nameOf));
  return lastRead.realServers.filter((real) => !stays.has(nameOf(real))).length;
}

function nameOf({ address, port }: RealServer): string {
  return formatEndpoint(address, port);
}

/** What one helper has said, over one session, about how many deletions its host's policy allows in a request. */
export class DeletionLimit {
  #budget = NO_DELETION_LIMIT;

  get budget(): DeletionBudget {
    return this.#budget;
  }

  /**
   * Takes in a refusal that named a limit.
   *
   * @param wasKept - by our count the request had stayed within a limit, so the count was wrong
   */
  learn(limit: number, wasKept: boolean): void {
    const guess = wasKept ? this.#budget.guess * 2 : this.#budget.guess;
    this.#budget = { limit, guess: Math.min(guess, Math.max(1, limit)) };
  }
}
