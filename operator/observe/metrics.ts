import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ControllerMetrics } from '../controllers/ports.ts';

/** Everything the operator counts, ready to be scraped. */
export interface Metrics extends ControllerMetrics {
  /** An event that was not written as such; see EventRecorderOptions. */
  eventUnwritten(why: 'folded' | 'dropped' | 'failed'): void;
  /** Prometheus text format, and its content type. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}

const PREFIX = 'ipvs_operator_';

/** A registry of its own: several in one process (tests) do not disturb each other. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const reconciles = new Counter({
    name: `${PREFIX}reconcile_total`,
    help: 'Passes of a controller, by outcome.',
    labelNames: ['controller', 'result'],
    registers,
  });
  const reconcileSeconds = new Histogram({
    name: `${PREFIX}reconcile_seconds`,
    help: 'Duration of a pass of a controller.',
    labelNames: ['controller'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers,
  });
  const gauge = (name: string, help: string, label: string) =>
    new Gauge({ name: `${PREFIX}${name}`, help, labelNames: [label], registers });
  const depth = gauge('work_queue_depth', 'Keys that wait for a controller.', 'controller');
  const up = gauge('director_up', '1 while a helper session to the director is open.', 'director');
  const synced = gauge('last_sync_timestamp_seconds', 'When the table of the director was last confirmed.', 'director');
  const vips = gauge('vips_in_use', 'Addresses of the pool that Services hold.', 'pool');
  const changes = new Counter({
    name: `${PREFIX}changes_total`,
    help: 'Changes that the director made to its table, by kind.',
    labelNames: ['director', 'kind'],
    registers,
  });
  const unwritten = new Counter({
    name: `${PREFIX}events_unwritten_total`,
    help: 'Kubernetes events that were folded into a newer one, dropped because too many waited, or could not be written.',
    labelNames: ['why'],
    registers,
  });
  for (const why of ['folded', 'dropped', 'failed']) unwritten.inc({ why }, 0);
  const kindsOf = new Map<string, Set<string>>();
  return {
    reconciled(controller, result, seconds) {
      reconciles.inc({ controller, result });
      reconcileSeconds.observe({ controller }, seconds);
    },
    queueDepth: (controller, keys) => depth.set({ controller }, keys),
    directorUp: (director, isUp) => up.set({ director }, isUp ? 1 : 0),
    directorSynced: (director, atSeconds) => synced.set({ director }, atSeconds),
    changed(director, kind, count) {
      kindsOf.set(director, (kindsOf.get(director) ?? new Set()).add(kind));
      changes.inc({ director, kind }, count);
    },
    directorGone(director) {
      up.remove({ director });
      synced.remove({ director });
      for (const kind of kindsOf.get(director) ?? []) changes.remove({ director, kind });
      kindsOf.delete(director);
    },
    vipsInUse: (pool, count) => vips.set({ pool }, count),
    poolGone: (pool) => vips.remove({ pool }),
    eventUnwritten: (why) => unwritten.inc({ why }),
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
