import { listInWords } from '../lib/list-in-words.ts';
import type { Condition } from '../model/condition.ts';
import type { Ingress, LoadBalancedService } from '../model/load-balanced-service.ts';
import { SERVICE_CONDITION } from '../model/names.ts';
import type { ObjectReference, ServiceStatus } from './ports.ts';

/** One Kubernetes event, as `kubectl describe` shows it. */
export interface ServiceEvent {
  readonly type: 'Normal' | 'Warning';
  /** Names of the cloud service controller and of MetalLB: what dashboards already match. */
  readonly reason:
    | 'AllocationFailed'
    | 'ClearAssignment'
    | 'EnsuredLoadBalancer'
    | 'UpdatedLoadBalancer'
    | 'SyncLoadBalancerFailed'
    | 'UnAvailableLoadBalancer'
    | 'DeletingLoadBalancer'
    | 'DeletedLoadBalancer'
    | 'StatusRewritten'
    | 'ForeignChange';
  readonly message: string;
}

/**
 * What is worth telling when the status of a Service changes from what is stored to `next`. Because the stored status is what it is compared with, a
 * restart repeats nothing.
 */
export function eventsOfChange(service: LoadBalancedService, next: ServiceStatus): readonly ServiceEvent[] {
  return [...addressEvents(service.ingress, next), ...failureEvents(service.conditions, next.conditions)];
}

/** Somebody else had changed what is ours in the status, and it was put right. @param writer their field manager, as far as known. */
export function correction(
  service: LoadBalancedService,
  next: ServiceStatus,
  writer: string | undefined,
): ServiceEvent {
  const addresses = (ingress: readonly Ingress[]) => listInWords(ingress.map(({ ip }) => ip)) || 'no address';
  const what =
    addresses(service.ingress) === addresses(next.ingress)
      ? 'the conditions of this operator'
      : `the addresses (${addresses(service.ingress)})`;
  const message =
    `${writer === undefined ? 'Somebody else' : `Field manager ${writer}`} had changed ${what} in the status; they are put right ` +
    `(${addresses(next.ingress)}) at most once a minute. Only one controller may serve a Service: take the other off it, or change spec.loadBalancerClass.`;
  return { type: 'Warning', reason: 'StatusRewritten', message };
}

/** How events name the Service. */
export function referenceTo({ namespace, name, uid }: LoadBalancedService): ObjectReference {
  return { kind: 'Service', namespace, name, uid };
}

function addressEvents(before: readonly Ingress[], next: ServiceStatus): readonly ServiceEvent[] {
  const had = before.map(({ ip }) => ip);
  const has = next.ingress.map(({ ip }) => ip);
  if (had.join() === has.join()) return [];
  if (has.length === 0) {
    const message = `Address ${listInWords(had)} is no longer served: ${programmed(next)}`;
    return [{ type: 'Warning', reason: 'ClearAssignment', message }];
  }
  const message = `${messageOf(next.conditions, SERVICE_CONDITION.addressAssigned)} ${programmed(next)}`;
  if (had.length === 0) return [{ type: 'Normal', reason: 'EnsuredLoadBalancer', message }];
  return [{ type: 'Normal', reason: 'UpdatedLoadBalancer', message: `${message} Before: ${listInWords(had)}.` }];
}

function failureEvents(before: readonly Condition[], next: readonly Condition[]): readonly ServiceEvent[] {
  return next.flatMap((condition): readonly ServiceEvent[] => {
    const old = before.find(({ type }) => type === condition.type);
    if (old?.reason === condition.reason && old.message === condition.message) return [];
    const reason = failureReason(condition);
    return reason === undefined ? [] : [{ type: 'Warning', reason, message: condition.message }];
  });
}

function failureReason({ type, reason }: Condition): ServiceEvent['reason'] | undefined {
  if (type === SERVICE_CONDITION.addressAssigned) return reason === 'Assigned' ? undefined : 'AllocationFailed';
  if (reason === 'CannotProgram' || reason === 'DirectorFailed') return 'SyncLoadBalancerFailed';
  if (reason === 'NoDirectorReady' || reason === 'NoDirectorSelected') return 'UnAvailableLoadBalancer';
  return undefined;
}

function programmed(status: ServiceStatus): string {
  return messageOf(status.conditions, SERVICE_CONDITION.programmed);
}

function messageOf(conditions: readonly Condition[], type: string): string {
  return conditions.find((condition) => condition.type === type)?.message ?? '';
}
