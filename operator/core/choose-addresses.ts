import { listInWords } from '../lib/list-in-words.ts';
import { familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { LoadBalancedService } from '../model/load-balanced-service.ts';
import { type Choice, NOTHING_AWAITED, type Refusal, type RefusalReason } from './address-decision.ts';
import { exhausted } from './exhausted.ts';
import { sharingKeyAt } from './grant-ports.ts';
import { type Obstacle, obstacle } from './obstacles.ts';
import { type ChoiceInput, pickAddresses } from './pick-addresses.ts';
import { whyNotAllowed } from './pool-admission.ts';
import type { PoolSpace } from './pool-space.ts';

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
  return (input.kept.length > 0 ? fromPoolOfKept(input) : undefined) ?? fromAnyPool(input);
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
  const { service } = input;
  const { pools } = input.ledger;
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
  const certain = { certain: kept, open: missing, dispensable: canMiss(service, missing) };
  const { picks, tooMany } =
    space === undefined || refusal !== undefined
      ? { picks: kept }
      : pickAddresses(underKeyOf(input, kept), space, certain);
  if (tooMany !== undefined) return tooMany;
  const choice = keepAll(poolName, picks, space);
  if (picks.length === kept.length + missing.length || service.ipFamilyPolicy !== 'RequireDualStack') return choice;
  if (refusal !== undefined) return { ok: false, refusal, awaited: NOTHING_AWAITED };
  return exhausted(service, [space as PoolSpace], missing);
}

/** Who prefers both families does without one. */
function canMiss({ ipFamilyPolicy }: LoadBalancedService, families: readonly IpFamily[]): readonly IpFamily[] {
  return ipFamilyPolicy === 'PreferDualStack' ? families : [];
}

/** What is added is shared under the key that what it has is shared under. */
function underKeyOf(input: ChoiceInput, kept: readonly IpAddress[]): ChoiceInput {
  const { service, ledger } = input;
  const sharingKey = sharingKeyAt(ledger, service, ledger.holding(service.key), kept);
  if (sharingKey === undefined || sharingKey === service.request.sharingKey) return input;
  return { ...input, service: { ...service, request: { ...service.request, sharingKey } } };
}

function keepAll(
  pool: string,
  picks: readonly IpAddress[],
  space: PoolSpace | undefined,
): Extract<Choice, { ok: true }> {
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
  const { pools } = input.ledger;
  const space = pools.get(name);
  if (space === undefined) return { ok: false, refusal: unknownPool(name, pools), awaited: NOTHING_AWAITED };
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
  const spaces = input.ledger.preferred;
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
  // A pool that yields gives nothing: what the other one says is what helps.
  const isTold = (choice: Choice) => choice.ok || choice.refusal.reason !== 'PoolConflict';
  return choices.find(({ ok }) => ok) ?? choices.find(isTold) ?? (choices[0] as Choice);
}

/** The pools that keep an address for the Service; undefined when none of them gives it. */
function fromPoolOfKept(input: ChoiceInput): Choice | undefined {
  const { kept, ledger } = input;
  for (const space of ledger.preferred) {
    if (!kept.some((address) => space.contains(address))) continue;
    const choice = fromPool(input, space);
    if (choice.ok && choice.picks.some((address) => kept.includes(address))) return choice;
  }
  return undefined;
}

/** The requested addresses of one pool, and others for the other families. */
function fromPool(input: ChoiceInput, space: PoolSpace): Choice {
  const { service, ledger } = input;
  const refusal = whyNotAllowed(space, service, input.namespaceLabels);
  if (refusal !== undefined) return { ok: false, refusal, awaited: NOTHING_AWAITED };
  const { addresses } = service.request;
  const blocked = addresses.flatMap((address) => {
    const found = obstacle(ledger, address, service, space.pool);
    return found === undefined ? [] : [{ address, ...found }];
  });
  if (blocked.length > 0) return inTheWay(blocked);
  const open = service.ipFamilies.filter((family) => !addresses.some((address) => familyOf(address) === family));
  // Who prefers both families and wants another address of one does not lose that family by it.
  const isNeeded = (family: IpFamily) =>
    service.ipFamilyPolicy !== 'PreferDualStack' || input.avoid.some((address) => familyOf(address) === family);
  const dispensable = open.filter((family) => !isNeeded(family));
  const { picks, tooMany } = pickAddresses(input, space, { certain: addresses, open, dispensable });
  const has = (family: IpFamily) => picks.some((address) => familyOf(address) === family);
  if (picks.length === 0 || !service.ipFamilies.filter(isNeeded).every(has))
    return exhausted(
      service,
      [space],
      open.filter((family) => !has(family)),
    );
  return tooMany ?? { ok: true, pool: space.pool.name, picks };
}

function inTheWay(blocked: readonly (Obstacle & { readonly address: IpAddress })[]): Choice {
  const message =
    `Requested address ${listInWords(blocked.map(({ address, text }) => `${address} ${text}`))}. ` +
    'Request another address, or delete that Service; the address is taken as soon as it is free.';
  const awaited = { ...NOTHING_AWAITED, addresses: blocked.map(({ address }) => address) };
  return { ok: false, refusal: { reason: (blocked[0] as Obstacle).reason, message }, awaited };
}

function fromAnyPool(input: ChoiceInput): Choice {
  const { service, ledger } = input;
  const { ipFamilies } = service;
  const refusals: Refusal[] = [];
  const full: PoolSpace[] = [];
  let partial: Choice | undefined;
  let overQuotas: Choice | undefined;
  for (const space of ledger.preferred) {
    if (!space.pool.autoAssign) continue;
    const refusal = whyNotAllowed(space, service, input.namespaceLabels);
    if (refusal !== undefined) {
      refusals.push(refusal);
      continue;
    }
    const choice = fromPool(input, space);
    if (!choice.ok && choice.refusal.reason === 'QuotaExceeded') overQuotas = join(overQuotas, choice);
    else if (!choice.ok) full.push(space);
    else if (choice.picks.length === ipFamilies.length) return choice;
    else partial = better(partial, choice, ipFamilies);
  }
  if (partial !== undefined) return partial;
  if (full.length === 0) return overQuotas ?? noPool(input, refusals);
  return withQuotas(exhausted(service, full, ipFamilies), overQuotas);
}

/** Of two choices that miss a family the one with the primary family; else the earlier one. */
function better(earlier: Choice | undefined, later: Choice, families: readonly IpFamily[]): Choice {
  const hasPrimary = (choice: Choice) => choice.ok && choice.picks.some((address) => familyOf(address) === families[0]);
  return earlier === undefined || (!hasPrimary(earlier) && hasPrimary(later)) ? later : earlier;
}

/** Quotas of several pools are waited for together; the first is told. */
function join(earlier: Choice | undefined, later: Choice): Choice {
  if (earlier?.ok !== false || later.ok) return later;
  const quotas = [...(earlier.awaited.quotas ?? []), ...(later.awaited.quotas ?? [])];
  return { ...earlier, awaited: { ...earlier.awaited, quotas } };
}

/** Who is over a quota is told so, and waits for a free address of the full pools as well. */
function withQuotas(exhaustion: Choice, quota: Choice | undefined): Choice {
  if (quota?.ok !== false || exhaustion.ok) return exhaustion;
  return { ...quota, awaited: { ...exhaustion.awaited, quotas: quota.awaited.quotas ?? [] } };
}

function noPool({ ledger: { pools } }: ChoiceInput, refusals: readonly Refusal[]): Choice {
  if (pools.size === 0) return refuse('NoPool', 'There is no LoadBalancerPool. Create one.');
  if (refusals.length === 0)
    return refuse(
      'NoPool',
      `No LoadBalancerPool has autoAssign. Request a pool or an address by annotation, or set autoAssign on one of ${listInWords([...pools.keys()].sort())}.`,
    );
  const [only] = refusals;
  if (refusals.length === 1 && only !== undefined) return { ok: false, refusal: only, awaited: NOTHING_AWAITED };
  return refuse('NoPool', `No LoadBalancerPool may serve this Service. ${listSentences(refusals)}`);
}

function listSentences(refusals: readonly Refusal[]): string {
  const shown = refusals.slice(0, 3).map(({ message }) => message);
  return shown.join(' ') + (refusals.length > 3 ? ` And ${refusals.length - 3} more.` : '');
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
