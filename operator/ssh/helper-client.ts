import PQueue from 'p-queue';
import type { Clock, DirectorDialer, DirectorTarget, Log } from '../controllers/ports.ts';
import { connect } from './connection.ts';
import { type Greeted, greet } from './greeting.ts';
import { DEFAULT_SSH_LIMITS, type SshLimits } from './limits.ts';

export interface DirectorDialerOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<SshLimits>;
}

/**
 * Opens helper sessions over SSH: TCP, pinned host key, public key authentication, the forced command, its hello. Each dial ends
 * within the sum of `connectMs`, `handshakeMs` and `helloMs`, after its turn among `parallelDials` has come.
 */
export function createDirectorDialer({ clock, log, limits: overrides }: DirectorDialerOptions): DirectorDialer {
  const limits: SshLimits = { ...DEFAULT_SSH_LIMITS, ...overrides };
  // Never with p-queue's timeout: it would free the slot while the dial goes on.
  const dials = new PQueue({ concurrency: limits.parallelDials });

  async function dialOnce(target: DirectorTarget): Promise<Greeted> {
    const connected = await connect(target, clock, limits);
    if (!connected.ok) return connected;
    return greet({ target, connection: connected.connection, clock, limits, log });
  }

  return { dial: (target) => dials.add(() => dialOnce(target)) };
}
