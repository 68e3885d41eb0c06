/** What the operator counts; no label ever names a Service. */
export interface Metrics {
  /** One pass of a controller. `result` is the kind of its Outcome, or `error`. */
  reconciled(controller: string, result: string, seconds: number): void;
  queueDepth(controller: string, depth: number): void;
  directorUp(director: string, up: boolean): void;
  /** The director's table was confirmed now; seconds since the epoch. */
  directorSynced(director: string, atSeconds: number): void;
  /** Changes that a director reported; `kind` as in the wire protocol. */
  changed(director: string, kind: string, count: number): void;
  /** The director object is gone: its series end. */
  directorGone(director: string): void;
  vipsInUse(pool: string, count: number): void;
  poolGone(pool: string): void;
  /** Prometheus text format, and its content type. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}

export function createMetrics(): Metrics {
  throw new Error('not built yet');
}
