import type { DirectorLink, DirectorStatusInput, DirectorTableState } from '../core/director-status.ts';
import { formatTime } from '../lib/format-time.ts';
import type { Director } from '../model/director.ts';
import type { LaneReport } from './lane-report.ts';
import type { Parsed } from './ports.ts';

/** A lane's report in the terms in which the status of a Director is computed. */
export function directorStatusInput(director: Parsed<Director>, report: LaneReport): DirectorStatusInput {
  return {
    director,
    link: linkOf(report),
    table: tableOf(report),
    hello: report.hello,
    hostRefusals: report.hostRefusals,
    preflight: report.preflight,
    counts: report.counts,
    totalWrites: report.totalWrites,
    lastSyncTime: report.lastSyncTime === undefined ? undefined : formatTime(report.lastSyncTime),
  };
}

function linkOf({ phase, since, trouble }: LaneReport): DirectorLink {
  if (phase === 'Ready' || phase === 'Syncing' || phase === 'Unfit') return { kind: 'up', since: formatTime(since) };
  if (trouble === undefined) return { kind: 'connecting' };
  return { kind: 'down', since: formatTime(since), failure: { reason: trouble.reason, message: trouble.message } };
}

function tableOf({ phase, trouble, refused, drift, held }: LaneReport): DirectorTableState {
  if (trouble !== undefined) {
    const { class: errorClass = 'permanent', reason, message } = trouble;
    // A refusal is told by the class that the helper gave it; every other trouble has a reason of its own.
    return { kind: 'failed', error: { class: errorClass, message, ...(reason !== 'Refused' && { reason }) } };
  }
  if (phase !== 'Ready') return { kind: 'unknown' };
  if (held !== undefined) return { kind: 'held', message: held.message };
  if (drift !== undefined) return { kind: 'drifted', message: drift };
  if (refused.length > 0) return { kind: 'refused', errors: refused };
  return { kind: 'inSync' };
}
