import type { Clock, EventRecorder, Log } from '../controllers/ports.ts';
import type { ApiClient } from './api-client.ts';

export interface EventRecorderOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Which process says it: the Pod's or host's name. */
  readonly instance: string;
}

export interface StoppableEventRecorder extends EventRecorder {
  /** Writes what is waiting, at most 2 s, and ends all timers. */
  stop(): Promise<void>;
}

export function createEventRecorder(_options: EventRecorderOptions): StoppableEventRecorder {
  throw new Error('not built yet');
}
