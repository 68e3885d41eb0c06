import assert from 'node:assert/strict';
import { AddressBook, type VipDecision } from '../../operator/core/address-book.ts';
import type { AddressPool } from '../../operator/model/address-pool.ts';
import type { IpAddress } from '../../operator/model/ip-address.ts';
import type { LoadBalancedService } from '../../operator/model/load-balanced-service.ts';
import { aPool } from './a-pool.ts';

/** A book with these pools; without any with the pool `web` of {@link aPool}. */
export function aBook(...pools: readonly AddressPool[]): AddressBook {
  const book = new AddressBook();
  book.setPools(pools.length === 0 ? [aPool()] : pools);
  return book;
}

/** The addresses of a decision that must have given some. */
export function assigned(decision: VipDecision): readonly IpAddress[] {
  assert.equal(decision.kind, 'assigned', decision.kind === 'refused' ? decision.message : '');
  return decision.kind === 'assigned' ? decision.addresses : [];
}

/** Fails unless the decision is a refusal with this reason and message. */
export function refused(decision: VipDecision, reason: string, message: RegExp): void {
  assert.equal(decision.kind, 'refused');
  if (decision.kind !== 'refused') return;
  assert.equal(decision.reason, reason, decision.message);
  assert.match(decision.message, message);
}

/** Allocates in a namespace without labels. */
export const give = (book: AddressBook, service: LoadBalancedService) => book.allocate(service, {});
