import type { Condition } from '../model/condition.ts';
import type { Director } from '../model/director.ts';
import type { Parsed } from '../model/parsed.ts';
import type { PreflightCheck } from '../model/preflight-check.ts';
import type { DirectorStatus } from '../model/status.ts';
import { hostCondition } from './host-condition.ts';

/** Whether there is a session with the director's helper. Times are RFC 3339 texts: see lib/format-time.ts. */
export type DirectorLink =
  | { readonly kind: 'connecting' }
  | {
      readonly kind: 'down';
      readonly since: string;
      /** A DirectorFailure, or what is wrong with the Secret. */
      readonly failure: { readonly reason: string; readonly message: string };
    }
  | { readonly kind: 'up'; readonly since: string };

/** How the director's table compares with what it shall be. */
export type DirectorTableState =
  /** Not filled since the session began. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'inSync' }
  /** Everything is as desired but for these; each message names the object. */
  | { readonly kind: 'refused'; readonly errors: readonly { readonly class: string; readonly message: string }[] }
  /** The last request failed as a whole; without a reason of its own its class says why. */
  | {
      readonly kind: 'failed';
      readonly error: { readonly class: string; readonly reason?: string; readonly message: string };
    }
  /** Somebody changed entries of ours, and driftPolicy is Report. */
  | { readonly kind: 'drifted'; readonly message: string }
  /** The removal guard holds a full pass back. */
  | { readonly kind: 'held'; readonly message: string };

export interface DirectorStatusInput {
  readonly director: Parsed<Director>;
  readonly link: DirectorLink;
  readonly table: DirectorTableState;
  /** Of the last session, also when it is over: a person wants to know what the host was. */
  readonly hello?:
    | {
        readonly version: string;
        readonly protocol: { readonly min: number; readonly max: number };
        readonly kernel: string;
        readonly bootId: string;
        readonly capabilities: {
          readonly ipvs: boolean;
          readonly netAdmin: boolean;
          readonly schedulers: readonly string[];
          readonly forwardingMethods: readonly string[];
          readonly families: readonly string[];
        };
        readonly problems: readonly string[];
      }
    | undefined;
  /** What of the settings that pools need the host does not have; undefined before any were asked for. */
  readonly hostRefusals?: readonly string[] | undefined;
  /** As last read. */
  readonly counts?:
    | {
        readonly virtualServers: number;
        readonly realServers: number;
        readonly draining: number;
        readonly foreign: number;
        readonly orphans: number;
        readonly activeConnections: number;
        readonly inactiveConnections: number;
      }
    | undefined;
  readonly totalWrites?: number | undefined;
  readonly lastSyncTime?: string | undefined;
  readonly preflight?: readonly PreflightCheck[] | undefined;
}

/** What a person reads in `kubectl describe director`. */
export function directorStatus(input: DirectorStatusInput): DirectorStatus {
  const { director, hello, counts } = input;
  const observedGeneration = director.ok ? director.value.generation : director.generation;
  const conditions = [connected(input), compatible(input), inSync(input)];
  const all = [...conditions, ready(input, conditions)];
  // It serves all the same: nothing that the message of the whole shall be about.
  const host = hostCondition(input.hostRefusals);
  return {
    observedGeneration,
    conditions: [...all, ...(host ? [host] : [])].map((condition) => ({ ...condition, observedGeneration })),
    ...(hello && {
      helper: {
        version: hello.version,
        protocol: `${hello.protocol.min}-${hello.protocol.max}`,
        capabilities: capabilityList(hello.capabilities),
      },
      kernel: hello.kernel,
      bootID: hello.bootId,
    }),
    virtualServers: counts?.virtualServers ?? 0,
    realServers: counts?.realServers ?? 0,
    draining: counts?.draining ?? 0,
    foreign: counts?.foreign ?? 0,
    orphans: counts?.orphans ?? 0,
    connections: (counts?.activeConnections ?? 0) + (counts?.inactiveConnections ?? 0),
    totalWrites: input.totalWrites ?? 0,
    ...(input.lastSyncTime !== undefined && { lastSyncTime: input.lastSyncTime }),
    ...(input.preflight && { preflight: input.preflight }),
    message: all.find(({ status }) => status !== 'True')?.message ?? '',
  };
}

/** What is desired is there, single refused objects aside; entries too many, held or foreign, do not make it useless. */
const TABLES_THAT_SERVE: ReadonlySet<DirectorTableState['kind']> = new Set(['inSync', 'refused', 'drifted', 'held']);

/**
 * Whether the director counts for publication: it answers, it fits, its table has been made what it shall be (single objects it
 * refuses do not make it useless for the others), and it is Active.
 */
export function isDirectorReady({ director, link, table, hello }: DirectorStatusInput): boolean {
  return (
    director.ok &&
    director.value.state === 'Active' &&
    link.kind === 'up' &&
    hello?.problems.length === 0 &&
    TABLES_THAT_SERVE.has(table.kind)
  );
}

function connected({ director, link, hello }: DirectorStatusInput): Condition {
  const type = 'Connected';
  if (!director.ok) return { type, status: 'False', reason: 'InvalidSpec', message: director.problems.join(' ') };
  const { address, port } = director.value;
  switch (link.kind) {
    case 'connecting':
      return { type, status: 'Unknown', reason: 'Connecting', message: `Connecting to ${address} port ${port}.` };
    case 'down':
      return {
        type,
        status: 'False',
        reason: link.failure.reason,
        message: `Not connected since ${link.since}: ${link.failure.message}`,
      };
    case 'up':
      return {
        type,
        status: 'True',
        reason: 'Connected',
        message: `Connected since ${link.since} to helper ${hello?.version ?? 'of unknown version'}.`,
      };
  }
}

/** Troubles of a connected director that only a change of the host or of the Director object ends. */
const UNFITNESS: ReadonlySet<string | undefined> = new Set(['HostUnfit', 'OwnerMismatch']);

function compatible({ link, table, hello }: DirectorStatusInput): Condition {
  const type = 'Compatible';
  if (link.kind === 'down' && link.failure.reason === 'IncompatibleHelper')
    return { type, status: 'False', reason: 'IncompatibleHelper', message: link.failure.message };
  if (link.kind === 'down' && link.failure.reason === 'NotADirector')
    return { type, status: 'False', reason: 'NotADirector', message: link.failure.message };
  if (link.kind !== 'up' || hello === undefined) return notConnected(type);
  if (table.kind === 'failed' && UNFITNESS.has(table.error.reason))
    return { type, status: 'False', reason: table.error.reason ?? 'HostUnfit', message: table.error.message };
  if (hello.problems.length > 0)
    return { type, status: 'False', reason: 'HostUnfit', message: hello.problems.join(' ') };
  return {
    type,
    status: 'True',
    reason: 'Compatible',
    message: `Helper ${hello.version} on Linux ${hello.kernel} can do what is needed.`,
  };
}

const TABLE_REASONS: Readonly<Record<string, string>> = {
  policy: 'PolicyDenied',
  collision: 'ForeignCollision',
  object: 'ObjectRefused',
  fenced: 'Fenced',
  permanent: 'HostUnfit',
  protocol: 'ProtocolError',
  retry: 'ApplyFailed',
};

/** A director that refuses everything would fill a page. */
const SHOWN_ERRORS = 3;

function inSync({ link, table }: DirectorStatusInput): Condition {
  const type = 'InSync';
  if (link.kind !== 'up') return notConnected(type);
  const reasonOf = (error: { readonly class: string; readonly reason?: string }) =>
    error.reason ?? TABLE_REASONS[error.class] ?? 'ApplyFailed';
  switch (table.kind) {
    case 'unknown':
      return { type, status: 'Unknown', reason: 'Filling', message: 'The table is being read and filled.' };
    case 'inSync':
      return { type, status: 'True', reason: 'InSync', message: 'The table is what it shall be.' };
    case 'drifted':
      return { type, status: 'False', reason: 'Drift', message: table.message };
    case 'held':
      return { type, status: 'False', reason: 'Held', message: table.message };
    case 'failed':
      return { type, status: 'False', reason: reasonOf(table.error), message: table.error.message };
    case 'refused': {
      const [first] = table.errors;
      const rest = table.errors.length - SHOWN_ERRORS;
      const messages = table.errors.slice(0, SHOWN_ERRORS).map(({ message }) => message);
      if (rest > 0) messages.push(`And ${rest} more.`);
      return {
        type,
        status: 'False',
        reason: first === undefined ? 'ObjectRefused' : reasonOf(first),
        message: messages.join(' '),
      };
    }
  }
}

function notConnected(type: string): Condition {
  return { type, status: 'Unknown', reason: 'NotConnected', message: 'Not known while the director is not connected.' };
}

function ready(input: DirectorStatusInput, others: readonly Condition[]): Condition {
  const type = 'Ready';
  const { director } = input;
  if (isDirectorReady(input)) {
    const message = 'Serves; new addresses are published when it has confirmed them.';
    return { type, status: 'True', reason: 'Ready', message };
  }
  const cause = others.find(({ status }) => status !== 'True');
  if (cause !== undefined) return { type, status: 'False', reason: cause.reason, message: cause.message };
  const state = director.ok ? director.value.state : 'Active';
  const message =
    state === 'Drained'
      ? 'spec.state is Drained: it is emptied and holds no virtual server. Set it to Active to use it.'
      : 'spec.state is Cordoned: it keeps its table, but no publication waits for it. Set it to Active to use it.';
  return { type, status: 'False', reason: state, message };
}

function capabilityList(capabilities: NonNullable<DirectorStatusInput['hello']>['capabilities']): readonly string[] {
  const { ipvs, netAdmin, schedulers, forwardingMethods, families } = capabilities;
  return [
    ...(ipvs ? ['IPVS'] : []),
    ...(netAdmin ? ['NET_ADMIN'] : []),
    ...families,
    ...forwardingMethods,
    ...schedulers,
  ];
}
