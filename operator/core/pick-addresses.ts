import { compareAddresses, familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { LabelSet } from '../model/labels.ts';
import type { LoadBalancedService } from '../model/load-balanced-service.ts';
import type { Choice } from './address-decision.ts';
import type { AddressLedger } from './address-ledger.ts';
import { NamespaceQuota } from './namespace-quota.ts';
import { obstacle } from './obstacles.ts';
import type { PoolSpace } from './pool-space.ts';

/** What the choice for one Service depends on. */
export interface ChoiceInput {
  readonly service: LoadBalancedService;
  readonly namespaceLabels: LabelSet | undefined;
  /** What it has already and may keep. */
  readonly held: { readonly pool: string; readonly addresses: readonly IpAddress[] } | undefined;
  /** What it shall not get again. */
  readonly avoid: readonly IpAddress[];
  /** Addresses kept for it: reserved, or held since it had them. */
  readonly kept: readonly IpAddress[];
  readonly ledger: AddressLedger;
}

/** What is to be picked of one pool. */
export interface Wanted {
  /** What the Service has or asks for. */
  readonly certain: readonly IpAddress[];
  /** Families in which any address will do. */
  readonly open: readonly IpFamily[];
  /** Of the open families those that the Service can do without, the most important first. */
  readonly dispensable: readonly IpFamily[];
}

/** The picks, and when they are more than the quota permits, the refusal. */
export interface Picked {
  readonly picks: readonly IpAddress[];
  readonly tooMany?: Extract<Choice, { ok: false }>;
}

/**
 * Addresses of the pool for each family that is open, as far as there are any, beside those that are certain. When that is more than the namespace of the Service may
 * have, addresses that it has already are taken or shared, and then families left out that the Service can do without: who takes less than he might is not refused.
 */
export function pickAddresses(input: ChoiceInput, space: PoolSpace, wanted: Wanted): Picked {
  const { certain, open, dispensable } = wanted;
  const quota = new NamespaceQuota(input.ledger, input.service, space);
  const picks = [...certain, ...fill(input, space, open)];
  if (quota.permits(picks)) return { picks };
  const frugal = [
    [...certain, ...fill(input, space, open, (address) => quota.isFree(address))],
    [...certain, ...fill(input, space, open, (address) => quota.isSaving(address))],
  ];
  const smaller = [...dispensable]
    .reverse()
    .flatMap((family) =>
      frugal.map((list) => list.filter((address) => familyOf(address) !== family || certain.includes(address))),
    );
  const candidates = [...frugal, ...smaller.filter(({ length }) => length > 0)];
  const permitted = candidates.find((candidate) => quota.permits(candidate));
  return permitted === undefined ? { picks, tooMany: quota.refuse(candidates) } : { picks: permitted };
}

/**
 * One address of the pool for each family, as far as there are any: one that the Service has already (it stays, also when only the pool was named anew) or that is kept
 * for it, else one that it may share, else the first free one.
 *
 * @param isBetter is looked for first, among its own and the shared ones.
 */
function fill(
  input: ChoiceInput,
  space: PoolSpace,
  families: readonly IpFamily[],
  isBetter?: (address: IpAddress) => boolean,
): readonly IpAddress[] {
  const { service, ledger, held, kept, avoid } = input;
  const own = [...(held?.addresses ?? []), ...kept];
  const mayHave = (address: IpAddress) =>
    space.contains(address) && !avoid.includes(address) && obstacle(ledger, address, service, space.pool) === undefined;
  const { sharingKey } = service.request;
  return families.flatMap((family) => {
    const ofFamily = (address: IpAddress) => familyOf(address) === family && mayHave(address);
    const find = (suits: (address: IpAddress) => boolean) =>
      (own.length > 0 ? own.find(suits) : undefined) ??
      (sharingKey === undefined ? undefined : lowest([...ledger.sharing.under(sharingKey)].filter(suits)));
    const better = isBetter && find((address) => isBetter(address) && ofFamily(address));
    return better ?? find(ofFamily) ?? space.firstFree(family) ?? [];
  });
}

function lowest(addresses: IpAddress[]): IpAddress | undefined {
  return addresses.sort(compareAddresses)[0];
}
