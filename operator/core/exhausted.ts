import { count, listInWords } from '../lib/list-in-words.ts';
import type { IpFamily } from '../model/ip-address.ts';
import type { LoadBalancedService } from '../model/load-balanced-service.ts';
import { type Choice, type FreeAddress, NOTHING_AWAITED } from './address-decision.ts';
import type { PoolSpace } from './pool-space.ts';

/** The refusal when no pool has a free address for the families: because all are in use, or because none ever had any of that family. */
export function exhausted(
  { ipFamilyPolicy }: Pick<LoadBalancedService, 'ipFamilyPolicy'>,
  spaces: readonly PoolSpace[],
  families: readonly IpFamily[],
): Choice {
  // Who only prefers both families would take one of either.
  const offering = spaces.filter((space) =>
    ipFamilyPolicy === 'PreferDualStack'
      ? families.some((family) => space.offers(family))
      : families.every((family) => space.offers(family)),
  );
  if (offering.length === 0) return neverOffered(spaces, families);
  const missing = families.filter((family) => !offering.some((space) => space.freeCount(family) > 0n));
  const lacking = missing.length > 0 ? missing : families;
  const texts = offering.map((space) => {
    const full = lacking.filter((family) => space.offers(family));
    const sizes = full.map((family) =>
      count(capacity(space.pool.ranges, family), `${family} address`, `${family} addresses`),
    );
    return `${space.pool.name} (${sizes.join(', ')})`;
  });
  return {
    ok: false,
    refusal: {
      reason: 'PoolExhausted',
      message: `Every address of LoadBalancerPool ${listInWords(texts)} is in use or kept for another Service. Add addresses to the pool or delete a Service; one that becomes free is given to the oldest waiting Service.`,
    },
    awaited: { addresses: [], free: offering.flatMap((space) => lackingIn(space, families)) },
  };
}

function neverOffered(spaces: readonly PoolSpace[], families: readonly IpFamily[]): Choice {
  const names = listInWords(spaces.map(({ pool }) => pool.name));
  const nowhere = families.filter((family) => !spaces.some((space) => space.offers(family)));
  if (nowhere.length === 0)
    return unavailable(
      `None of LoadBalancerPool ${names} has ${families.join(' and ')} addresses, and a Service takes all its addresses from one pool. Add the other family to one of them, or change spec.ipFamilies.`,
    );
  return unavailable(
    `LoadBalancerPool ${names} has no ${nowhere.join(' and ')} addresses. Add some to the pool, or change spec.ipFamilies.`,
  );
}

/** Only what the pool lacks itself: who would wait there for a family that it has keeps a free address of it from others who wait for no more than that. */
function lackingIn(space: PoolSpace, families: readonly IpFamily[]): readonly FreeAddress[] {
  return families
    .filter((family) => space.offers(family) && space.freeCount(family) === 0n)
    .map((family) => ({ pool: space.pool.name, family }));
}

function capacity(ranges: PoolSpace['pool']['ranges'], family: IpFamily): bigint {
  return ranges.reduce((sum, range) => (range.family === family ? sum + range.last - range.first + 1n : sum), 0n);
}

function unavailable(message: string): Choice {
  return {
    ok: false,
    refusal: { reason: 'FamilyUnavailable', message },
    awaited: NOTHING_AWAITED,
  };
}
