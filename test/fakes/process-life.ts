import type {
  Clock,
  ClusterWriter,
  DirectorDialer,
  DirectorSession,
  EventRecorder,
  WriteResult,
} from '../../operator/controllers/ports.ts';

/**
 * The life of one operator process. Everything it reaches the world with goes through here, so that {@link die} ends it between two
 * awaits, as SIGKILL does: its timers never fire, its calls never return, its sessions break.
 */
export class ProcessLife {
  #alive = true;
  readonly #sessions = new Set<DirectorSession>();

  get alive(): boolean {
    return this.#alive;
  }

  die(): void {
    this.#alive = false;
    for (const session of this.#sessions) session.close();
    this.#sessions.clear();
  }

  clock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      random: () => clock.random(),
      schedule: (delayMs, callback) => clock.schedule(delayMs, () => this.#alive && callback()),
    };
  }

  writer(writer: ClusterWriter): ClusterWriter {
    return {
      claimService: (...of) => this.#mortal(() => writer.claimService(...of)),
      disclaimService: (...of) => this.#mortal(() => writer.disclaimService(...of)),
      releaseService: (...of) => this.#mortal(() => writer.releaseService(...of)),
      writeServiceStatus: (...of) => this.#mortal(() => writer.writeServiceStatus(...of)),
      markPool: (...of) => this.#mortal(() => writer.markPool(...of)),
      writePoolStatus: (...of) => this.#mortal(() => writer.writePoolStatus(...of)),
      writeDirectorStatus: (...of) => this.#mortal(() => writer.writeDirectorStatus(...of)),
    };
  }

  events(events: EventRecorder): EventRecorder {
    return { record: (...of) => this.#alive && events.record(...of) };
  }

  dialer(dialer: DirectorDialer): DirectorDialer {
    return {
      dial: async (target) => {
        const result = await (this.#alive ? dialer.dial(target) : never<Awaited<ReturnType<DirectorDialer['dial']>>>());
        if (!this.#alive) {
          if (result.ok) result.session.close();
          return never();
        }
        if (result.ok) {
          const { session } = result;
          this.#sessions.add(session);
          void session.ended.then(() => this.#sessions.delete(session));
        }
        return result;
      },
    };
  }

  async #mortal(write: () => Promise<WriteResult>): Promise<WriteResult> {
    const result = await (this.#alive ? write() : never<WriteResult>());
    return this.#alive ? result : never();
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}
