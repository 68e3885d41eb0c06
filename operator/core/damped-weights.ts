import { formatEndpoint, type VirtualServer } from '../model/virtual-server.ts';

/** Changes of weights alone wait until so long after the last ones… */
const PAUSE_MS = 10_000;
/** …unless a weight at least doubles or halves. */
const LARGE = 2;

/** What was asked of the directors last, and when (monotonic milliseconds). */
export interface SentWeights {
  readonly virtualServers: readonly VirtualServer[];
  readonly at: number;
}

/** What to ask of them now; `dueMs`: in how long to look again, because something waits. */
export interface DampedWeights extends SentWeights {
  readonly dueMs?: number;
}

/**
 * Keeps weights that follow the number of ready pods from changing with every pod of a rollout: each change rebuilds a hash scheduler's
 * table and costs a write on every director. Only what is nothing but other weights waits, and never long; a real server that comes, goes,
 * drains or returns does not, nor does anything else. Weights never touch connections that exist: IPVS asks the scheduler for new ones only.
 */
export function dampWeights(sent: SentWeights | undefined, next: readonly VirtualServer[], now: number): DampedWeights {
  if (sent === undefined) return { virtualServers: next, at: now };
  const ratio = largestRatio(sent.virtualServers, next);
  if (ratio === 1) return { virtualServers: next, at: sent.at };
  const due = sent.at + PAUSE_MS;
  if (ratio === undefined || ratio >= LARGE || now >= due) return { virtualServers: next, at: now };
  return { ...sent, dueMs: due - now };
}

/** The largest factor between two weights of one real server, 1 for equal tables; undefined when more than weights differ. */
function largestRatio(before: readonly VirtualServer[], after: readonly VirtualServer[]): number | undefined {
  if (printWithoutWeights(before) !== printWithoutWeights(after)) return undefined;
  const old = new Map(
    before.flatMap((server) => server.realServers.map((real) => [nameOf(server, real), real.weight])),
  );
  let largest = 1;
  for (const server of after) {
    for (const real of server.realServers) {
      const weight = old.get(nameOf(server, real)) ?? 0;
      if (weight === 0 || real.weight === 0) continue;
      largest = Math.max(largest, weight / real.weight, real.weight / weight);
    }
  }
  return largest;
}

function nameOf(server: VirtualServer, real: VirtualServer['realServers'][number]): string {
  return `${server.protocol} ${formatEndpoint(server.address, server.port)} ${formatEndpoint(real.address, real.port)}`;
}

/** Whether a weight is 0 is more than a weight: it is a drain. */
function printWithoutWeights(servers: readonly VirtualServer[]): string {
  return JSON.stringify(
    servers.map((server) => ({
      ...server,
      realServers: server.realServers.map((real) => ({ ...real, weight: Math.min(real.weight, 1) })),
    })),
  );
}
