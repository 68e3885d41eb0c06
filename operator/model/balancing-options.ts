import type { ConnectionTimeouts } from './host-settings.ts';
import type { ForwardingMethod, Scheduler, SchedulerFlag, Tunnel } from './virtual-server.ts';

/** How real servers of a virtual server are weighted: all 1, or by the number of ready pods on the node. */
export const WEIGHTS = ['Equal', 'ReadyPods'] as const;
export type Weights = (typeof WEIGHTS)[number];

/** What real servers are: nodes, whose kube-proxy goes on to a pod, or the ready pods themselves. */
export const BACKENDS = ['Nodes', 'Pods'] as const;
export type Backends = (typeof BACKENDS)[number];

/** A day: what has not ended by then is not waiting to end. The helper has the same limit. */
export const LONGEST_DRAIN_SECONDS = 86_400;

/** How the pool's virtual servers work on the directors; a Service may override parts by annotation. */
export interface BalancingOptions {
  readonly forwardingMethod: ForwardingMethod;
  readonly backends: Backends;
  /** Of virtual servers with Tunneling. */
  readonly tunnel: Tunnel;
  /** Greatest TCP segment that tunnelled virtual servers announce, bytes. */
  readonly mssClamp?: number;
  /** With Masquerading: real servers see the director's address instead of the client's, so that replies return through it. */
  readonly snat: boolean;
  readonly scheduler: Scheduler;
  readonly schedulerFlags: readonly SchedulerFlag[];
  readonly connectionThresholds: { readonly upper: number; readonly lower: number };
  readonly udpOnePacket: boolean;
  /** Of the directors as a whole; absent: left as they are. */
  readonly timeouts?: ConnectionTimeouts;
  /** Prefix length for persistence, IPv4 only; IPv6 persistence is always per address (/128). */
  readonly persistencePrefixLength: number;
  readonly weights: Weights;
  /** At most so many nodes serve a Service; absent: all. */
  readonly nodeSubset?: number;
  /** Longest time at weight 0 before a real server that leaves is removed, 0 … 86,400 seconds. */
  readonly drainSeconds: number;
}
