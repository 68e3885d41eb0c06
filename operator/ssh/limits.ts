/** Bounds of everything that waits. Milliseconds, unless said otherwise. */
export interface SshLimits {
  /** From dial to an established TCP connection. */
  readonly connectMs: number;
  /** From there to an authenticated SSH connection. */
  readonly handshakeMs: number;
  /** From there to the helper's hello. */
  readonly helloMs: number;
  /** Answer to a ping. */
  readonly pingMs: number;
  /** Answer to a read. */
  readonly readMs: number;
  /** Answer to an apply, plus `applyPerEntryMs` for each virtual server, real server and absent key in it. */
  readonly applyMs: number;
  readonly applyPerEntryMs: number;
  /** A session without a request for so long sends a ping. */
  readonly idleMs: number;
  /** SSH keepalives, which notice a dead network while a long answer is awaited: interval, and how many may stay unanswered. */
  readonly keepaliveMs: number;
  readonly keepaliveCount: number;
  /** Dials at the same time, over all directors (a count). */
  readonly parallelDials: number;
}

/** A frozen director is noticed after at most idleMs + pingMs = 10 s when idle, keepaliveMs × (count + 1) = 15 s otherwise. */
export const DEFAULT_SSH_LIMITS: SshLimits = {
  connectMs: 5_000,
  handshakeMs: 10_000,
  helloMs: 5_000,
  pingMs: 5_000,
  readMs: 30_000,
  applyMs: 30_000,
  applyPerEntryMs: 5,
  idleMs: 5_000,
  keepaliveMs: 5_000,
  keepaliveCount: 2,
  parallelDials: 8,
};
