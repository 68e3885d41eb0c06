import { count, listInWords } from '../lib/list-in-words.ts';
import { familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { LabelSet } from '../model/labels.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import type { Awaited, Choice, Refusal, RefusalReason } from './address-decision.ts';
import { nameService } from './name-service.ts';
import { comparePreference, whyNotAllowed } from './pool-admission.ts';
import type { PoolSpace } from './pool-space.ts';

/** What the choice for one Service depends on. */
export interface ChoiceInput {
  readonly service: LoadBalancedService;
  readonly namespaceLabels: LabelSet | undefined;
  /** What it has already. */
  readonly held: { readonly pool: string; readonly addresses: readonly IpAddress[] } | undefined;
  readonly pools: ReadonlyMap<string, PoolSpace>;
  /** Who has an address, or is giving it up. */
  readonly holder: (address: IpAddress) => ServiceKey | undefined;
}

const NOTHING_AWAITED: Awaited = { addresses: [], families: [], pools: [] };

/**
 * Chooses addresses for a Service without giving them: what it has if that still satisfies it, the addresses it asks for, or
 * the first free ones of the most preferred pool. All addresses of a Service come from one pool.
 */
export function chooseAddresses(input: ChoiceInput): Choice {
  const { service, held } = input;
  const invalid = invalidRequest(service);
  if (invalid !== undefined) return refuse('InvalidRequest', invalid);
  if (held !== undefined && held.addresses.length > 0) {
    const kept = keep(input, held.pool, held.addresses);
    if (kept !== undefined) return kept;
  }
  const { request } = service;
  if (request.pool !== undefined) return fromNamedPool(input, request.pool);
  if (request.addresses.length > 0) return fromPoolOfAddresses(input);
  return fromAnyPool(input);
}

function invalidRequest({ request, ipFamilies, problems }: LoadBalancedService): string | undefined {
  if (problems.length > 0) return problems.join(' ');
  const seen = new Set<IpFamily>();
  for (const address of request.addresses) {
    const family = familyOf(address);
    if (!ipFamilies.includes(family))
      return `Requested address ${address} is ${family}, but the Service's ipFamilies are ${ipFamilies.join(', ')}. Request an address of these families or change spec.ipFamilies.`;
    if (seen.has(family)) return `More than one ${family} address is requested; a Service has one address per family.`;
    seen.add(family);
  }
  return undefined;
}

/**
 * What the Service has, with missing families added from the same pool. Undefined when its request names something else, so
 * that it has to be chosen anew. Whether the pool would admit the Service today does not matter to what was given before.
 */
function keep(input: ChoiceInput, poolName: string, addresses: readonly IpAddress[]): Choice | undefined {
  const { service, pools } = input;
  const { request, ipFamilies } = service;
  if (request.pool !== undefined && request.pool !== poolName) return undefined;
  if (request.addresses.some((address) => !addresses.includes(address))) return undefined;
  const kept = ipFamilies.flatMap((family) => addresses.filter((address) => familyOf(address) === family));
  const missing = ipFamilies.filter((family) => !kept.some((address) => familyOf(address) === family));
  if (kept.length === 0) return undefined;
  const space = pools.get(poolName);
  if (missing.length === 0) return keepAll(poolName, kept, space);
  const refusal =
    space === undefined ? unknownPool(poolName, pools) : whyNotAllowed(space, service, input.namespaceLabels);
  const added = space === undefined || refusal !== undefined ? [] : firstFreeOf(space, missing);
  if (added.length === missing.length || service.ipFamilyPolicy !== 'RequireDualStack')
    return { ok: true, pool: poolName, picks: [...kept, ...added] };
  return refusal !== undefined
    ? { ok: false, refusal, awaited: NOTHING_AWAITED }
    : exhausted([space as PoolSpace], missing);
}

function keepAll(pool: string, picks: readonly IpAddress[], space: PoolSpace | undefined): Choice {
  const outside = space === undefined ? picks : picks.filter((address) => !space.contains(address));
  if (outside.length === 0) return { ok: true, pool, picks };
  const message =
    space === undefined
      ? `LoadBalancerPool ${pool}, which gave ${listInWords(outside)}, does not exist or cannot be used: see its status, or create a pool that has the address. The address stays.`
      : `LoadBalancerPool ${pool} no longer contains ${listInWords(outside)}. Add the address to a pool again, or request another one.`;
  return {
    ok: true,
    pool,
    picks,
    unmet: { reason: space === undefined ? 'PoolNotFound' : 'AddressOutsidePools', message },
  };
}

function fromNamedPool(input: ChoiceInput, name: string): Choice {
  const space = input.pools.get(name);
  if (space === undefined) return { ok: false, refusal: unknownPool(name, input.pools), awaited: NOTHING_AWAITED };
  const outside = input.service.request.addresses.filter((address) => !space.contains(address));
  if (outside.length > 0)
    return refuse(
      'AddressOutsidePools',
      `Requested address ${listInWords(outside)} is not in LoadBalancerPool ${name}, or excluded there. Request an address of that pool, or leave the pool open.`,
    );
  return fromPool(input, space);
}

function fromPoolOfAddresses(input: ChoiceInput): Choice {
  const { addresses } = input.service.request;
  const spaces = [...input.pools.values()].sort((a, b) => comparePreference(a.pool, b.pool));
  const matching = spaces.filter((space) => addresses.every((address) => space.contains(address)));
  if (matching.length === 0) {
    const outside = addresses.filter((address) => !spaces.some((space) => space.contains(address)));
    if (outside.length === 0)
      return refuse(
        'InvalidRequest',
        `Requested addresses ${listInWords(addresses)} lie in different LoadBalancerPools; a Service takes all its addresses from one.`,
      );
    return refuse(
      'AddressOutsidePools',
      `Requested address ${listInWords(outside)} is in no LoadBalancerPool, or excluded there. Request an address of ${listInWords(spaces.map(({ pool }) => pool.name))}, or add it to a pool.`,
    );
  }
  const choices = matching.map((space) => fromPool(input, space));
  return choices.find(({ ok }) => ok) ?? (choices[0] as Choice);
}

/** The requested addresses of one pool, and first free ones for the other families. */
function fromPool(input: ChoiceInput, space: PoolSpace): Choice {
  const { service, holder } = input;
  const refusal = whyNotAllowed(space, service, input.namespaceLabels);
  if (refusal !== undefined) return { ok: false, refusal, awaited: NOTHING_AWAITED };
  const { addresses } = service.request;
  const taken = addresses.filter((address) => (holder(address) ?? service.key) !== service.key);
  if (taken.length > 0) {
    const names = taken.map(
      (address) => `${address} is in use by ${nameService(holder(address) as ServiceKey, service.namespace)}`,
    );
    return {
      ok: false,
      refusal: {
        reason: 'AddressInUse',
        message: `Requested address ${listInWords(names)}. Request another address, or delete that Service; the address is taken as soon as it is free.`,
      },
      awaited: { ...NOTHING_AWAITED, addresses: taken },
    };
  }
  const open = service.ipFamilies.filter((family) => !addresses.some((address) => familyOf(address) === family));
  // An address it has already in this pool stays, also when only the pool was named anew.
  const own = (input.held?.addresses ?? []).filter(
    (address) => open.includes(familyOf(address)) && space.contains(address),
  );
  const rest = open.filter((family) => !own.some((address) => familyOf(address) === family));
  const picks = [...addresses, ...own, ...firstFreeOf(space, rest)];
  const enough = service.ipFamilyPolicy === 'PreferDualStack' ? 1 : service.ipFamilies.length;
  if (picks.length >= enough) return { ok: true, pool: space.pool.name, picks };
  return exhausted([space], rest);
}

function fromAnyPool(input: ChoiceInput): Choice {
  const { service, pools } = input;
  const automatic = [...pools.values()].filter(({ pool }) => pool.autoAssign);
  const allowed = automatic.filter((space) => whyNotAllowed(space, service, input.namespaceLabels) === undefined);
  if (allowed.length === 0) return noPool(input, automatic);
  allowed.sort((a, b) => comparePreference(a.pool, b.pool));
  let partial: Choice | undefined;
  for (const space of allowed) {
    const choice = fromPool(input, space);
    if (!choice.ok) continue;
    if (choice.picks.length === service.ipFamilies.length) return choice;
    partial = better(partial, choice, service.ipFamilies);
  }
  return partial ?? exhausted(allowed, service.ipFamilies);
}

/** Of two choices that miss a family the one with the primary family; else the earlier one. */
function better(earlier: Choice | undefined, later: Choice, families: readonly IpFamily[]): Choice {
  const hasPrimary = (choice: Choice) => choice.ok && choice.picks.some((address) => familyOf(address) === families[0]);
  return earlier === undefined || (!hasPrimary(earlier) && hasPrimary(later)) ? later : earlier;
}

function firstFreeOf(space: PoolSpace, families: readonly IpFamily[]): IpAddress[] {
  return families.map((family) => space.firstFree(family)).filter((address) => address !== undefined);
}

function noPool({ service, namespaceLabels, pools }: ChoiceInput, automatic: readonly PoolSpace[]): Choice {
  if (pools.size === 0) return refuse('NoPool', 'There is no LoadBalancerPool. Create one.');
  if (automatic.length === 0)
    return refuse(
      'NoPool',
      `No LoadBalancerPool has autoAssign. Request a pool or an address by annotation, or set autoAssign on one of ${listInWords([...pools.keys()].sort())}.`,
    );
  const refusals = automatic.map((space) => whyNotAllowed(space, service, namespaceLabels) as Refusal);
  const [only] = refusals;
  if (refusals.length === 1 && only !== undefined) return { ok: false, refusal: only, awaited: NOTHING_AWAITED };
  return refuse('NoPool', `No LoadBalancerPool may serve this Service. ${listSentences(refusals)}`);
}

function listSentences(refusals: readonly Refusal[]): string {
  const shown = refusals.slice(0, 3).map(({ message }) => message);
  return shown.join(' ') + (refusals.length > 3 ? ` And ${refusals.length - 3} more.` : '');
}

/** No pool has a free address for the families: because all are in use, or because it never had any of that family. */
function exhausted(spaces: readonly PoolSpace[], families: readonly IpFamily[]): Choice {
  const missing = families.filter((family) => !spaces.some((space) => space.freeCount(family) > 0n));
  const lacking = missing.length > 0 ? missing : families;
  const names = spaces.map(({ pool }) => pool.name);
  const offering = spaces.filter((space) => lacking.every((family) => space.offers(family)));
  if (offering.length === 0)
    return refuse(
      'FamilyUnavailable',
      `LoadBalancerPool ${listInWords(names)} has no ${lacking.join(' and ')} addresses. Add some to the pool, or change spec.ipFamilies.`,
    );
  const texts = offering.map(
    ({ pool }) =>
      `${pool.name} (${lacking.map((family) => `${count(capacity(pool.ranges, family), `${family} address`, `${family} addresses`)}`).join(', ')})`,
  );
  return {
    ok: false,
    refusal: {
      reason: 'PoolExhausted',
      message: `Every address of LoadBalancerPool ${listInWords(texts)} is in use. Add addresses to the pool or delete a Service; one that becomes free is given to the oldest waiting Service.`,
    },
    awaited: { addresses: [], families: lacking, pools: names },
  };
}

function capacity(ranges: PoolSpace['pool']['ranges'], family: IpFamily): bigint {
  return ranges.reduce((sum, range) => (range.family === family ? sum + range.last - range.first + 1n : sum), 0n);
}

function unknownPool(name: string, pools: ReadonlyMap<string, PoolSpace>): Refusal {
  return {
    reason: 'PoolNotFound',
    message: `There is no valid LoadBalancerPool ${name}; there is ${listInWords([...pools.keys()].sort())}. Correct the annotation or create the pool.`,
  };
}

function refuse(reason: RefusalReason, message: string): Choice {
  return { ok: false, refusal: { reason, message }, awaited: NOTHING_AWAITED };
}
