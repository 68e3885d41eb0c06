import assert from 'node:assert/strict';
import { eventually, type Patience } from './eventually.ts';
import { cluster } from './world.ts';

/** Waits until `kubectl describe` of the object says what it shall, where `.` in the pattern crosses lines; gives back the whole text. */
export async function untilDescribed(
  kind: string,
  name: string,
  says: RegExp,
  namespace?: string,
  options?: Patience,
): Promise<string> {
  return eventually(
    `kubectl describe ${kind} ${name} to say ${says}`,
    async () => {
      const text = await cluster().describe(kind, name, namespace);
      assert.ok(new RegExp(says, 's').test(text), `it says\n${text}`);
      return text;
    },
    { everyMs: 500, ...options },
  );
}

export interface StoredCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}

/** Waits until the condition of the object has the status (and the reason, when given); gives it back. */
export async function untilCondition(
  kind: string,
  name: string,
  type: string,
  status: string,
  { reason, namespace, ...wait }: Patience & { reason?: string; namespace?: string } = {},
): Promise<StoredCondition> {
  return eventually(
    `condition ${type} of ${kind} ${name} to be ${status}${reason === undefined ? '' : ` (${reason})`}`,
    async () => {
      const stored = await cluster().get(kind, name, namespace);
      const conditions: StoredCondition[] = stored?.status?.conditions ?? [];
      const condition = conditions.find((candidate) => candidate.type === type);
      assert.ok(condition, `there is no condition ${type} among ${conditions.map((other) => other.type).join(', ')}`);
      assert.equal(condition.status, status, `${condition.status} (${condition.reason}): ${condition.message}`);
      if (reason !== undefined) assert.equal(condition.reason, reason, `${condition.reason}: ${condition.message}`);
      return condition;
    },
    wait,
  );
}
