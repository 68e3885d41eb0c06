import type { AddressPool } from '../model/address-pool.ts';
import { type LabelSet, matchesSelector } from '../model/labels.ts';
import type { LoadBalancedService } from '../model/load-balanced-service.ts';
import type { Refusal } from './address-decision.ts';
import type { PoolSpace } from './pool-space.ts';

/**
 * Why the pool gives a Service nothing new, or undefined when it may. Holds for explicit requests too.
 *
 * @param namespaceLabels undefined while the namespace is not known; then no namespaceSelector matches.
 */
export function whyNotAllowed(
  { pool, overlap }: PoolSpace,
  service: LoadBalancedService,
  namespaceLabels: LabelSet | undefined,
): Refusal | undefined {
  const { name } = pool;
  if (pool.deleting)
    return { reason: 'PoolNotFound', message: `LoadBalancerPool ${name} is being deleted and gives no new address.` };
  if (pool.paused)
    return {
      reason: 'PoolPaused',
      message: `LoadBalancerPool ${name} is paused and gives no new address. Set its spec.paused to false.`,
    };
  if (overlap !== undefined)
    return { reason: 'PoolConflict', message: `LoadBalancerPool ${name} gives no new address: ${overlap.message}` };
  return whyNotAdmitted(pool, service, namespaceLabels);
}

/** Why the rules of the pool do not admit a Service, whatever the state of the pool is. One that it reserves an address for is admitted. */
export function whyNotAdmitted(
  { name, serviceAllocation: allocation, reservations }: AddressPool,
  service: LoadBalancedService,
  namespaceLabels: LabelSet | undefined,
): Refusal | undefined {
  if (reservations.length > 0 && reservations.some((reservation) => reservation.service === service.key))
    return undefined;
  if (!allowsNamespace(allocation, service.namespace, namespaceLabels))
    return {
      reason: 'PoolNotAllowed',
      message: `LoadBalancerPool ${name} is not for namespace ${service.namespace}. Change its spec.serviceAllocation or use another pool.`,
    };
  const { serviceSelectors } = allocation;
  if (serviceSelectors.length > 0 && !serviceSelectors.some((selector) => matchesSelector(service.labels, selector)))
    return {
      reason: 'PoolNotAllowed',
      message: `No serviceSelector of LoadBalancerPool ${name} matches the labels of the Service. Change the labels, the selectors or the pool.`,
    };
  return undefined;
}

/**
 * The order in which pools are tried: by priority (lower first, 0 last), then pools that are restricted to some Services before
 * those for everybody, then by name.
 */
export function comparePreference(a: AddressPool, b: AddressPool): number {
  return priority(a) - priority(b) || openness(a) - openness(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** Namespaces by name and by selector are one set, as in MetalLB; both empty do not restrict. */
function allowsNamespace(
  { namespaces, namespaceSelectors }: AddressPool['serviceAllocation'],
  namespace: string,
  labels: LabelSet | undefined,
): boolean {
  if (namespaces.length === 0 && namespaceSelectors.length === 0) return true;
  if (namespaces.includes(namespace)) return true;
  return labels !== undefined && namespaceSelectors.some((selector) => matchesSelector(labels, selector));
}

function priority({ serviceAllocation }: AddressPool): number {
  return serviceAllocation.priority === 0 ? Number.MAX_SAFE_INTEGER : serviceAllocation.priority;
}

function openness({ serviceAllocation }: AddressPool): number {
  const { namespaces, namespaceSelectors, serviceSelectors } = serviceAllocation;
  return namespaces.length + namespaceSelectors.length + serviceSelectors.length === 0 ? 1 : 0;
}
