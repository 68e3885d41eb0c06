import type { Director } from '../model/director.ts';
import type { HostSettings } from '../model/host-settings.ts';
import type { LaneTrouble } from './lane-report.ts';
import type { DirectorTarget, HelperHello, KeyLookup, Parsed } from './ports.ts';

/** What a lane shall connect to, or why it cannot. */
export type LaneSpec =
  | {
      readonly ok: true;
      readonly director: Director;
      readonly privateKey: string;
      /** What its pools need of the host as a whole. */
      readonly host?: HostSettings;
    }
  | { readonly ok: false; readonly trouble: LaneTrouble };

/** Derives a lane's target from a Director and its key. */
export function laneSpec(director: Director, key: KeyLookup, host?: HostSettings): LaneSpec {
  if (key.ok) return { ok: true, director, privateKey: key.privateKey, ...(host && { host }) };
  return { ok: false, trouble: { reason: key.reason, message: key.message } };
}

/** Where and as whom to log in. */
export function targetOf(director: Director, privateKey: string): DirectorTarget {
  const { name, address, port, user, hostKeys, tableOwner } = director;
  return { name, address, port, user, hostKeys, owner: tableOwner, privateKey };
}

/** Whose table is meant, and on which host: where another one is meant, nothing is known of it. */
export function tableMeant({ address, port, tableOwner }: Director): string {
  return JSON.stringify([address, port, tableOwner]);
}

/** Whether both are known to mean the same table. */
export function isSameTable(before: Parsed<Director>, after: Parsed<Director> | undefined): boolean {
  return before.ok && after?.ok === true && tableMeant(before.value) === tableMeant(after.value);
}

/** Whether the two differ in something that needs a new connection. */
export function needsNewConnection(before: LaneSpec, after: LaneSpec): boolean {
  return JSON.stringify(connectionOf(before)) !== JSON.stringify(connectionOf(after));
}

function connectionOf(spec: LaneSpec): unknown {
  return spec.ok ? targetOf(spec.director, spec.privateKey) : spec.trouble;
}

/** Why a host that answers cannot be this director, or undefined. */
export function unfitness(director: Director, hello: HelperHello): LaneTrouble | undefined {
  const { name, tableOwner } = director;
  if (hello.owner !== tableOwner) {
    return {
      reason: 'OwnerMismatch',
      message:
        `Director ${name}: the helper serves owner ${hello.owner}, but spec.tableOwner is ${tableOwner}. ` +
        'Correct spec.tableOwner, or the --owner in the forced command of authorized_keys.',
    };
  }
  const problems = [...hello.problems];
  const { ipvs, netAdmin } = hello.capabilities;
  if (problems.length === 0 && !ipvs) problems.push('Its kernel offers no IPVS: load the module ip_vs.');
  if (problems.length === 0 && !netAdmin) {
    problems.push('The helper lacks CAP_NET_ADMIN: give it file capabilities with setcap.');
  }
  if (problems.length === 0) return undefined;
  return { reason: 'HostUnfit', message: `Director ${name}: ${problems.join(' ')}` };
}
