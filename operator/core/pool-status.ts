import { formatAmount } from '../lib/format-amount.ts';
import { formatTime } from '../lib/format-time.ts';
import { count, listInWords } from '../lib/list-in-words.ts';
import type { AddressPool, HeldAddress } from '../model/address-pool.ts';
import type { Condition } from '../model/condition.ts';
import type { Parsed } from '../model/parsed.ts';
import type { PoolDirectorStatus, PoolStatus } from '../model/status.ts';
import type { PoolUsage } from './address-book.ts';
import type { PoolOverlap } from './pool-overlaps.ts';

export interface PoolStatusInput {
  readonly pool: Parsed<AddressPool>;
  readonly usage: PoolUsage;
  /** Set while the pool yields to an earlier one. */
  readonly overlap?: PoolOverlap | undefined;
  /** What hosts have of the pool's addresses, as sentences. */
  readonly hostAddresses?: string;
  /** Every director that the pool selects. */
  readonly directors: readonly PoolDirectorStatus[];
  /** Virtual servers that Services of this pool shall have on each director. */
  readonly virtualServers: number;
  /** Whether the timeouts that it asks for hold. */
  readonly timeouts?: Condition | undefined;
  /** What the removal guard says while it holds a change back. */
  readonly changeHeld?: string | undefined;
  /** Released addresses that are held, in the order in which they come free. */
  readonly held?: readonly HeldAddress[];
  /** Services that have an address of the pool. */
  readonly services?: number;
}

/** What a person reads in `kubectl describe lbpool`. */
export function poolStatus(input: PoolStatusInput): PoolStatus {
  const { pool, usage, held: heldNow = [] } = input;
  const observedGeneration = pool.ok ? pool.value.generation : pool.generation;
  const directors = [...input.directors].sort((a, b) => (a.name < b.name ? -1 : 1));
  const conditions = [
    ready(input),
    addressesAvailable(input),
    conflict(input),
    hostAddresses(input),
    directorsSelected(input),
    held(input),
  ];
  if (input.timeouts !== undefined) conditions.push(input.timeouts);
  return {
    observedGeneration,
    conditions: conditions.map((condition) => ({ ...condition, observedGeneration })),
    assignedIPv4: usage.assignedIPv4,
    assignedIPv6: usage.assignedIPv6,
    availableIPv4: String(usage.availableIPv4),
    availableIPv6: String(usage.availableIPv6),
    used: usage.assignedIPv4 + usage.assignedIPv6,
    free: formatAmount(usage.availableIPv4 + usage.availableIPv6),
    directors,
    directorsReady: `${directors.filter((director) => director.ready).length}/${directors.length}`,
    virtualServers: input.virtualServers,
    ...(usage.outside > 0 && { outside: usage.outside }),
    ...(heldNow.length > 0 && {
      held: heldNow.map(({ address, service, until }) => ({
        address,
        service,
        until: formatTime(until),
        reason: 'Released',
      })),
    }),
  };
}

function ready({ pool, services = 0, overlap, directors }: PoolStatusInput): Condition {
  const say = (status: Condition['status'], reason: string, message: string): Condition => ({
    type: 'Ready',
    status,
    reason,
    message,
  });
  if (!pool.ok) return say('False', 'InvalidSpec', pool.problems.join(' '));
  if (pool.value.deleting) {
    const waits = ` It waits until ${count(services, 'Service that has', 'Services that have')} an address of it ${services === 1 ? 'is' : 'are'} gone or moved.`;
    return say('False', 'Deleting', `The pool is being deleted and gives no new address.${services > 0 ? waits : ''}`);
  }
  if (overlap !== undefined) return say('False', 'Conflict', overlap.message);
  if (directors.length === 0) return say('False', 'NoDirectorSelected', NO_DIRECTOR);
  const away = directors.filter((director) => !director.ready);
  const reasons = away.map(({ name, message }) => `${name}: ${message}`).join(' ');
  if (away.length === directors.length) return say('False', 'NoDirectorReady', `No director is ready. ${reasons}`);
  if (away.length > 0)
    return say('True', 'SomeDirectorsNotReady', `Served by ${namesOfReady(directors)}; not ready is ${reasons}`);
  return say('True', 'Ready', `Served by ${namesOfReady(directors)}.`);
}

const NO_DIRECTOR = 'spec.directors.selector matches no Director. Correct the selector or the labels of the Directors.';

function namesOfReady(directors: readonly PoolDirectorStatus[]): string {
  return `director ${listInWords(
    directors
      .filter(({ ready }) => ready)
      .map(({ name }) => name)
      .sort(),
  )}`;
}

function addressesAvailable({ pool, usage, overlap, held: heldNow = [] }: PoolStatusInput): Condition {
  const type = 'AddressesAvailable';
  if (!pool.ok) return { type, status: 'False', reason: 'InvalidSpec', message: pool.problems.join(' ') };
  if (pool.value.paused)
    return { type, status: 'False', reason: 'Paused', message: 'spec.paused is true: the pool gives no new address.' };
  if (overlap !== undefined) return { type, status: 'False', reason: 'Conflict', message: overlap.message };
  const free = usage.availableIPv4 + usage.availableIPv6;
  const inUse = count(usage.assignedIPv4 + usage.assignedIPv6, 'address', 'addresses');
  const notes =
    (heldNow.length > 0 ? ` ${heldNow.length} released and held for a while.` : '') +
    (usage.outside > 0
      ? ` ${count(usage.outside, 'Service keeps', 'Services keep')} an address that the pool no longer has: see condition AddressAssigned of the Services.`
      : '');
  if (free === 0n)
    return {
      type,
      status: 'False',
      reason: 'Exhausted',
      message: `All addresses are given: ${inUse} in use.${notes} Add addresses to the pool or delete a Service.`,
    };
  return { type, status: 'True', reason: 'Available', message: `${inUse} in use, ${formatAmount(free)} free.${notes}` };
}

function conflict({ overlap }: PoolStatusInput): Condition {
  return overlap === undefined
    ? { type: 'Conflict', status: 'False', reason: 'NoOverlap', message: 'No earlier pool has addresses of this one.' }
    : { type: 'Conflict', status: 'True', reason: 'Overlap', message: overlap.message };
}

function hostAddresses({ hostAddresses: message }: PoolStatusInput): Condition {
  return message === undefined
    ? {
        type: 'HostAddresses',
        status: 'False',
        reason: 'NoHostAddress',
        message: 'No host has an address of this pool.',
      }
    : { type: 'HostAddresses', status: 'True', reason: 'HostAddressExcluded', message };
}

function directorsSelected({ directors }: PoolStatusInput): Condition {
  const type = 'DirectorsSelected';
  if (directors.length === 0) return { type, status: 'False', reason: 'NoDirectorSelected', message: NO_DIRECTOR };
  const names = listInWords(directors.map(({ name }) => name).sort());
  return { type, status: 'True', reason: 'Selected', message: `${count(directors.length, 'director')}: ${names}.` };
}

function held({ changeHeld }: PoolStatusInput): Condition {
  return changeHeld === undefined
    ? { type: 'ChangeHeld', status: 'False', reason: 'NothingHeld', message: 'No change is held back.' }
    : { type: 'ChangeHeld', status: 'True', reason: 'TooManyRemovals', message: changeHeld };
}
