import type { BackoffLimits } from '../lib/backoff.ts';
import type { LaneListener } from './lane-report.ts';
import type { Clock, DirectorDialer, Leadership, Log } from './ports.ts';

export interface LaneTiming {
  readonly redial: BackoffLimits;
  /** Between comparisons of a director's whole table with ours; shortened by up to a quarter at random, longer where one takes long. */
  readonly verifyMs: number;
  /** A request that takes longer makes the director count as not ready until it answers. */
  readonly patienceMs: number;
  /** Before a host that refused us as a whole is tried again. */
  readonly refusedMs: number;
}

export const LANE_TIMING: LaneTiming = {
  redial: { baseMs: 500, capMs: 30_000 },
  verifyMs: 60_000,
  patienceMs: 3_000,
  refusedMs: 30_000,
};

export interface LaneOptions {
  readonly director: string;
  readonly dialer: DirectorDialer;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly log: Log;
  readonly listener: LaneListener;
  readonly timing?: LaneTiming;
}
