import type { Condition } from './condition.ts';
import type { Ingress } from './load-balanced-service.ts';
import type { PreflightCheck } from './preflight-check.ts';

/** Everything a person shall read in a Service's status. */
export interface ServiceStatus {
  readonly ingress: readonly Ingress[];
  readonly conditions: readonly Condition[];
}

/** One director as the status of a pool shows it. */
export interface PoolDirectorStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly appliedGeneration?: number;
  readonly tableHash?: string;
  readonly virtualServers: number;
  readonly realServers: number;
  readonly lastSyncTime?: string;
  readonly message: string;
}

/** Everything a person shall read in a LoadBalancerPool's status. */
export interface PoolStatus {
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly assignedIPv4: number;
  readonly assignedIPv6: number;
  /** Free addresses; a string of digits, because a v6 pool exceeds 2^53. */
  readonly availableIPv4: string;
  readonly availableIPv6: string;
  /** Both families together, for the printer columns. */
  readonly used: number;
  /** For people: see lib/format-amount.ts. */
  readonly free: string;
  readonly directors: readonly PoolDirectorStatus[];
  /** `n/m` for the printer column. */
  readonly directorsReady: string;
  readonly virtualServers: number;
  /** Services that keep an address which the pool no longer has; absent when there are none. */
  readonly outside?: number;
  /** Absent when there are none. */
  readonly held?: readonly {
    readonly address: string;
    readonly service: string;
    readonly until: string;
    readonly reason: 'Released';
  }[];
}

/** Everything a person shall read in a Director's status. */
export interface DirectorStatus {
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  readonly helper?: { readonly version: string; readonly protocol: string; readonly capabilities: readonly string[] };
  readonly kernel?: string;
  readonly bootID?: string;
  readonly virtualServers: number;
  readonly realServers: number;
  /** Real servers on their way out; not among `realServers`. */
  readonly draining: number;
  readonly foreign: number;
  readonly orphans: number;
  readonly connections: number;
  readonly totalWrites: number;
  readonly lastSyncTime?: string;
  readonly preflight?: readonly PreflightCheck[];
  readonly message: string;
}
