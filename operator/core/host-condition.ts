import type { Condition } from '../model/condition.ts';

/** Whether the host has the settings that its pools need; undefined when nothing has been asked of it. */
export function hostCondition(refusals: readonly string[] | undefined): Condition | undefined {
  if (refusals === undefined) return undefined;
  const type = 'HostSettings';
  if (refusals.length === 0)
    return {
      type,
      status: 'True',
      reason: 'Applied',
      message: 'The host has the kernel settings that its pools need.',
    };
  const message = `${refusals.join(' ')} Set them on the host, or grant them in its policy file: "host":{"sysctls":["*"],"timeouts":true}.`;
  return { type, status: 'False', reason: 'NotGranted', message };
}
