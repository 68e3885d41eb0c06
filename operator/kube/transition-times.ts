import { formatTime } from '../lib/format-time.ts';
import type { Condition } from '../model/condition.ts';
import { asArray, asRecord } from './kube-object.ts';

type StoredCondition = Readonly<Record<string, unknown>>;

/**
 * metav1.Condition: lastTransitionTime is when `status` changed last, not when reason or message did.
 *
 * @param stored status.conditions as the API server has them.
 * @param now milliseconds since the epoch.
 */
export function withTransitionTimes(
  conditions: readonly Condition[],
  stored: unknown,
  now: number,
): (Condition & { readonly lastTransitionTime: string })[] {
  const before = new Map(asArray(stored).map((entry) => [asRecord(entry).type, asRecord(entry)]));
  return conditions.map((condition) => {
    const known = before.get(condition.type);
    const since = known?.status === condition.status ? known.lastTransitionTime : undefined;
    return { ...condition, lastTransitionTime: typeof since === 'string' ? since : formatTime(now) };
  });
}

/** Stored conditions as a controller states them. */
export function withoutTransitionTimes(stored: unknown): StoredCondition[] {
  return asArray(stored).map((entry) => {
    const { lastTransitionTime: _, ...condition } = asRecord(entry);
    return condition;
  });
}
