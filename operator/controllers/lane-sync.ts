import { guardRemovals } from '../core/guard.ts';
import { listInWords } from '../lib/list-in-words.ts';
import type { HostSettings } from '../model/host-settings.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';
import {
  formatVirtualServerKey,
  type VirtualServer,
  type VirtualServerKey,
  type VirtualServerKeyText,
} from '../model/virtual-server.ts';
import { type DeletionLimit, deletionLimitOf } from './lane-deletions.ts';
import type { KeyFailure } from './lane-entries.ts';
import { sieve } from './lane-sieve.ts';
import type { Batch, LaneTable } from './lane-table.ts';
import type {
  Answer,
  ApplyResult,
  Clock,
  DirectorFailure,
  DirectorSession,
  HelperError,
  ReadKeysResult,
  TableChange,
} from './ports.ts';
import type { WriteFence } from './write-fence.ts';

/** How one exchange with the director ended. */
export type Step =
  | { readonly kind: 'done' }
  | { readonly kind: 'broken'; readonly failure: DirectorFailure }
  | { readonly kind: 'refused'; readonly error: HelperError }
  | { readonly kind: 'notLeading' };

/** What the exchanges need, and where they leave what they learned. */
export interface SyncContext {
  readonly session: DirectorSession;
  /** The session has been closed by us: another director may be meant by now. */
  readonly isClosed: () => boolean;
  readonly table: LaneTable;
  readonly fence: WriteFence;
  readonly clock: Clock;
  readonly deletions: DeletionLimit;
  /** Interface of the director that carries the VIPs. */
  readonly interface: string;
  /** What shall hold on the director as a whole. */
  readonly host: HostSettings | undefined;
  /** Called with what of that the director refuses, in sentences. */
  readonly onHost: (refusals: readonly string[]) => void;
  /** Called with the fencing generation after each apply that was carried out. */
  readonly onApplied: (result: ApplyResult, generation: number) => void;
  readonly onRead: (result: ReadKeysResult) => void;
  /** Services whose confirmation or absence may have changed. */
  readonly onTouched: (services: ReadonlySet<ServiceKey>) => void;
}

/** Removals that are not made for safety's sake, in words. */
export interface HeldRemovals {
  readonly count: number;
  readonly message: string;
}

/** Virtual servers plus real servers in one request: some 3 MB of JSON, well below the frame limit of 16 MiB. */
const MAX_WEIGHT = 20_000;
/** Of one request among many: what becomes urgent meanwhile does not wait for all that a change of a node concerns. */
const CHANGE_WEIGHT = 4_000;
/** A refused object is tried again about this often: the host's owner may have mended its policy or its table meanwhile. */
const REFUSED_RETRY_MS = 30_000;
const TRANSIENT_RETRY_MS = 1_000;

/**
 * Makes the director's whole table as desired: reads its keys, asks the guard about removals that nobody is known to have asked for, and
 * writes. One request of scope `all` when everything may be touched; otherwise, or when the table is large, requests of scope `listed`.
 */
export async function fullSync(context: SyncContext): Promise<{ readonly step: Step; readonly held?: HeldRemovals }> {
  const { session, table } = context;
  const read = unlessClosed(context, await session.readKeys());
  if (read.kind !== 'ok') return { step: read };
  context.onRead(read.value);
  table.learn(read.value.keys);
  const { explained, unexplained } = table.surplus();
  const surplus = new Set([...explained, ...unexplained].map(formatVirtualServerKey));
  const verdict = guardRemovals({
    held: read.value.keys,
    desired: read.value.keys.filter((key) => !surplus.has(formatVirtualServerKey(key))),
    explained: new Set(explained.map(formatVirtualServerKey)),
  });
  const desired = table.desired();
  // What the director cannot have is not sent, and a request of scope `all` would remove it: it may have an older definition that serves.
  const possible = sieve(desired, session.hello, 0).failures.size === 0;
  if (verdict.allowed && possible && !table.intents.partlyFrozen && table.weight() <= MAX_WEIGHT) {
    const batch: Batch = { virtualServers: desired, absent: [...explained, ...unexplained] };
    const { limit } = context.deletions.budget;
    const step = await send(context, batch, 'all');
    // It turned out that so many deletions are too many at once: the rest follows in parts.
    if (step.kind === 'done' && context.deletions.budget.limit < limit) return { step: await sendAllDirty(context) };
    if (step.kind !== 'refused' || !concernsObjects(step.error)) return { step };
    // The host's policy may forbid the removals: program what shall be there, and leave the rest for a person.
    const held = { count: unexplained.length, message: step.error.message };
    return { step: await syncInParts(context, explained), ...(unexplained.length > 0 && { held }) };
  }
  const first = await sendHost(context);
  if (first.kind !== 'done') return { step: first };
  const step = await syncInParts(context, verdict.allowed ? [...explained, ...unexplained] : explained);
  return verdict.allowed ? { step } : { step, held: { count: verdict.unexplained.length, message: verdict.message } };
}

/** The host's settings by themselves, where no request carries the whole table. */
async function sendHost(context: SyncContext): Promise<Step> {
  const { session, fence, host } = context;
  if (host === undefined) return { kind: 'done' };
  const pair = fence.next();
  if (pair === undefined) return { kind: 'notLeading' };
  const empty = { virtualServers: [], absent: [] };
  const answer = await session.apply({
    ...pair,
    ...empty,
    dryRun: false,
    scope: 'listed',
    interface: context.interface,
    host,
  });
  if (answer.kind !== 'ok') return answer;
  context.onApplied(answer.value, pair.generation);
  context.onHost(hostRefusals(answer.value));
  return { kind: 'done' };
}

/** An answer that has been on its way while the session was closed is not taken in. */
function unlessClosed<T>({ isClosed }: SyncContext, answer: Answer<T>): Answer<T> {
  if (!isClosed()) return answer;
  return { kind: 'broken', failure: { reason: 'Closed', message: 'The session was closed by the operator.' } };
}

/** How the helper names what belongs to no virtual server. */
const HOST_OBJECT = /^(sysctl |timeouts$)/;

function hostRefusals({ errors }: ApplyResult): readonly string[] {
  return errors.flatMap(({ object, message }) => (HOST_OBJECT.test(object ?? '') ? [`${message}.`] : []));
}

async function syncInParts(context: SyncContext, absent: Batch['absent']): Promise<Step> {
  context.table.markAllDirty(absent);
  return sendAllDirty(context);
}

async function sendAllDirty(context: SyncContext): Promise<Step> {
  let step: Step = { kind: 'done' };
  while (step.kind === 'done' && context.table.hasDirty(context.clock.monotonic()))
    step = await sendDirty(context, MAX_WEIGHT);
  return step;
}

/** Sends what has changed since it was confirmed last. */
export async function sendDirty(context: SyncContext, maxWeight = CHANGE_WEIGHT): Promise<Step> {
  const batch = context.table.takeDirty(maxWeight, context.deletions.budget);
  if (batch.virtualServers.length + batch.absent.length === 0) return { kind: 'done' };
  return send(context, batch, 'listed');
}

async function send(context: SyncContext, batch: Batch, scope: 'all' | 'listed'): Promise<Step> {
  const { session, table, fence, clock } = context;
  const pair = fence.next();
  if (pair === undefined) {
    table.giveBack(batch);
    return { kind: 'notLeading' };
  }
  const { limit, guess } = context.deletions.budget;
  const isWithinLimit = Number.isFinite(limit) && table.deletions(batch, guess) <= limit;
  table.sending(batch);
  const { possible, failures } = sieve(batch.virtualServers, session.hello, clock.monotonic());
  if (possible.length + batch.absent.length === 0 && failures.size > 0) {
    context.onTouched(table.confirm(batch, failures));
    return { kind: 'done' };
  }
  const answer = unlessClosed(
    context,
    await session.apply({
      ...pair,
      dryRun: false,
      scope,
      interface: context.interface,
      virtualServers: possible,
      absent: scope === 'all' ? [] : batch.absent,
      ...(scope === 'all' && context.host && { host: context.host }),
    }),
  );
  if (answer.kind === 'ok') {
    context.onApplied(answer.value, pair.generation);
    if (scope === 'all' && context.host !== undefined) context.onHost(hostRefusals(answer.value));
    const refused = failuresOf(answer.value, clock);
    const deferred = deferredOf(context, refused, isWithinLimit);
    const [again, answered] = split(batch, deferred);
    context.onTouched(table.confirm(answered, new Map([...failures, ...refused])));
    table.giveBack(again);
    return { kind: 'done' };
  }
  if (answer.kind === 'refused' && scope === 'listed' && concernsObjects(answer.error)) {
    const failure = failureOf(answer.error, clock);
    const keys = [...batch.virtualServers, ...batch.absent].map(formatVirtualServerKey);
    context.onTouched(table.confirm(batch, new Map(keys.map((key) => [key, failure]))));
    return { kind: 'done' };
  }
  table.giveBack(scope === 'all' ? { ...batch, absent: [] } : batch);
  return answer;
}

/**
 * The keys that were refused because the request meant more deletions than the host's policy allows, and shall be sent again in smaller ones. Not
 * so a key that is alone in this: all the deletions were its own.
 */
function deferredOf(
  { deletions, table }: SyncContext,
  refused: ReadonlyMap<VirtualServerKeyText, KeyFailure>,
  isWithinLimit: boolean,
): ReadonlySet<VirtualServerKeyText> {
  const limits = new Map(
    [...refused].flatMap(([text, failure]) => {
      const limit = deletionLimitOf(failure);
      return limit === undefined ? [] : [[text, limit] as const];
    }),
  );
  const [limit] = limits.values();
  if (limit === undefined || limits.size === 1) return new Set();
  if (isWithinLimit) table.doubt(limits.keys());
  deletions.learn(limit, isWithinLimit);
  return new Set(limits.keys());
}

/** What of the batch is among the keys, and the rest. */
function split({ virtualServers, absent }: Batch, keys: ReadonlySet<VirtualServerKeyText>): readonly [Batch, Batch] {
  const has = (key: VirtualServerKey) => keys.has(formatVirtualServerKey(key));
  const hasNot = (key: VirtualServerKey) => !has(key);
  return [
    { virtualServers: virtualServers.filter(has), absent: absent.filter(has) },
    { virtualServers: virtualServers.filter(hasNot), absent: absent.filter(hasNot) },
  ];
}

/**
 * What a comparison of the director's table with ours has found. `unproven`: there is no hash to compare with. `unknown`: what the director
 * calls ours and we know nothing of, with what would be done about it.
 */
export type Verification =
  | { readonly kind: 'equal' }
  | { readonly kind: 'drifted'; readonly unknown: readonly TableChange[] }
  | { readonly kind: 'unproven'; readonly hash: string }
  | { readonly kind: 'failed'; readonly step: Step };

/**
 * Compares the hash of a table that was as desired with what is there now; costs one read. The hash that an apply of some keys leaves
 * behind proves nothing about the others, so after one there is nothing to compare with. A plan that names what we know says nothing about what
 * we do not know: that is seen in the keys.
 */
export async function verify(context: SyncContext, provenHash: string | undefined): Promise<Verification> {
  const read = await context.session.readKeys();
  if (read.kind !== 'ok') return { kind: 'failed', step: read };
  context.onRead(read.value);
  const hash = read.value.tableHash;
  const unknown = context.table.unknown(read.value.keys).map(removalOf);
  if (unknown.length > 0) return { kind: 'drifted', unknown };
  if (provenHash === undefined) return { kind: 'unproven', hash };
  return hash === provenHash ? { kind: 'equal' } : { kind: 'drifted', unknown };
}

function removalOf(key: VirtualServerKey): TableChange {
  const object = formatVirtualServerKey(key);
  return { kind: 'deleteVirtualServer', object, sentence: `delete virtual server ${object}` };
}

/**
 * Asks what a repair would do, without doing it, in as many requests as the table needs. An empty list: the table is as it shall be, but for
 * changes of ours that are still to be sent.
 */
export async function planRepair(context: SyncContext): Promise<readonly TableChange[] | Step> {
  const changes: TableChange[] = [];
  for (const virtualServers of partsOf(sieve(context.table.settled(), context.session.hello, 0).possible)) {
    const pair = context.fence.next();
    if (pair === undefined) return { kind: 'notLeading' };
    const answer = await context.session.apply({
      ...pair,
      dryRun: true,
      scope: 'listed',
      interface: context.interface,
      virtualServers,
      absent: [],
    });
    if (answer.kind !== 'ok') return answer;
    changes.push(...answer.value.changes);
  }
  return changes;
}

/** In their order, each as large as a request may be. */
function partsOf(virtualServers: readonly VirtualServer[]): readonly (readonly VirtualServer[])[] {
  const parts: VirtualServer[][] = [];
  let room = 0;
  for (const server of virtualServers) {
    const weight = 1 + server.realServers.length;
    if (room < weight) {
      parts.push([]);
      room = MAX_WEIGHT;
    }
    room -= weight;
    parts.at(-1)?.push(server);
  }
  return parts;
}

/** A few of the changes in words. */
export function describeChanges(changes: readonly TableChange[]): string {
  return listInWords(
    changes.map(({ sentence }) => sentence),
    3,
  );
}

function concernsObjects(error: HelperError): boolean {
  return error.class === 'object' || error.class === 'policy' || error.class === 'collision';
}

function failuresOf(result: ApplyResult, clock: Clock): Map<VirtualServerKeyText, KeyFailure> {
  const failures = new Map<VirtualServerKeyText, KeyFailure>();
  for (const key of result.failed) {
    const text = formatVirtualServerKey(key);
    const error = result.errors.find(({ object }) => object === text || object?.startsWith(`${text} `)) ?? {
      class: 'retry' as const,
      message: `${text} is not as requested after it was read back; it is tried again.`,
    };
    failures.set(text, failureOf(error, clock));
  }
  return failures;
}

function failureOf(error: HelperError, clock: Clock): KeyFailure {
  const wait = error.class === 'retry' ? TRANSIENT_RETRY_MS : REFUSED_RETRY_MS * (0.75 + clock.random() / 2);
  return {
    class: error.class,
    message: error.message,
    retryAt: clock.monotonic() + wait,
    untouched: error.class === 'policy' || error.class === 'collision',
    notOurs: error.class === 'collision',
  };
}
