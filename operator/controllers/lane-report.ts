import type { ServiceKey } from '../model/load-balanced-service.ts';
import type { PreflightCheck } from '../model/preflight-check.ts';
import type { HeldRemovals } from './lane-sync.ts';
import type { ApplyResult, DirectorFailure, HelperError, HelperHello, TableCounts } from './ports.ts';

/** Where a lane stands. `Unfit`: the helper answers, but the host cannot be a director for us now. */
export type LanePhase = 'Idle' | 'Disconnected' | 'Dialing' | 'Syncing' | 'Ready' | 'Unfit';

/** Why a director cannot be used, with the reason for its conditions. */
export interface LaneTrouble {
  readonly reason:
    | DirectorFailure['reason']
    | 'InvalidSpec'
    | 'SecretMissing'
    | 'SecretUnreadable'
    | 'OwnerMismatch'
    | 'HostUnfit'
    | 'Refused'
    | 'NotLeading'
    | 'NotAnswering';
  readonly message: string;
  /** Of a refusal. */
  readonly class?: HelperError['class'];
}

/** Everything about a director that people or other controllers may want to know. */
export interface LaneReport {
  readonly phase: LanePhase;
  /** Since when in this phase's kind, connected or not: milliseconds since the epoch. */
  readonly since: number;
  /** Its table was complete, and it answers: new addresses wait for its confirmation. */
  readonly ready: boolean;
  /** Why it is not ready; undefined while it is, or while it is being connected for the first time. */
  readonly trouble: LaneTrouble | undefined;
  /** Of the newest session, also after that has ended. */
  readonly hello: HelperHello | undefined;
  readonly counts: TableCounts | undefined;
  readonly tableHash: string | undefined;
  readonly totalWrites: number;
  readonly appliedGeneration: number | undefined;
  /** When the last apply was confirmed, in milliseconds since the epoch. */
  readonly lastSyncTime: number | undefined;
  /** What of the host's settings it does not have; undefined before any were asked for. */
  readonly hostRefusals: readonly string[] | undefined;
  /** What the helper found on its host; undefined before it was asked. */
  readonly preflight: readonly PreflightCheck[] | undefined;
  readonly held: HeldRemovals | undefined;
  /** Differences that others made and that are left alone (driftPolicy Report). */
  readonly drift: string | undefined;
  /** Objects it refuses; everything else is as desired. */
  readonly refused: readonly { readonly class: HelperError['class']; readonly message: string }[];
}

/** What a lane tells others. Never called after stop. */
export interface LaneListener {
  /** The confirmation or the absence of these Services may have changed. */
  onServices(services: Iterable<ServiceKey>): void;
  /** `ready` has changed, or why it is not. */
  onReadiness(): void;
  /** Anything else in the report has changed. */
  onReport(): void;
  onApplied(result: ApplyResult): void;
  /** Somebody else had changed the table; it was put right. */
  onRepaired(changes: string): void;
}
